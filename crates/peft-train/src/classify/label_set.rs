//! [`LabelSet`]: the names of classes, in the order of a model's outputs.

use std::collections::BTreeSet;

use peft_core::nearest;

use crate::{Dataset, LabelName, Row, TrainError};

/// The names of classes, in the order of a model's outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    names: Vec<String>,
}

impl LabelSet {
    /// A set of these names, in this order.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] where there is none, or one twice.
    pub fn new(names: Vec<String>) -> Result<Self, TrainError> {
        let distinct: BTreeSet<&String> = names.iter().collect();
        if names.is_empty() || distinct.len() < names.len() {
            return Err(TrainError::Setting {
                field: "set of labels",
                value: format!("{names:?}"),
                expected: "at least one name, and none twice",
            });
        }
        Ok(Self { names })
    }

    /// All classes in a file: numbers by their size, then names by the alphabet.
    ///
    /// # Errors
    ///
    /// [`TrainError::WrongTask`] where the rows have no labels; [`TrainError::Setting`] where those name no class.
    pub fn of(dataset: &Dataset) -> Result<Self, TrainError> {
        let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
        for row in dataset.rows() {
            let labels = match row {
                Row::Labelled { label, .. } => label.names(),
                Row::Tagged { tags, .. } => tags,
                _ => {
                    return Err(dataset.wrong_task(
                        "a classifier",
                        "{\"text\", \"label\"} or {\"tokens\", \"tags\"}",
                    ));
                }
            };
            for label in labels {
                match label {
                    LabelName::Number(number) if number.as_i64().is_some() => {
                        numbers.extend(number.as_i64());
                    }
                    label => {
                        names.insert(label.to_string());
                    }
                }
            }
        }
        // A name that is the number of another row is one class with it.
        names.retain(|name| !numbers.iter().any(|number| number.to_string() == *name));
        let numbers = numbers.into_iter().map(|number| number.to_string());
        Self::new(numbers.chain(names).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: a set has a name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of an output.
    ///
    /// # Panics
    ///
    /// If there is no such output.
    pub fn name(&self, id: usize) -> &str {
        &self.names[id]
    }

    /// The output of a class: the one of that name, or of that number where no name is one.
    ///
    /// # Errors
    ///
    /// What is wrong, with the nearest name.
    pub fn id(&self, label: &LabelName) -> Result<usize, String> {
        let written = label.to_string();
        if let Some(id) = self.names.iter().position(|name| *name == written) {
            return Ok(id);
        }
        if let LabelName::Number(number) = label
            && let Some(id) = number.as_u64().filter(|id| *id < self.names.len() as u64)
        {
            return Ok(id as usize);
        }
        let hint = match nearest(&written, &self.names) {
            Some(near) => format!(", did you mean `{near}`?"),
            None => {
                const SHOWN: usize = 8;
                let some = self.names.iter().take(SHOWN).cloned();
                let more = if self.names.len() > SHOWN {
                    ", ..."
                } else {
                    ""
                };
                format!(
                    "; the labels are {}{more}",
                    some.collect::<Vec<_>>().join(", ")
                )
            }
        };
        Err(format!("unknown label `{written}`{hint}"))
    }
}
