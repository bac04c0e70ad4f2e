//! [`ShownRow`]: a row's tokens, as they are trained.

use peft_train::{Example, LabelName, Row, TextTokenizer, TrainError};
use serde_json::{Value, json};

use crate::say::clean;

/// Tokens of a row that are shown.
const TOKENS: usize = 400;

/// How targets are told from other tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Painted {
    /// Green, on a terminal.
    Colours,
    /// In brackets.
    Brackets,
}

/// A row's tokens, as they are trained.
pub(super) struct ShownRow {
    place: String,
    /// The text of each token, its number, and whether it is a target.
    tokens: Vec<(String, u32, bool)>,
    more: usize,
    /// What the tokens are for.
    what: String,
}

impl ShownRow {
    pub(super) fn new(
        place: String,
        row: &Row,
        example: &Example,
        tokenizer: &TextTokenizer,
    ) -> Result<Self, TrainError> {
        let shown = example.ids.len().min(TOKENS);
        let texts = tokenizer.texts(&example.ids[..shown])?;
        let of_tokens = example.ids.iter().zip(&example.targets);
        let tokens = texts.into_iter().zip(of_tokens);
        Ok(Self {
            place,
            tokens: tokens
                .map(|(text, (id, target))| (text, *id, *target))
                .collect(),
            more: example.ids.len() - shown,
            what: match row {
                Row::Labelled { label, .. } => format!("labelled {}", named(label.names())),
                Row::Tagged { tags, .. } => format!("tagged {}", named(tags)),
                _ => format!("{} of them targets", example.n_targets()),
            },
        })
    }

    pub(super) fn report(&self) -> Value {
        let tokens = self.tokens.iter();
        json!({
            "at": self.place,
            "what": self.what,
            "tokens": tokens.map(|(text, id, target)| json!([id, text, target])).collect::<Value>(),
            "more": self.more,
        })
    }

    /// Tokens apart from each other by a bar, runs of targets in colour or brackets.
    pub(super) fn lines(&self, painted: Painted) -> Vec<String> {
        let (begin, end) = match painted {
            Painted::Colours => ("\u{1b}[32m", "\u{1b}[0m"),
            Painted::Brackets => ("[", "]"),
        };
        let mut text = String::new();
        let mut within = false;
        for (i, (token, _, target)) in self.tokens.iter().enumerate() {
            if within && !target {
                text.push_str(end);
            }
            if i > 0 {
                text.push('|');
            }
            if !within && *target {
                text.push_str(begin);
            }
            within = *target;
            text.push_str(&clean(token).replace('\n', "⏎"));
        }
        if within {
            text.push_str(end);
        }
        if self.more > 0 {
            text.push_str(&format!("| ... {} tokens more", self.more));
        }
        let n = self.tokens.len() + self.more;
        vec![
            clean(&format!("{}: {n} tokens, {}", self.place, self.what)),
            format!("  {text}"),
        ]
    }
}

/// Labels behind each other.
fn named(labels: &[LabelName]) -> String {
    let labels = labels.iter().map(ToString::to_string);
    labels.collect::<Vec<_>>().join(" ")
}
