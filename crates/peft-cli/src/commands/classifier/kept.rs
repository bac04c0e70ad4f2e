//! [`Kept`]: the labels of a head that there is, and where they are from.

use std::fmt;
use std::path::{Path, PathBuf};

use peft_store::{Checkpoint, CheckpointConfig, Labels};

use crate::commands::adapted::Saved;
use crate::error::CliError;

/// What the names of classes with a head end in.
const TEXT_HEAD: &str = "ForSequenceClassification";
const TOKEN_HEAD: &str = "ForTokenClassification";

/// The labels of a head that there is.
pub(in crate::commands) struct Kept {
    pub(in crate::commands) labels: Labels,
    /// Whether it is of tokens; none where nothing says it.
    pub(in crate::commands) of_tokens: Option<bool>,
    pub(super) source: Source,
}

impl Kept {
    /// Those of the head in a checkpoint's files, if it has one.
    pub(in crate::commands) fn of_head(checkpoint: &Checkpoint) -> Result<Option<Self>, CliError> {
        if !matches!(checkpoint.config(), CheckpointConfig::Encoder(_)) {
            return Ok(None);
        }
        let dir = checkpoint.dir();
        let outputs = checkpoint.outputs()?;
        let of_tokens = match head_class(checkpoint) {
            Some(class) if class.ends_with(TEXT_HEAD) => Some(false),
            Some(class) if class.ends_with(TOKEN_HEAD) => Some(true),
            None if outputs.is_some() => None,
            Some(class) if outputs.is_some() => {
                return Err(CliError::Usage(format!(
                    "{} has the head of a {class}, which tells no labels; train --new-head puts a fresh one in its place",
                    dir.display()
                )));
            }
            _ => return Ok(None),
        };
        let labels = Labels::of_config(checkpoint.fields(), outputs)?;
        Ok(labels.map(|labels| Self {
            labels,
            of_tokens,
            source: Source::Head(dir.into()),
        }))
    }

    /// Those of what was trained: kept beside it, or else as many as its head has outputs; of the
    /// checkpoint's head where it has none of its own.
    pub(in crate::commands) fn of_trained(
        checkpoint: &Checkpoint,
        dir: &Path,
    ) -> Result<Option<Self>, CliError> {
        let saved = Saved::open(dir, Some(checkpoint))?;
        let of_tokens = match saved.task_type() {
            Some("FEATURE_EXTRACTION") => return Ok(None),
            Some("TOKEN_CLS") => Some(true),
            Some("SEQ_CLS") => Some(false),
            _ => None,
        };
        let (beside, outputs) = (Labels::read(dir)?, saved.outputs()?);
        if let (Some(labels), Some(outputs)) = (&beside, outputs)
            && labels.names.len() != outputs
        {
            return Err(CliError::Usage(format!(
                "labels.json in {} names {} labels, but the head beside it has {outputs} outputs",
                dir.display(),
                labels.names.len()
            )));
        }
        let labels = match (beside, outputs) {
            (Some(labels), _) => labels,
            (None, outputs) => {
                let head = Self::of_head(checkpoint);
                match outputs {
                    None => {
                        return match (head?, saved.is_of_headed(checkpoint)?) {
                            // The features of a model whose head is left aside.
                            (_, Some(false)) => Ok(None),
                            (None, Some(true)) => Err(CliError::Usage(format!(
                                "{} was trained on a model with a head, and neither it nor {} has one",
                                dir.display(),
                                checkpoint.dir().display()
                            ))),
                            (head, _) => Ok(head.map(|head| Self {
                                of_tokens: of_tokens.or(head.of_tokens),
                                ..head
                            })),
                        };
                    }
                    // The base's own names, where it has as many; its head is not read.
                    Some(outputs) => match head.ok().flatten() {
                        Some(head) if head.labels.names.len() == outputs => head.labels,
                        _ => Labels {
                            names: Labels::unnamed(outputs),
                            problem_type: None,
                            numbers: None,
                        },
                    },
                }
            }
        };
        Ok(Some(Self {
            labels,
            of_tokens,
            source: Source::Trained(dir.into()),
        }))
    }

    /// Those of a model, with its adapter if there is one.
    pub(in crate::commands) fn of_model(
        checkpoint: &Checkpoint,
        adapter: Option<&Path>,
    ) -> Result<Option<Self>, CliError> {
        match adapter {
            Some(dir) => Self::of_trained(checkpoint, dir),
            None => Self::of_head(checkpoint),
        }
    }
}

/// Where labels come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The rows that a run trains on, for a fresh head.
    Rows,
    /// The head of a checkpoint.
    Head(PathBuf),
    /// What was trained before.
    Trained(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("the training rows"),
            Self::Head(dir) => write!(f, "the head in {}", dir.display()),
            Self::Trained(dir) => write!(f, "{}", dir.display()),
        }
    }
}

/// The class of transformers that a checkpoint is of.
fn head_class(checkpoint: &Checkpoint) -> Option<&str> {
    let classes = checkpoint.fields().get("architectures")?.as_array()?;
    classes.first()?.as_str()
}
