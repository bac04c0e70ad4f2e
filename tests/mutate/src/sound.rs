//! [`Sound`]: sound directories on disk, one file of which is another while they are read.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tempfile::TempDir;

use crate::mutate;
use crate::run::{Kind, MAX_GROWTH_KIB};

/// Where the last panic was.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// The sound directories of a kind, on disk, and a place in them: a file that is changed.
pub struct Sound<'k, 'a> {
    kind: &'k Kind<'a>,
    dirs: Vec<TempDir>,
    peak_kib: u64,
}

/// A file of a sound directory.
#[derive(Clone, Copy)]
pub struct Place<'k> {
    of: usize,
    /// Its name.
    pub name: &'k str,
    /// Its bytes.
    pub bytes: &'k [u8],
}

/// What reading came to.
pub struct ReadOutcome {
    /// Whether it was read.
    pub read: bool,
    /// KiB by which the peak of the process rose.
    pub growth_kib: u64,
    /// How long it took.
    pub millis: u128,
}

impl<'k, 'a> Sound<'k, 'a> {
    /// Write them. Panics are silent from then on.
    ///
    /// # Panics
    ///
    /// Where a sound directory is refused, or nothing can be written.
    pub fn new(kind: &'k Kind<'a>) -> Self {
        let dirs: Vec<TempDir> = kind
            .sound
            .iter()
            .map(|_| tempfile::tempdir().expect("a directory"))
            .collect();
        for (of, (dir, files)) in dirs.iter().zip(&kind.sound).enumerate() {
            for (name, bytes) in files {
                fs::write(dir.path().join(name), bytes).expect("it is written");
            }
            let read = (kind.read)(dir.path(), of);
            assert!(read, "{}: sound directory {of} is refused", kind.name);
        }
        set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place.unwrap_or_default();
        }));
        Self {
            kind,
            dirs,
            peak_kib: peak_kib(),
        }
    }

    /// A file of a directory, by a number: each has its turn.
    pub fn place(&self, number: u64) -> Place<'k> {
        let of = number as usize % self.dirs.len();
        let files = &self.kind.sound[of];
        let at = number as usize / self.dirs.len() % files.len();
        let (name, bytes) = files.iter().nth(at).expect("there is one");
        Place { of, name, bytes }
    }

    /// These bytes of the file of that name with the change of this seed.
    pub fn mutated(&self, seed: u64, name: &str, bytes: &[u8]) -> Vec<u8> {
        let donors = self.kind.sound.iter();
        let donors: Vec<&[u8]> = donors
            .filter_map(|files| files.get(name).map(Vec::as_slice))
            .collect();
        mutate(seed, name, bytes, &donors)
    }

    /// Read with these bytes in that place.
    ///
    /// # Errors
    ///
    /// What is wrong: a panic, or memory that rose by more than [`MAX_GROWTH_KIB`].
    pub fn read(&mut self, place: Place<'_>, bytes: &[u8]) -> Result<ReadOutcome, String> {
        let dir = self.dirs[place.of].path();
        let path: PathBuf = dir.join(place.name);
        fs::write(&path, bytes).expect("it is written");
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (self.kind.read)(dir, place.of)));
        let millis = started.elapsed().as_millis();
        let growth_kib = peak_kib().saturating_sub(self.peak_kib);
        self.peak_kib += growth_kib;
        fs::write(&path, place.bytes).expect("it is written");
        match result {
            Ok(_) if growth_kib > MAX_GROWTH_KIB => {
                Err(format!("{}: {} MiB", place.name, growth_kib / 1024))
            }
            Ok(read) => Ok(ReadOutcome {
                read,
                growth_kib,
                millis,
            }),
            Err(payload) => Err(format!("{}: {}", place.name, told(payload.as_ref()))),
        }
    }
}

/// What a reader panicked with, in one line.
fn told(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    let text: String = text.unwrap_or("no text").escape_debug().take(300).collect();
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    format!("panics at {place}: {text}")
}

/// The highest address space that this process has had; 0 where the system does not say.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}
