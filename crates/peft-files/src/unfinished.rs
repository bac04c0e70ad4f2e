//! What is being written: names of its own beside its place, and what takes it away.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the names of unfinished things end in.
pub(crate) const END: &str = ".unfinished";
/// Names that are tried before giving up.
const TRIES: usize = 100;

/// All that this process is writing.
static WRITING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn writing() -> MutexGuard<'static, Vec<PathBuf>> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something under a name of its own. Dropped, it is taken away.
#[derive(Debug)]
pub(crate) struct Unfinished(PathBuf);

impl Unfinished {
    /// Make something beside `place` by `make`, which must fail where the name is taken.
    pub(crate) fn make<T>(
        place: &Path,
        make: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let start = start(place)?;
        for _ in 0..TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut name = start.clone();
            name.push(format!("{:x}-{number:x}{END}", process::id()));
            let path = place.with_file_name(name);
            // Noted before it is there, so that a signal between the two leaves nothing.
            let mut all = writing();
            match make(&path) {
                Ok(made) => {
                    all.push(path.clone());
                    return Ok((Self(path), made));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Rename it into its place.
    pub(crate) fn finish(self, place: &Path) -> io::Result<()> {
        let mut all = writing();
        fs::rename(&self.0, place)?;
        all.retain(|path| *path != self.0);
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut all = writing();
        let before = all.len();
        all.retain(|path| *path != self.0);
        if all.len() < before {
            remove(&self.0);
        }
    }
}

/// What the names beside `place` begin with.
pub(crate) fn start(place: &Path) -> io::Result<OsString> {
    let name = place.file_name().ok_or(ErrorKind::InvalidFilename)?;
    let mut start = OsString::from(".");
    start.push(short(name));
    start.push(".");
    Ok(start)
}

/// A name that leaves room for what is put around it.
fn short(name: &OsStr) -> OsString {
    const ROOM: usize = 180;
    match name.to_str() {
        Some(text) if text.len() > ROOM => {
            let cut = text.char_indices().map(|(at, _)| at);
            text[..cut.take_while(|at| *at <= ROOM).last().unwrap_or(0)].into()
        }
        _ => name.into(),
    }
}

fn remove(path: &Path) {
    // A link is no directory here: what it leads to is not ours.
    let is_dir = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let _ = match is_dir {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
}

/// Take away all that this process has begun to write and not finished: for a process that ends
/// where nothing is dropped any more, as by a signal. Nothing more can be begun after that.
pub fn abandon() {
    let all = writing();
    all.iter().for_each(|path| remove(path));
    // Held for ever: another thread may be about to begin or to rename.
    std::mem::forget(all);
}
