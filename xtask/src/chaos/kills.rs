//! Runs of every method that are killed at any instant, and go on.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Report;
use super::place::{Place, RUN, files};

/// Each with what it needs.
pub(super) const METHODS: [&str; 15] = [
    "lora --dropout 0.1",
    "ia3",
    "prompt-tuning",
    "p-tuning",
    "prefix-tuning",
    "full",
    "head",
    "top-layers --layers 1",
    "freeze-bottom --layers 1",
    "bitfit",
    "norms",
    "matching --params .*down_proj.weight",
    "gradual --every 8",
    "lisa --layers 1 --every 8",
    "badam --every 8",
];

/// A method without what it needs.
pub(super) fn name(method: &str) -> &str {
    method.split(' ').next().unwrap_or(method)
}

pub(super) fn run(place: &Place, kills: u64, seed: u64, report: &mut Report) -> io::Result<()> {
    let rng = &mut StdRng::seed_from_u64(seed);
    for method in METHODS {
        let name = name(method);
        let begin = format!("{RUN} --method {method} --out");
        let started = Instant::now();
        let whole = place.run(&format!("{begin} whole"))?;
        let took = started.elapsed().as_millis() as u64;
        if !whole.succeeded() {
            report.fault(format!("{name}: {}", whole.last()));
            continue;
        }
        let expected = place.results("whole")?;
        let (mut same, mut anew, mut torn, mut done) = (0, 0, 0, 0);
        for kill in 0..kills {
            let mut child = place.command(&format!("{begin} cut")).spawn()?;
            sleep(Duration::from_millis(rng.random_range(0..took.max(1))));
            child.kill()?;
            child.wait()?;
            let there = place.path("cut").exists();
            let left = if there {
                files(&place.path("cut"))?
            } else {
                Vec::new()
            };
            let partial =
                |name: &std::path::PathBuf| name.to_string_lossy().contains(".unfinished");
            torn += u64::from(left.iter().any(partial));
            let mut ended = place.run("train --resume --out cut")?;
            if ended.refused() && ended.said.contains("no run to resume") {
                anew += 1;
                ended = place.run(&format!("{begin} cut"))?;
            }
            let finished = ended.refused() && ended.said.contains("the run is done");
            done += u64::from(finished);
            if !(ended.succeeded() || finished) {
                report.fault(format!("{name}, kill {kill}: {}", ended.last()));
            } else if place.results("cut")? == expected {
                same += 1;
            } else {
                report.fault(format!("{name}, kill {kill}: other bytes"));
            }
            place.remove("cut")?;
        }
        place.remove("whole")?;
        report.figure(format!(
            "killed: {name}: {same} of {kills} end byte-identical ({anew} killed before they were a run, {done} when all was done, {torn} with a file written in part)"
        ));
    }
    Ok(())
}
