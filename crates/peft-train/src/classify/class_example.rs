//! [`ClassExample`]: a labelled text's tokens.

use super::{LabelSet, ProblemType, Target};
use crate::data::check_vocabulary;
use crate::{Dataset, Digest, Row, TextTokenizer, TrainError, TrainExample};

/// A text's tokens, and what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassExample {
    /// The tokens, special ones included.
    pub ids: Vec<u32>,
    /// What the text is.
    pub target: Target,
}

/// The examples of a file.
#[derive(Debug, Clone)]
pub struct EncodedClasses {
    /// One a row, in the file's order.
    pub examples: Vec<ClassExample>,
    /// How many texts were cut at the maximal length.
    pub truncated: usize,
}

/// Tokenise the rows of a file for a classifier of texts; `vocab_size` is the model's.
///
/// # Errors
///
/// A [`TrainError`]: rows of another kind, labels that the set does not have (all named together, with the nearest), tokens that the model does not know.
pub fn encode_classes(
    dataset: &Dataset,
    tokenizer: &TextTokenizer,
    problem: ProblemType,
    labels: &LabelSet,
    max_length: usize,
    vocab_size: usize,
) -> Result<EncodedClasses, TrainError> {
    let mut encoded = EncodedClasses {
        examples: Vec::with_capacity(dataset.rows().len()),
        truncated: 0,
    };
    let mut wrong = Vec::new();
    for (i, row) in dataset.rows().iter().enumerate() {
        let Row::Labelled { text, label } = row else {
            return Err(dataset.wrong_task("a classifier of texts", "{\"text\", \"label\"}"));
        };
        let target = match Target::new(label, problem, labels) {
            Ok(target) => target,
            Err(reason) => {
                wrong.push((i, reason));
                continue;
            }
        };
        let (ids, cut) = tokenizer.encode_within(text, max_length)?;
        if let Err(error) = check_vocabulary(&ids, vocab_size) {
            wrong.push((i, error.to_string()));
            continue;
        }
        encoded.truncated += usize::from(cut);
        if ids.is_empty() {
            wrong.push((i, "the text has no tokens".into()));
            continue;
        }
        encoded.examples.push(ClassExample { ids, target });
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
        self.ids.iter().for_each(|id| digest.add(u64::from(*id)));
        match &self.target {
            Target::Class(class) => digest.add(*class as u64),
            Target::Classes(applies) => applies.iter().for_each(|on| digest.add(u64::from(*on))),
            Target::Value(value) => digest.add(u64::from(value.to_bits())),
        }
    }
}
