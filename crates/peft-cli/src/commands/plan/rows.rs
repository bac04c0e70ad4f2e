//! [`PlannedRows`]: the rows of a run, as training reads them.

use std::collections::BTreeMap;

use peft_plan::{Plan, Run, plan};
use peft_store::Checkpoint;
use peft_train::{Dataset, EncodedExamples, Example, Row, RowKind, TextTokenizer};
use serde_json::{Value, json};

use super::{Sized, largest_batch, train_args};
use crate::args::PlanArgs;
use crate::commands::read_rows;
use crate::commands::tokenizer::tokenizer;
use crate::commands::train::encoded;
use crate::error::CliError;

/// The rows of a run.
pub(super) struct PlannedRows {
    /// How many there are of each length.
    lengths: BTreeMap<usize, usize>,
    tokens: usize,
    targets: usize,
    /// Rows that are cut, and those that are left out for having no target.
    cut: usize,
    left_out: usize,
    /// Rows, tokens to a row and the part of targets, of the batch that takes most.
    largest: (usize, usize, f64),
    /// Whether each row is as long as the longest of its batch.
    padded: bool,
}

impl PlannedRows {
    /// Those of the files, encoded.
    pub(super) fn read(args: &PlanArgs, checkpoint: &Checkpoint) -> Result<Self, CliError> {
        let train = train_args(args)?;
        let rows = read_rows(&args.train, &args.rows)?;
        let (tokenizer, _) = tokenizer(checkpoint, None, args.model.tokenizer.as_deref())?;
        let labelled = matches!(rows.kind(), RowKind::Labelled | RowKind::Tagged);
        let set = match labelled {
            true => lengths(&rows, &tokenizer, args.max_length)?,
            false => encoded(&train, checkpoint, &tokenizer, &rows)?,
        };
        let examples = set.examples.examples();
        let of = |row: usize| (examples.length(row), examples.n_targets(row));
        let mut found = Self {
            lengths: BTreeMap::new(),
            tokens: 0,
            targets: 0,
            cut: set.truncated,
            left_out: set.dropped,
            largest: largest_batch(&train, examples, labelled),
            padded: train.pad || labelled,
        };
        for (length, targets) in (0..examples.len()).map(of) {
            *found.lengths.entry(length).or_default() += 1;
            found.tokens += length;
            found.targets += targets;
        }
        match found.tokens {
            0 => Err(CliError::Usage("--train has no row to train on".into())),
            _ => Ok(found),
        }
    }

    /// The flags with the sizes of the batch that takes most.
    pub(super) fn largest(&self, args: &PlanArgs) -> PlanArgs {
        let (batch_size, max_length, targets_part) = self.largest;
        PlanArgs {
            batch_size,
            max_length,
            targets_part,
            ..args.clone()
        }
    }

    /// Tokens of all of them.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    fn rows(&self) -> usize {
        self.lengths.values().sum()
    }

    /// Steps of an epoch.
    fn steps(&self, args: &PlanArgs) -> f64 {
        let batches = self.rows().div_ceil(args.batch_size.max(1));
        batches.div_ceil(args.grad_accum.max(1)) as f64
    }

    /// A figure of all batches of an epoch: of rows as long as each other.
    pub(super) fn epoch(&self, args: &PlanArgs, sized: &Sized, of: impl Fn(&Plan) -> f64) -> f64 {
        let part = self.targets as f64 / self.tokens as f64;
        let of = |(length, n): (&usize, &usize)| {
            let run = Run {
                targets: part.min(1.0),
                ..sized.run(args.batch_size, *length)
            };
            of(&plan(&sized.sizes, &run)) * *n as f64 / args.batch_size as f64
        };
        self.lengths.iter().map(of).sum()
    }

    /// What they are, and what an epoch of them takes where `seconds` of it are known.
    pub(super) fn text(&self, args: &PlanArgs, seconds: Option<f64>) -> String {
        let (longest, _) = self.lengths.last_key_value().unwrap_or((&0, &0));
        let packed = if args.pack { "packed rows" } else { "rows" };
        let mut text = format!(
            "{} {packed} of {:.0} tokens on average, {longest} at most; {:.0} % of them are targets; {} cut, {} left out for having no target\nthe tables are of the largest step; an epoch has {} steps",
            self.rows(),
            self.tokens as f64 / self.rows() as f64,
            100.0 * self.targets as f64 / self.tokens as f64,
            self.cut,
            self.left_out,
            self.steps(args),
        );
        if let Some(seconds) = seconds {
            let epochs = args.epochs;
            text.push_str(&format!(
                ", about {:.1} minutes; {epochs} of them {:.1} minutes",
                seconds / 60.0,
                seconds * epochs as f64 / 60.0
            ));
        }
        text
    }

    pub(super) fn as_json(&self, args: &PlanArgs, computation: f64, seconds: Option<f64>) -> Value {
        json!({
            "rows": self.rows(),
            "tokens": self.tokens,
            "targets": self.targets,
            "longest": self.lengths.last_key_value().map(|(length, _)| length),
            "cut": self.cut,
            "left_out": self.left_out,
            "padded": self.padded,
            "steps": self.steps(args),
            "computation": computation,
            "seconds": seconds,
        })
    }
}

/// Rows for a classifier as long as they are, with as many targets as they have labels.
fn lengths(
    rows: &Dataset,
    tokenizer: &TextTokenizer,
    max_length: usize,
) -> Result<EncodedExamples, CliError> {
    let mut set = EncodedExamples::default();
    for row in rows.rows() {
        let (ids, cut, targets) = match &row? {
            Row::Labelled { text, pair, .. } => {
                let found = tokenizer.encode_within(text, pair.as_deref(), max_length)?;
                (found.ids, found.cut, 1)
            }
            Row::Tagged { words, .. } => {
                let found = tokenizer.encode_words(words, max_length)?;
                let targets = words.len().min(found.ids.len());
                (found.ids, found.cut, targets)
            }
            _ => continue,
        };
        let targets = (0..ids.len()).map(|i| i < targets).collect();
        set.truncated += usize::from(cut);
        set.examples.push(&Example::new(ids, targets))?;
    }
    Ok(set)
}
