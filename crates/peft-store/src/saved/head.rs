//! [`HeadLabels`]: the labels of a head that there is, and where they are from.

use std::fmt;
use std::path::PathBuf;

use super::SavedAdapter;
use crate::{AdapterFileError, Checkpoint, CheckpointConfig, CheckpointError, Labels, LabelsError};

/// What the names of classes with a head end in.
const TEXT_HEAD: &str = "ForSequenceClassification";
const TOKEN_HEAD: &str = "ForTokenClassification";

/// A head that is not there, or whose labels are not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// What was trained cannot be read or attached.
    #[error(transparent)]
    Adapter(#[from] AdapterFileError),
    /// The labels cannot be read.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// The checkpoint has another head than one that tells labels.
    #[error("{} has the head of a {class}, which tells no labels", model.display())]
    OtherHead {
        /// The model's directory.
        model: PathBuf,
        /// The class of transformers.
        class: String,
    },
    /// As many labels are named as the head does not tell.
    #[error(
        "labels.json in {} names {labels} labels, but the head beside it has {outputs} outputs",
        adapter.display()
    )]
    Count {
        /// The adapter's directory.
        adapter: PathBuf,
        /// How many labels are named.
        labels: usize,
        /// How many the head tells.
        outputs: usize,
    },
    /// The adapter is of a model with a head.
    #[error(
        "{} was trained on a model with a head, and neither it nor {} has one",
        adapter.display(), model.display()
    )]
    NoHead {
        /// The adapter's directory.
        adapter: PathBuf,
        /// The model's directory.
        model: PathBuf,
    },
    /// Nothing has the weights of a module.
    #[error("{}", no_weights(module, model, adapter.as_ref()))]
    NoWeights {
        /// The module.
        module: String,
        /// The model's directory.
        model: PathBuf,
        /// The adapter's directory, if there is one.
        adapter: Option<PathBuf>,
    },
}

fn no_weights(module: &str, model: &std::path::Path, adapter: Option<&PathBuf>) -> String {
    match adapter {
        Some(adapter) => format!(
            "neither {} nor {} has the weights of `{module}`",
            model.display(),
            adapter.display()
        ),
        None => format!(
            "{} has no weights of `{module}`; give the adapter that was trained with it",
            model.display()
        ),
    }
}

/// The labels of a head that there is.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadLabels {
    /// The labels.
    pub labels: Labels,
    /// Whether it is of tokens; none where nothing says it.
    pub of_tokens: Option<bool>,
    /// Where they are from.
    pub source: LabelSource,
}

/// Where labels come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelSource {
    /// The rows that a run trains on, for a fresh head.
    Rows,
    /// The head of a checkpoint.
    Head(PathBuf),
    /// What was trained before.
    Trained(PathBuf),
}

impl fmt::Display for LabelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("the training rows"),
            Self::Head(dir) => write!(f, "the head in {}", dir.display()),
            Self::Trained(dir) => write!(f, "{}", dir.display()),
        }
    }
}

impl HeadLabels {
    /// Those of the head in a checkpoint's files, if it has one.
    ///
    /// # Errors
    ///
    /// A [`HeadError`]: a head that tells no labels, labels that are not those of the head.
    pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Option<Self>, HeadError> {
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
                return Err(HeadError::OtherHead {
                    model: dir.into(),
                    class: class.into(),
                });
            }
            Some(_) | None => return Ok(None),
        };
        let labels = Labels::of_config(checkpoint.fields(), outputs)?;
        Ok(labels.map(|labels| Self {
            labels,
            of_tokens,
            source: LabelSource::Head(dir.into()),
        }))
    }

    /// Those of what was trained: kept beside it, or else as many as its head has outputs; of the
    /// checkpoint's head where it has none of its own.
    ///
    /// # Errors
    ///
    /// A [`HeadError`].
    pub fn of_saved(
        checkpoint: &Checkpoint,
        saved: &SavedAdapter,
    ) -> Result<Option<Self>, HeadError> {
        let dir = saved.dir();
        let of_tokens = match saved.task_type() {
            Some("FEATURE_EXTRACTION") => return Ok(None),
            Some("TOKEN_CLS") => Some(true),
            Some("SEQ_CLS") => Some(false),
            _ => None,
        };
        let (beside, outputs) = (Labels::read(dir)?, saved.n_labels()?);
        if let (Some(labels), Some(outputs)) = (&beside, outputs)
            && labels.names.len() != outputs
        {
            return Err(HeadError::Count {
                adapter: dir.into(),
                labels: labels.names.len(),
                outputs,
            });
        }
        let labels = match (beside, outputs) {
            (Some(labels), _) => labels,
            // The base's own names, where it has as many; its head is not read.
            (None, Some(outputs)) => match Self::of_checkpoint(checkpoint).ok().flatten() {
                Some(head) if head.labels.names.len() == outputs => head.labels,
                Some(_) | None => Labels {
                    names: Labels::unnamed(outputs),
                    problem_type: None,
                    numbers: None,
                },
            },
            (None, None) => {
                let head = Self::of_checkpoint(checkpoint)?;
                return match (head, saved.is_of_headed(checkpoint)?) {
                    // The features of a model whose head is left aside.
                    (_, Some(false)) => Ok(None),
                    (None, Some(true)) => Err(HeadError::NoHead {
                        adapter: dir.into(),
                        model: checkpoint.dir().into(),
                    }),
                    (head, _) => Ok(head.map(|head| Self {
                        of_tokens: of_tokens.or(head.of_tokens),
                        ..head
                    })),
                };
            }
        };
        Ok(Some(Self {
            labels,
            of_tokens,
            source: LabelSource::Trained(dir.into()),
        }))
    }

    /// Those of a model, with what was trained if there is such a thing.
    ///
    /// # Errors
    ///
    /// A [`HeadError`].
    pub fn of_model(
        checkpoint: &Checkpoint,
        saved: Option<&SavedAdapter>,
    ) -> Result<Option<Self>, HeadError> {
        match saved {
            Some(saved) => Self::of_saved(checkpoint, saved),
            None => Self::of_checkpoint(checkpoint),
        }
    }
}

/// The class of transformers that a checkpoint is of.
fn head_class(checkpoint: &Checkpoint) -> Option<&str> {
    let classes = checkpoint.fields().get("architectures")?.as_array()?;
    classes.first()?.as_str()
}
