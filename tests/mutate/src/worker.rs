//! The process that reads: it says which seed it is at, what it came to, and dies where a reader
//! aborts.

use std::any::Any;
use std::fs;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::mutate;
use crate::run::{Kind, MAX_GROWTH_KIB};

/// The variable that says what to do: kind, first seed, and the one that is no longer tried.
pub(crate) const WORKER: &str = "PEFT_MUTATE_WORKER";
/// Before a seed that is tried.
pub(crate) const AT: &str = "@at";
/// Before a seed and what is wrong.
pub(crate) const FAULT: &str = "@fault";
/// Before 1 where a directory was read or 0, the growth in KiB and the time in ms.
pub(crate) const READ: &str = "@read";

/// Where the last panic was.
static PLACE: Mutex<String> = Mutex::new(String::new());

pub(crate) fn run(work: &str, kinds: &[Kind<'_>]) {
    let numbers: Vec<u64> = work.split(' ').map_while(|n| n.parse().ok()).collect();
    let [kind, from, to] = numbers[..] else {
        panic!("{work}");
    };
    let kind = &kinds[kind as usize];
    let dirs: Vec<tempfile::TempDir> = kind
        .sound
        .iter()
        .map(|_| tempfile::tempdir().expect("a directory"))
        .collect();
    for (of, (dir, files)) in dirs.iter().zip(&kind.sound).enumerate() {
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).expect("it is written");
        }
        assert!(
            (kind.read)(dir.path(), of),
            "{}: sound directory {of} is refused",
            kind.name
        );
    }
    set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place.unwrap_or_default();
    }));
    let mut peak = peak_kib();
    for seed in from..to {
        say(&format!("{AT} {seed}"));
        let of = seed as usize % dirs.len();
        let (dir, files) = (dirs[of].path(), &kind.sound[of]);
        let place = seed as usize / dirs.len() % files.len();
        let (name, sound) = files.iter().nth(place).expect("there is one");
        let donors: Vec<&[u8]> = kind
            .sound
            .iter()
            .filter_map(|files| files.get(name).map(Vec::as_slice))
            .collect();
        let path = dir.join(name);
        let changed = mutate(seed, name, sound, &donors);
        fs::write(&path, &changed).expect("it is written");
        drop(changed);
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (kind.read)(dir, of)));
        let millis = started.elapsed().as_millis();
        let growth = peak_kib().saturating_sub(peak);
        peak += growth;
        match result {
            Ok(_) if growth > MAX_GROWTH_KIB => {
                say(&format!("{FAULT} {seed}: {name}: {} MiB", growth / 1024));
            }
            Ok(read) => say(&format!("{READ} {} {growth} {millis}", u8::from(read))),
            Err(payload) => say(&format!(
                "{FAULT} {seed}: {name}: {}",
                told(payload.as_ref())
            )),
        }
        restore(&path, sound);
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

fn restore(path: &Path, sound: &[u8]) {
    fs::write(path, sound).expect("it is written");
}

fn say(line: &str) {
    writeln!(io::stdout(), "{line}").expect("the other end reads");
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
