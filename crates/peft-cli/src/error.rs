//! [`CliError`]: what ends the command, and with which status.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use peft_core::PeftError;
use peft_store::{AdapterFileError, CheckpointError};
use peft_train::TrainError;

/// What ends the command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Peft(#[from] PeftError),
    #[error(transparent)]
    Adapter(#[from] AdapterFileError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error("{0}")]
    Usage(String),
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the merged model differs from the unmerged one by {difference:.3e} in its logits, more than {limit:.1e}; nothing was written"
    )]
    MergeDiffers { difference: f64, limit: f64 },
}

impl CliError {
    /// 2 for the caller's mistake, 1 for anything else.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::MergeDiffers { .. } | Self::Train(TrainError::Diverged { .. }) => 1,
            Self::Io { source, .. } if source.kind() != std::io::ErrorKind::NotFound => 1,
            _ => 2,
        }
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
