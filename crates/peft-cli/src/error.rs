//! [`CliError`]: what ends the command, and with which status.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use peft_core::PeftError;
use peft_store::{AdapterFileError, CheckpointError, HeadError};
use peft_train::{TaskError, TrainError};

use crate::commands::train::Signal;

/// Links that lead round in a circle, which has no stable [`ErrorKind`].
const ELOOP: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };

/// What ends the command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Peft(#[from] PeftError),
    #[error(transparent)]
    Adapter(#[from] AdapterFileError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}; --any-size goes on all the same")]
    Memory(#[source] peft_store::MemoryError),
    #[error(transparent)]
    Labels(#[from] peft_store::LabelsError),
    #[error(transparent)]
    Generation(#[from] peft_store::GenerationConfigError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error("{0}")]
    Usage(String),
    #[error("{} things are wrong:{}", .0.len(), lines(.0))]
    Several(Vec<CliError>),
    #[error("ended by {} after step {step} of {total}; go on with {resume}", signal.name)]
    Interrupted {
        signal: Signal,
        step: usize,
        total: usize,
        resume: String,
    },
    #[error("{source}; {kept}")]
    Lost { source: TrainError, kept: String },
    #[cfg(feature = "remote")]
    #[error("device `{device}`: {why}")]
    Worker { device: String, why: String },
    #[error("{source}; {kept}")]
    Diverged { source: TrainError, kept: String },
    #[error("{why}")]
    Worse { why: String },
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    #[error(transparent)]
    NewDir(#[from] peft_files::NewDirError),
    #[error(
        "{what} by {difference:.3e} in its logits, more than the {limit:.1e} that arithmetic in f32 explains; nothing was written; whoever has looked at it and wants it all the same gives --accept-difference"
    )]
    MergeDiffers {
        what: &'static str,
        difference: f64,
        limit: f64,
    },
    #[error("{what}, and has a logit that is no finite number; nothing was written")]
    MergeNotFinite { what: &'static str },
    #[error("{what}: {cause}")]
    NotFinite { what: String, cause: String },
    #[error("{devices} is not to be trained on, as is said above")]
    Unfit { devices: String },
    #[error(
        "the merged model's tokenizer gives other tokens than the one that it was copied from; nothing was written"
    )]
    MergeTokens,
}

impl From<HeadError> for CliError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Checkpoint(error) => error.into(),
            HeadError::Adapter(error) => error.into(),
            HeadError::Labels(error) => error.into(),
            HeadError::OtherHead { .. } => Self::Usage(format!(
                "{error}; train --new-head puts a fresh one in its place"
            )),
            error => Self::Usage(error.to_string()),
        }
    }
}

impl From<TaskError> for CliError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Rows(error) => error.into(),
            TaskError::Outputs { .. } => Self::Usage(format!(
                "{error}; train --new-head puts a fresh head in its place"
            )),
            error => Self::Usage(error.to_string()),
        }
    }
}

impl CliError {
    /// 2 for the caller's mistake, 1 for anything else.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::MergeDiffers { .. }
            | Self::MergeNotFinite { .. }
            | Self::MergeTokens
            | Self::NotFinite { .. }
            | Self::Train(
                TrainError::Diverged { .. }
                | TrainError::NotFinite { .. }
                | TrainError::NotFiniteLogits { .. }
                | TrainError::DeviceLost { .. },
            )
            | Self::Lost { .. }
            | Self::Diverged { .. }
            | Self::Worse { .. }
            | Self::Unfit { .. } => 1,
            #[cfg(feature = "remote")]
            Self::Worker { .. } => 1,
            Self::Interrupted { signal, .. } => 128 + signal.number,
            Self::Several(errors) => errors.iter().map(Self::exit_status).min().unwrap_or(2),
            error => match io_cause(error) {
                Some(source) if !is_callers(source) => 1,
                _ => 2,
            },
        }
    }

    /// Whether the reader of standard output has gone, as `head` does: no mistake, and nothing to
    /// say.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == ErrorKind::BrokenPipe)
    }

    /// The message with those of its causes.
    pub(crate) fn chain(&self) -> impl fmt::Display {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            cause = error.source();
        }
        text
    }
}

fn lines(errors: &[CliError]) -> String {
    let line = |error: &CliError| format!("\n  {}", error.chain());
    errors.iter().map(line).collect()
}

/// What the system said, where it said anything.
fn io_cause(error: &CliError) -> Option<&io::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

/// Whether the caller named a path or a file that cannot be, and nothing went wrong on the way.
fn is_callers(source: &io::Error) -> bool {
    if source.raw_os_error().is_some_and(|code| code == ELOOP) {
        return true;
    }
    [
        ErrorKind::AlreadyExists,
        ErrorKind::InvalidData,
        ErrorKind::InvalidFilename,
        ErrorKind::InvalidInput,
        ErrorKind::IsADirectory,
        ErrorKind::NotADirectory,
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::UnexpectedEof,
    ]
    .contains(&source.kind())
}

#[cfg(test)]
mod tests {
    use peft_train::Divergence;

    use super::*;

    #[test]
    fn the_status_says_whose_fault_it_is() {
        let reading = |kind: ErrorKind| {
            let source = io::Error::from(kind);
            CliError::Train(TrainError::Io {
                action: "read",
                path: "rows.jsonl".into(),
                source,
            })
        };
        assert_eq!(reading(ErrorKind::NotFound).exit_status(), 2);
        assert_eq!(reading(ErrorKind::IsADirectory).exit_status(), 2);
        assert_eq!(reading(ErrorKind::InvalidFilename).exit_status(), 2);
        assert!(is_callers(&io::Error::from_raw_os_error(ELOOP)));
        assert_eq!(reading(ErrorKind::StorageFull).exit_status(), 1);
        let full = CliError::Train(TrainError::Observer(Box::new(CliError::Io {
            action: "write",
            path: "run/best".into(),
            source: io::Error::from(ErrorKind::StorageFull),
        })));
        assert_eq!(full.exit_status(), 1);
        assert_eq!(CliError::Usage("no".into()).exit_status(), 2);
        let diverged = CliError::Train(TrainError::Diverged {
            step: 3,
            what: Divergence::Loss(f64::NAN),
            rows: vec![1, 4],
            cause: "the learning rate".into(),
        });
        assert_eq!(diverged.exit_status(), 1);
        assert_eq!(
            full.chain().to_string(),
            "cannot write run/best: no storage space"
        );
    }
}
