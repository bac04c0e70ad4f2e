//! [`ClassExample`]: a labelled text's tokens.

use serde::{Deserialize, Serialize};

use super::wrong_label::note;
use super::{LabelSet, ProblemType, Target};
use crate::data::check_vocabulary;
use crate::tokenizer::TextEncoding;
use crate::{Dataset, Digest, ExampleStore, Row, TextTokenizer, TrainError, TrainExample};

/// As many decisions as the rows of a file may ask for, where each class applies or not.
const DECISIONS: usize = 1 << 31;

/// A text's tokens, and what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassExample {
    /// The tokens, special ones included.
    pub ids: Vec<u32>,
    /// The type of each, 1 in the second text of a pair; empty where all are 0.
    pub types: Vec<u32>,
    /// What the text is.
    pub target: Target,
}

/// The examples of a file.
#[derive(Debug)]
pub struct EncodedClasses {
    /// One a row, in the file's order.
    pub examples: ExampleStore<ClassExample>,
    /// The target of all rows, where they have the same: a model learns of them to say it whatever
    /// the text.
    pub only_target: Option<Target>,
    /// How many texts were cut at the maximal length.
    pub truncated: usize,
}

/// Tokenise the rows of a file for a classifier of texts; `vocab_size` is the model's.
///
/// # Errors
///
/// A [`TrainError`]: rows of another kind, labels that the set does not have (named together, with
/// the nearest), tokens that the model does not know, more labels for more rows than a list of all
/// decisions may have.
pub fn encode_classes(
    dataset: &Dataset,
    tokenizer: &TextTokenizer,
    problem: ProblemType,
    labels: &LabelSet,
    max_length: usize,
    vocab_size: usize,
) -> Result<EncodedClasses, TrainError> {
    let labels = &labels.settled(&[dataset])?;
    let decisions = dataset.len().saturating_mul(labels.len());
    if problem == ProblemType::MultiLabel && decisions > DECISIONS {
        return Err(TrainError::Setting {
            field: "number of labels times rows",
            value: decisions.to_string(),
            expected: "at most 2^31, where each row may have several labels",
        });
    }
    let mut encoded = EncodedClasses {
        examples: ExampleStore::default(),
        only_target: None,
        truncated: 0,
    };
    let mut wrong = Vec::new();
    for (i, row) in dataset.rows().enumerate() {
        let Row::Labelled { text, pair, label } = row? else {
            return Err(dataset.wrong_task("a classifier of texts", "{\"text\", \"label\"}"));
        };
        let target = match Target::new(&label, problem, labels) {
            Ok(target) => target,
            Err(reason) => {
                note(&mut wrong, i, reason);
                continue;
            }
        };
        let TextEncoding { ids, types, cut } =
            tokenizer.encode_within(&text, pair.as_deref(), max_length)?;
        if let Err(error) = check_vocabulary(&ids, vocab_size) {
            note(&mut wrong, i, error);
            continue;
        }
        encoded.truncated += usize::from(cut);
        if ids.is_empty() {
            note(&mut wrong, i, "the text has no tokens");
            continue;
        }
        match encoded.examples.is_empty() {
            true => encoded.only_target = Some(target.clone()),
            false if encoded.only_target.as_ref() != Some(&target) => encoded.only_target = None,
            false => {}
        }
        encoded
            .examples
            .push(&ClassExample { ids, types, target })?;
    }
    match wrong.is_empty() {
        true => Ok(encoded),
        false => Err(dataset.refuse(wrong)),
    }
}

impl TrainExample for ClassExample {
    fn length(&self) -> usize {
        self.ids.len()
    }

    fn n_targets(&self) -> usize {
        1
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(self.ids.len() as u64);
        let of = self.ids.iter().chain(&self.types);
        of.for_each(|id| digest.add(u64::from(*id)));
        match &self.target {
            Target::Class(class) => digest.add(*class as u64),
            Target::Classes(applies) => applies.iter().for_each(|on| digest.add(u64::from(*on))),
            Target::Value(value) => digest.add(u64::from(value.to_bits())),
        }
    }
}
