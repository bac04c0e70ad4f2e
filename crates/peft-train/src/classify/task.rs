//! [`ClassifierTask`]: the labels of a classifier, and what they are.

use peft_core::nearest;

use super::{LabelSet, NumberReading, ProblemType};
use crate::{Dataset, RowKind, TrainError};

/// The words of transformers for what labels are.
const PROBLEMS: [(ProblemType, &str); 3] = [
    (ProblemType::SingleLabel, "single_label_classification"),
    (ProblemType::MultiLabel, "multi_label_classification"),
    (ProblemType::Regression, "regression"),
];

/// How a file of labels calls the readings of numbers.
const NUMBERS: [(NumberReading, &str); 2] =
    [(NumberReading::Ids, "ids"), (NumberReading::Names, "names")];

/// The labels of a classifier, and what they are.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierTask {
    /// What a label is.
    pub problem: ProblemType,
    /// The names of the outputs.
    pub labels: LabelSet,
    /// Whether each word has a label, and not each text.
    pub of_tokens: bool,
}

/// A head as files describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadDescription {
    /// What the outputs are called, in their order.
    pub names: Vec<String>,
    /// What labels are, in transformers' words.
    pub problem_type: Option<String>,
    /// How numbers are read: `ids` of outputs, or `names`.
    pub numbers: Option<String>,
    /// Whether it is of tokens; none where nothing says it.
    pub of_tokens: Option<bool>,
    /// Where it is from, for messages.
    pub source: String,
}

/// Labels and rows that are no task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The head is of texts and the rows are of words, or the other way round.
    #[error("{head} {}", match of_tokens {
        true => "tags words, but the rows are labelled texts",
        false => "labels texts, but the rows are tagged words",
    })]
    OtherRows {
        /// The head.
        head: String,
        /// Whether it is of tokens.
        of_tokens: bool,
    },
    /// What labels are is no word of transformers.
    #[error("`problem_type` of {head} is `{found}`, which is none; did you mean {nearest}?")]
    UnknownProblem {
        /// The head.
        head: String,
        /// What it says.
        found: String,
        /// The words that there are most like it.
        nearest: String,
    },
    /// The head has not as many outputs as such labels take.
    #[error(
        "`problem_type` of {head} is `{problem}`, which takes {expected}, but there are {outputs}"
    )]
    Outputs {
        /// The head.
        head: String,
        /// What labels are.
        problem: String,
        /// How many outputs they take.
        expected: &'static str,
        /// How many there are.
        outputs: usize,
    },
    /// Names that are no set of labels.
    #[error("{head}: {reason}")]
    Names {
        /// The head.
        head: String,
        /// What is wrong with them.
        reason: TrainError,
    },
    /// How numbers are read is no known way.
    #[error("{head}: numbers are read as `{found}`, which is neither `ids` nor `names`")]
    UnknownNumbers {
        /// The head.
        head: String,
        /// What it says.
        found: String,
    },
    /// There are no rows.
    #[error("there are no rows")]
    NoRows,
    /// All rows have one label.
    #[error(
        "{rows}: the only label is `{label}`; with one class there is nothing to tell apart, and the loss is 0 from the start"
    )]
    OneLabel {
        /// The file or the files.
        rows: String,
        /// The label.
        label: String,
    },
    /// The rows are wrong.
    #[error(transparent)]
    Rows(#[from] TrainError),
}

impl ClassifierTask {
    /// That of a head, for the rows of these files; none of them are there where new texts are to
    /// be told.
    ///
    /// # Errors
    ///
    /// A [`TaskError`].
    pub fn of_head(head: HeadDescription, files: &[&Dataset]) -> Result<Self, TaskError> {
        let tagged = files.first().map(|rows| rows.kind() == RowKind::Tagged);
        let of_tokens = head.of_tokens.or(tagged).unwrap_or(false);
        if tagged.is_some_and(|tagged| tagged != of_tokens) {
            return Err(TaskError::OtherRows {
                head: head.source,
                of_tokens,
            });
        }
        let problem = match of_tokens {
            true => ProblemType::SingleLabel,
            false => head.problem(files)?,
        };
        let labels = LabelSet::new(head.names).map_err(|reason| TaskError::Names {
            head: head.source.clone(),
            reason,
        })?;
        let labels = match head.numbers {
            None => labels,
            Some(found) => match NUMBERS.iter().find(|(_, name)| *name == found) {
                Some((numbers, _)) => labels.with_numbers(*numbers),
                None => {
                    let head = head.source;
                    return Err(TaskError::UnknownNumbers { head, found });
                }
            },
        };
        Ok(Self {
            problem,
            labels: labels.settled(files)?,
            of_tokens,
        })
    }

    /// That of the rows of these files, for a fresh head.
    ///
    /// # Errors
    ///
    /// A [`TaskError`].
    pub fn of_rows(files: &[&Dataset]) -> Result<Self, TaskError> {
        let rows = files.first().ok_or(TaskError::NoRows)?;
        let of_tokens = rows.kind() == RowKind::Tagged;
        let problem = match of_tokens {
            true => ProblemType::SingleLabel,
            false => ProblemType::of(rows)?,
        };
        let labels = match problem {
            ProblemType::Regression => LabelSet::new(vec!["value".into()])?,
            ProblemType::SingleLabel | ProblemType::MultiLabel => LabelSet::of(rows)?,
        };
        if let (ProblemType::SingleLabel, [label]) = (problem, labels.names()) {
            return Err(TaskError::OneLabel {
                rows: rows.name().into(),
                label: label.clone(),
            });
        }
        Ok(Self {
            problem,
            labels,
            of_tokens,
        })
    }

    /// What labels are, in transformers' words.
    pub fn problem_type(&self) -> Option<&'static str> {
        let found = PROBLEMS.iter().find(|(of, _)| *of == self.problem);
        found.map(|(_, name)| *name)
    }

    /// How numbers are read, as a file of labels calls it, where it could be asked again.
    pub fn numbers(&self) -> Option<&'static str> {
        let settled = self.labels.settled_numbers();
        let found = NUMBERS.iter().find(|(of, _)| Some(*of) == settled);
        found.map(|(_, name)| *name)
    }
}

impl HeadDescription {
    /// What a text's label is.
    fn problem(&self, files: &[&Dataset]) -> Result<ProblemType, TaskError> {
        let outputs = self.names.len();
        let Some(found) = &self.problem_type else {
            // What transformers takes one output for, and several by their labels.
            let mut lists = false;
            for rows in files {
                lists |= rows.has_lists()?;
            }
            return Ok(match (outputs, lists) {
                (1, _) => ProblemType::Regression,
                (_, true) => ProblemType::MultiLabel,
                (_, false) => ProblemType::SingleLabel,
            });
        };
        let head = self.source.clone();
        let Some((problem, _)) = PROBLEMS.iter().find(|(_, name)| name == found) else {
            let names = PROBLEMS.map(|(_, name)| name.to_owned());
            return Err(TaskError::UnknownProblem {
                head,
                found: found.clone(),
                nearest: nearest(found, &names).unwrap_or_else(|| names.join(", ")),
            });
        };
        let expected = match problem {
            ProblemType::Regression if outputs != 1 => "one output",
            ProblemType::SingleLabel if outputs < 2 => "two outputs or more",
            ProblemType::Regression | ProblemType::SingleLabel | ProblemType::MultiLabel => {
                return Ok(*problem);
            }
        };
        Err(TaskError::Outputs {
            head,
            problem: found.clone(),
            expected,
            outputs,
        })
    }
}
