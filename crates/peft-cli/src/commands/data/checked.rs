//! [`Checked`]: what rows are as examples.

use std::collections::BTreeMap;

use peft_train::{
    Dataset, EncodeOptions, EncodeSpecial, EncodedRow, Example, Message, Row, TextTokenizer,
    TrainError, asked_tokens, encode_row,
};
use serde_json::{Value, json};

use super::findings::NAMED;
use super::lengths::Lengths;
use super::percent;
use super::shown::{Painted, ShownRow};
use crate::commands::print_line;
use crate::error::CliError;
use crate::say::clean;

/// Tokens of a row that are counted.
const COUNTED: usize = 1 << 17;
/// Rows whose prompt is compared.
const COMPARED: usize = 2000;
/// The roles that chat templates have.
pub(super) const ROLES: [&str; 9] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
    "ipython",
    "environment",
    "observation",
];
/// Labels that are shown.
const LABELS: usize = 20;

/// What rows are as examples.
pub(super) struct Checked {
    lengths: Lengths,
    pub(super) rows: usize,
    max_length: usize,
    targets: usize,
    /// Rows that are cut, that have no target, that have an unknown token, and a sign that stands
    /// for what could not be read.
    pub(super) cut: Vec<usize>,
    pub(super) targetless: Vec<usize>,
    pub(super) unknown: Vec<usize>,
    pub(super) replaced: Vec<usize>,
    /// Rows with a turn whose role is none of the usual, and the first of these roles.
    pub(super) foreign: usize,
    pub(super) first_foreign: Vec<(usize, String)>,
    /// Rows that cannot be encoded, and why the first cannot.
    pub(super) refused: usize,
    pub(super) first_refused: Vec<(usize, String)>,
    /// Rows in which a prompt has other tokens in training than it has when it is asked, of so
    /// many.
    pub(super) otherwise: Vec<(usize, Parting)>,
    pub(super) compared: usize,
    /// Rows whose completion begins with a letter right behind a prompt that ends with a sign.
    pub(super) joined: Vec<usize>,
    labels: BTreeMap<String, usize>,
    shown: Vec<ShownRow>,
}

/// Where what is trained and what is asked part.
pub(super) struct Parting {
    /// The token, from 1.
    pub(super) at: usize,
    pub(super) trained: String,
    pub(super) asked: String,
}

impl Checked {
    pub(super) fn of(
        rows: &Dataset,
        tokenizer: &TextTokenizer,
        options: &EncodeOptions,
        show: usize,
    ) -> Result<Self, CliError> {
        let whole = EncodeOptions {
            max_length: COUNTED.max(options.max_length),
            ..*options
        };
        let unknown = tokenizer.unknown();
        let mut lengths = Vec::with_capacity(rows.len());
        let mut found = Self {
            lengths: Lengths::new(Vec::new()),
            rows: rows.len(),
            max_length: options.max_length,
            targets: 0,
            cut: Vec::new(),
            targetless: Vec::new(),
            unknown: Vec::new(),
            replaced: Vec::new(),
            foreign: 0,
            first_foreign: Vec::new(),
            refused: 0,
            first_refused: Vec::new(),
            otherwise: Vec::new(),
            compared: 0,
            joined: Vec::new(),
            labels: BTreeMap::new(),
            shown: Vec::new(),
        };
        for (i, row) in rows.rows().enumerate() {
            let row = &row?;
            let example = match of_label(row, tokenizer) {
                Some(encoded) => encoded?,
                None => match encode_row(row, tokenizer, &whole) {
                    Ok(EncodedRow { example, .. }) => example,
                    Err(reason) => {
                        found.refused += 1;
                        if found.first_refused.len() < NAMED {
                            found.first_refused.push((i, reason));
                        }
                        continue;
                    }
                },
            };
            lengths.push(example.ids.len());
            if example.ids.len() > options.max_length {
                found.cut.push(i);
            }
            if unknown.is_some_and(|unknown| example.ids.contains(&unknown)) {
                found.unknown.push(i);
            }
            if let Row::Completion { prompt, completion } = row
                && !prompt.is_empty()
                && !prompt.ends_with(char::is_whitespace)
                && completion.starts_with(|first: char| first.is_ascii_alphanumeric())
            {
                found.joined.push(i);
            }
            if was_replaced(row) {
                found.replaced.push(i);
            }
            if let Some(role) = foreign_role(row) {
                found.foreign += 1;
                if found.first_foreign.len() < NAMED {
                    found.first_foreign.push((i, role.to_owned()));
                }
            }
            found.note_labels(row);
            let kept = cut(&example, options.max_length);
            let of_label = matches!(row, Row::Labelled { .. } | Row::Tagged { .. });
            found.targets += kept.n_targets();
            if kept.n_targets() == 0 && !of_label {
                found.targetless.push(i);
            }
            if found.compared < COMPARED
                && let Some(asked) = asked_tokens(row, tokenizer)?
            {
                found.compared += 1;
                if let Some(parting) = parting(&example.ids, &asked, tokenizer)? {
                    found.otherwise.push((i, parting));
                }
            }
            if found.shown.len() < show {
                let place = rows.shown_place(i);
                found
                    .shown
                    .push(ShownRow::new(place, row, &kept, tokenizer)?);
            }
        }
        found.lengths = Lengths::new(lengths);
        Ok(found)
    }

    fn note_labels(&mut self, row: &Row) {
        let labels: Vec<String> = match row {
            Row::Labelled { label, .. } => label.names().iter().map(ToString::to_string).collect(),
            Row::Tagged { tags, .. } => tags.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        for label in labels {
            *self.labels.entry(label).or_default() += 1;
        }
    }

    /// The labels, the commonest first.
    fn labels(&self) -> Vec<(&String, usize)> {
        let mut labels: Vec<_> = self.labels.iter().map(|(name, n)| (name, *n)).collect();
        labels.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        labels
    }

    pub(super) fn report(&self, rows: &Dataset) -> Value {
        let labels = self.labels().into_iter();
        json!({
            "rows": self.rows,
            "kind": rows.kind().keys(),
            "files": rows.files(),
            "columns left alone": rows.left_alone(),
            "tokens": self.lengths.report(),
            "target tokens": self.targets,
            "max length": self.max_length,
            "cut": self.cut.len(),
            "cut share": percent(self.cut.len(), self.rows),
            "without target": self.targetless.len(),
            "labels": labels.map(|(name, n)| (name.clone(), json!(n))).collect::<serde_json::Map<_, _>>(),
            "first": self.shown.iter().map(ShownRow::report).collect::<Value>(),
        })
    }

    pub(super) fn print(
        &self,
        rows: &Dataset,
        what: &str,
        painted: Painted,
    ) -> Result<(), CliError> {
        for row in &self.shown {
            row.lines(painted).iter().try_for_each(print_line)?;
        }
        let targets = match self.labels.is_empty() {
            true => format!(", {} target tokens", self.targets),
            false => String::new(),
        };
        print_line(format!(
            "{} {what} rows of the form {}{targets}; {} are longer than {} tokens and cut",
            self.rows,
            rows.kind().keys(),
            self.cut.len(),
            self.max_length
        ))?;
        self.lengths.lines().iter().try_for_each(print_line)?;
        let labels = self.labels();
        if labels.is_empty() {
            return Ok(());
        }
        let named = labels.iter().take(LABELS);
        let named: Vec<String> = named
            .map(|(name, n)| format!("{} {n}", clean(name).replace('\n', "\\n")))
            .collect();
        let more = match labels.len().saturating_sub(LABELS) {
            0 => String::new(),
            more => format!(" and {more} labels more"),
        };
        print_line(format!("  labels: {}{more}", named.join(", ")))
    }
}

/// Whether a text of the row has U+FFFD.
fn was_replaced(row: &Row) -> bool {
    let has = |text: &String| text.contains('\u{fffd}');
    let in_turns = |turns: &[Message]| {
        let mut values = turns.iter().flat_map(|turn| turn.fields().values());
        values.any(|value| has(&value.to_string()))
    };
    match row {
        Row::Text { text } => has(text),
        Row::Labelled { text, pair, .. } => has(text) || pair.as_ref().is_some_and(has),
        Row::Completion { prompt, completion } => has(prompt) || has(completion),
        Row::Instruction(row) => [&row.instruction, &row.input, &row.output]
            .into_iter()
            .any(has),
        Row::Tagged { words, .. } => words.iter().any(has),
        Row::Chat { messages, .. } => in_turns(messages),
        Row::Dialogue {
            prompt, completion, ..
        } => in_turns(prompt) || in_turns(completion),
        _ => false,
    }
}

/// The first role in a conversation that chat templates do not have as a rule.
fn foreign_role(row: &Row) -> Option<&str> {
    let (Row::Chat {
        messages: turns, ..
    }
    | Row::Dialogue { prompt: turns, .. }) = row
    else {
        return None;
    };
    let mut roles = turns.iter().map(Message::role);
    roles.find(|role| !ROLES.contains(role))
}

/// The tokens of a row for a classifier, none of which is a target.
fn of_label(row: &Row, tokenizer: &TextTokenizer) -> Option<Result<Example, TrainError>> {
    let ids = match row {
        Row::Labelled { text, pair, .. } => tokenizer
            .encode_within(text, pair.as_deref(), usize::MAX)
            .map(|found| found.ids),
        Row::Tagged { words, .. } => tokenizer.encode(&words.join(" "), EncodeSpecial::Both),
        _ => return None,
    };
    Some(ids.map(|ids| {
        let targets = vec![false; ids.len()];
        Example::new(ids, targets)
    }))
}

/// What training keeps of an example.
fn cut(example: &Example, max_length: usize) -> Example {
    let n = example.ids.len().min(max_length);
    Example::new(example.ids[..n].to_vec(), example.targets[..n].to_vec())
}

/// Where what is trained does not begin with what is asked.
fn parting(
    trained: &[u32],
    asked: &[u32],
    tokenizer: &TextTokenizer,
) -> Result<Option<Parting>, TrainError> {
    let same = trained.iter().zip(asked).take_while(|(a, b)| a == b);
    let same = same.count();
    if same == asked.len() {
        return Ok(None);
    }
    let text = |ids: &[u32]| -> Result<String, TrainError> {
        match ids.get(same) {
            None => Ok(String::new()),
            Some(_) => Ok(tokenizer.texts(&ids[..=same])?.pop().unwrap_or_default()),
        }
    };
    Ok(Some(Parting {
        at: same + 1,
        trained: text(trained)?,
        asked: text(asked)?,
    }))
}
