//! [`Lock`]: one run at a time in a directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use crate::error::CliError;
use crate::say::say;

/// The file that is locked. It stays; what counts is the lock, which the system releases however a
/// run ends.
const FILE: &str = "run.lock";

/// A directory that no other run writes into as long as this is held.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Lock a directory that is there.
    pub(super) fn take(dir: &Path) -> Result<Self, CliError> {
        let path = dir.join(FILE);
        let failed = |action| {
            let path = path.clone();
            move |source| CliError::Io {
                action,
                path,
                source,
            }
        };
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CliError::Usage(format!(
                    "another run is writing into {}: wait for its end, or name another directory",
                    dir.display()
                )));
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                let dir = dir.display();
                say!("{dir} cannot be locked, so see to it that no other run writes there");
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
        }
        Ok(Self { _file: file })
    }
}
