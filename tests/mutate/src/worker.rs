//! The process that reads: it says which seed it is at, what it came to, and dies where a reader
//! aborts.

use std::io::{self, Write};

use crate::run::Kind;
use crate::sound::{ReadOutcome, Sound};

/// The variable that says what to do: kind, first seed, and the one that is no longer tried.
pub(crate) const WORKER: &str = "PEFT_MUTATE_WORKER";
/// Before a seed that is tried.
pub(crate) const AT: &str = "@at";
/// Before a seed and what is wrong.
pub(crate) const FAULT: &str = "@fault";
/// Before 1 where a directory was read or 0, the growth in KiB and the time in ms.
pub(crate) const READ: &str = "@read";

pub(crate) fn run(work: &str, kinds: &[Kind<'_>]) {
    let numbers: Vec<u64> = work.split(' ').map_while(|n| n.parse().ok()).collect();
    let [kind, from, to] = numbers[..] else {
        panic!("{work}");
    };
    let mut sound = Sound::new(&kinds[kind as usize]);
    for seed in from..to {
        say(&format!("{AT} {seed}"));
        let place = sound.place(seed);
        let changed = sound.mutated(seed, place.name, place.bytes);
        match sound.read(place, &changed) {
            Ok(ReadOutcome {
                read,
                growth_kib,
                millis,
            }) => say(&format!("{READ} {} {growth_kib} {millis}", u8::from(read))),
            Err(fault) => say(&format!("{FAULT} {seed}: {fault}")),
        }
    }
}

fn say(line: &str) {
    writeln!(io::stdout(), "{line}").expect("the other end reads");
}
