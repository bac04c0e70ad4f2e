//! [`StateDir`]: the states of a run in its directory, the newest and the one before it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{TrainState, state::io_error};
use crate::TrainError;

/// The newest state.
const NEWEST: &str = "resume.safetensors";
/// The one before it.
const PREVIOUS: &str = "resume.previous.safetensors";
/// That after the last step of a run that is done.
const FINAL: &str = "final.safetensors";
/// One that is being written.
const NEXT: &str = "resume.next.safetensors";

/// All of them, the newest first: one that was written whole and not put in its place yet is newer
/// than what is there.
const ALL: [&str; 4] = [NEXT, NEWEST, PREVIOUS, FINAL];

/// Two generations of states, so that there is a good one at any instant: what is written is on
/// disk before it takes the newest one's place, which takes that of the one before it.
#[derive(Debug, Clone)]
pub struct StateDir {
    dir: PathBuf,
}

/// A state that was found, and what was passed over for it.
#[derive(Debug)]
pub struct FoundState {
    /// The newest state that is whole.
    pub state: TrainState,
    /// Its file.
    pub path: PathBuf,
    /// Why a newer one cannot be used, if there is one.
    pub damaged: Option<TrainError>,
}

impl StateDir {
    /// States in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where the newest state is.
    pub fn path(&self) -> PathBuf {
        self.dir.join(NEWEST)
    }

    /// Whether any state is there, whole or not.
    pub fn is_any(&self) -> bool {
        ALL.iter().any(|name| self.dir.join(name).exists())
    }

    /// Keep a state as the newest one.
    ///
    /// # Errors
    ///
    /// Those of [`TrainState::save`]; the states that were there are as they were.
    pub fn save(&self, state: &TrainState) -> Result<(), TrainError> {
        let (next, newest) = (self.dir.join(NEXT), self.path());
        state.save(&next)?;
        if newest.exists() {
            rename(&newest, &self.dir.join(PREVIOUS))?;
        }
        rename(&next, &newest)?;
        peft_files::sync_dir(&self.dir).map_err(|source| io_error("write", &newest, source))
    }

    /// Keep the state of a run that is done, with which it can go on longer, and remove those on
    /// the way there; its file.
    ///
    /// # Errors
    ///
    /// Those of [`TrainState::save`], and [`TrainError::Io`].
    pub fn finish(&self, state: &TrainState) -> Result<PathBuf, TrainError> {
        let kept = self.dir.join(FINAL);
        state.save(&kept)?;
        for name in [NEWEST, PREVIOUS, NEXT] {
            let path = self.dir.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(kept)
    }

    /// The newest state that is whole; none where there is no state at all.
    ///
    /// # Errors
    ///
    /// That of the newest one, where none is whole.
    pub fn load(&self) -> Result<Option<FoundState>, TrainError> {
        let mut damaged = None;
        for name in ALL {
            let path = self.dir.join(name);
            if !path.exists() {
                continue;
            }
            match TrainState::load(&path) {
                Ok(state) => {
                    return Ok(Some(FoundState {
                        state,
                        path,
                        damaged,
                    }));
                }
                Err(error) => damaged = damaged.or(Some(error)),
            }
        }
        damaged.map_or(Ok(None), Err)
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), TrainError> {
    fs::rename(from, to).map_err(|source| io_error("write", to, source))
}
