//! The rows of a task, encoded; what does not fit its labels says where they are from.

use peft_store::LabelSource;
use peft_train::{
    ClassExample, Dataset, ExampleStore, TagExample, Target, TextTokenizer, TrainError,
    encode_classes, encode_tags, labels_fit,
};

use super::Task;
use crate::error::CliError;
use crate::say::say;

impl Task {
    /// An error of rows, with where the labels come from where it is they that do not fit.
    fn explained(&self, error: TrainError, rows: &Dataset) -> CliError {
        // Rows that cannot be read again say nothing of the labels.
        let of_labels = matches!(error, TrainError::Rows { .. })
            && !labels_fit(rows, self.of.problem, &self.of.labels).unwrap_or(true);
        match (of_labels, &self.source) {
            (false, _) => error.into(),
            (true, LabelSource::Head(_)) => CliError::Usage(format!(
                "{error}\n  the labels are those of {}; train --new-head puts a fresh one in its place, for the labels of the rows",
                self.source
            )),
            (true, LabelSource::Rows | LabelSource::Trained(_)) => CliError::Usage(format!(
                "{error}\n  the labels are those of {}",
                self.source
            )),
        }
    }

    pub(in crate::commands) fn texts(
        &self,
        rows: &Dataset,
        tokenizer: &TextTokenizer,
        max_length: usize,
        vocab_size: usize,
    ) -> Result<ExampleStore<ClassExample>, CliError> {
        let set = encode_classes(
            rows,
            tokenizer,
            self.of.problem,
            &self.of.labels,
            max_length,
            vocab_size,
        )
        .map_err(|error| self.explained(error, rows))?;
        say!(
            "{} labelled texts, {} cut",
            set.examples.len(),
            set.truncated
        );
        if let (Some(target), true) = (&set.only_target, set.examples.len() > 1) {
            self.warn_of_one(rows, &self.shown(target));
        }
        Ok(set.examples)
    }

    pub(in crate::commands) fn tags(
        &self,
        rows: &Dataset,
        tokenizer: &TextTokenizer,
        max_length: usize,
        vocab_size: usize,
    ) -> Result<ExampleStore<TagExample>, CliError> {
        let set = encode_tags(rows, tokenizer, &self.of.labels, max_length, vocab_size)
            .map_err(|error| self.explained(error, rows))?;
        say!(
            "{} tagged texts, {} cut, {} left out for having no tag",
            set.examples.len(),
            set.truncated,
            set.dropped
        );
        if let (Some(tag), true) = (set.only_tag, set.examples.len() > 1) {
            self.warn_of_one(rows, &self.shown(&Target::Class(tag)));
        }
        Ok(set.examples)
    }

    fn warn_of_one(&self, rows: &Dataset, target: &str) {
        say!(
            "warning: all rows of {} have {target}: what is told of them says nothing of other texts, and a model that is trained on them alone says it of every text",
            rows.name()
        );
    }

    fn shown(&self, target: &Target) -> String {
        match target {
            Target::Class(id) => format!("the label `{}`", self.of.labels.name(*id)),
            Target::Value(value) => format!("the value {value}"),
            Target::Classes(applies) => {
                let names = self.of.labels.names().iter().zip(applies);
                let names: Vec<&str> = names
                    .filter(|(_, on)| **on)
                    .map(|(name, _)| name.as_str())
                    .collect();
                format!("the labels [{}]", names.join(", "))
            }
        }
    }
}
