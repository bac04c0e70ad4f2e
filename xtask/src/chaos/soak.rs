//! Work without end: one long run that is watched, and beside it runs that are killed, gone on
//! with, used and damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use peft_mutate::mutate;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::Report;
use super::kills::{METHODS, name};
use super::place::{Place, RUN, files};
use crate::shell::root;

/// What the long run may need more in its last tenth than in its first, in KiB.
const MAX_GROWTH_KIB: u64 = 16 << 10;

/// What a process held at a time.
struct Sample {
    at: Duration,
    rss_kib: u64,
    files: usize,
}

/// An undisturbed run of a method, and what is said of it.
struct WholeRun {
    results: BTreeMap<PathBuf, Vec<u8>>,
    millis: u64,
    evaluated: String,
}

#[derive(Default)]
struct Counts {
    cycles: u64,
    kills: u64,
    commands: u64,
    mutated: u64,
    taken: u64,
}

pub(super) fn run(place: &Place, minutes: u64, seed: u64, report: &mut Report) -> io::Result<()> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let length = Duration::from_secs(60 * minutes);
    let before = there(place)?;
    let mut long = begin_long(place)?;
    let (mut samples, mut counts) = (Vec::new(), Counts::default());
    let mut wholes = BTreeMap::new();
    let started = Instant::now();
    while started.elapsed() < length {
        let method = METHODS[counts.cycles as usize % METHODS.len()];
        if !wholes.contains_key(method) {
            wholes.insert(method, undisturbed(place, method)?);
        }
        cycle(place, method, &wholes[method], rng, &mut counts, report)?;
        counts.cycles += 1;
        samples.extend(sample(&long, started.elapsed()));
        if let Some(status) = long.try_wait()? {
            report.fault(format!("soak: the long run ends: {status}"));
            break;
        }
    }
    let steps = end_long(place, long, report)?;
    place.remove("long")?;
    let left: Vec<String> = there(place)?
        .into_iter()
        .filter(|path| !before.contains(path))
        .map(|path| path.display().to_string())
        .collect();
    if !left.is_empty() {
        report.fault(format!("soak: left behind: {}", left.join(", ")));
    }
    let Counts {
        cycles,
        kills,
        commands,
        mutated,
        taken,
    } = counts;
    report.figure(format!(
        "soak: {minutes} min, {cycles} cycles of {} methods: {kills} kills, {commands} other commands, {mutated} mutated directories ({taken} read, the others refused with exit 2)",
        wholes.len(),
    ));
    watched(&samples, length, steps, report);
    Ok(())
}

/// A run of the model that comes with the command, on all its rows, which does not end by itself.
fn begin_long(place: &Place) -> io::Result<Child> {
    let assets = root().join("crates/peft-cli/assets");
    let shown = assets.display();
    place
        .command(&format!(
            "train --model {shown}/model --train {shown}/wordnet/train.jsonl --valid {shown}/wordnet/valid.jsonl \
             --max-steps 100000000 --warmup 0 --eval-every 500 --save-every 100 --out long"
        ))
        .spawn()
}

/// Interrupt it, which keeps a state; how many steps it made.
fn end_long(place: &Place, mut long: Child, report: &mut Report) -> io::Result<usize> {
    let id = long.id().to_string();
    Command::new("kill").args(["-INT", &id]).status()?;
    long.wait()?;
    let metrics = fs::read_to_string(place.path("long/metrics.jsonl"))?;
    let steps = metrics
        .lines()
        .filter(|line| line.contains("\"train\":"))
        .count();
    let state = place.path("long/resume.safetensors");
    if steps == 0 || !state.exists() {
        report.fault(format!("soak: the long run: {steps} steps, and no state"));
    }
    Ok(steps)
}

fn sample(process: &Child, at: Duration) -> Option<Sample> {
    let proc = PathBuf::from(format!("/proc/{}", process.id()));
    let status = fs::read_to_string(proc.join("status")).ok()?;
    let rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(Sample {
        at,
        rss_kib: rss.trim().trim_end_matches(" kB").parse().ok()?,
        files: fs::read_dir(proc.join("fd")).ok()?.count(),
    })
}

/// The largest of the first sixth, without the very begin, and of the last.
fn watched(samples: &[Sample], length: Duration, steps: usize, report: &mut Report) {
    let within = |from: u32, to: u32| {
        let samples = samples.iter();
        let samples =
            samples.filter(move |s| s.at >= length * from / 60 && s.at < length * to / 60);
        samples.fold((0, 0), |(rss, files), sample| {
            (rss.max(sample.rss_kib), files.max(sample.files))
        })
    };
    let ((first, opened), (last, open)) = (within(1, 10), within(50, 120));
    if last > first + MAX_GROWTH_KIB || open > opened {
        report.fault("soak: the long run grows".into());
    }
    report.figure(format!(
        "soak: the long run, {steps} steps: at most {} MiB and {opened} open files in the first sixth, {} MiB and {open} in the last",
        first / 1024,
        last / 1024,
    ));
}

/// The files that are there, those of the long run left out.
fn there(place: &Place) -> io::Result<Vec<PathBuf>> {
    let all = files(&place.path("."))?;
    let long = place.path(".").join("long");
    Ok(all
        .into_iter()
        .filter(|path| !path.starts_with(&long))
        .collect())
}

fn undisturbed(place: &Place, method: &str) -> io::Result<WholeRun> {
    let started = Instant::now();
    let ended = place.run(&format!("{RUN} --method {method} --out whole"))?;
    let millis = started.elapsed().as_millis() as u64;
    if !ended.succeeded() {
        return Err(io::Error::other(ended.said));
    }
    let results = place.results("whole")?;
    let evaluated = place.printed(&format!("eval {} --json", used(method, "whole")))?;
    place.remove("whole")?;
    Ok(WholeRun {
        results,
        millis,
        evaluated: evaluated.replace("whole", "cut"),
    })
}

/// What a run came to, as other verbs take it.
fn used(method: &str, run: &str) -> String {
    match method {
        "full" => format!("--model {run} --data valid.jsonl"),
        _ => format!("--model model --adapter {run} --data valid.jsonl"),
    }
}

/// A run that is killed up to three times and ends as the undisturbed one; it is used, and then
/// read with changes.
fn cycle(
    place: &Place,
    method: &str,
    whole: &WholeRun,
    rng: &mut StdRng,
    counts: &mut Counts,
    report: &mut Report,
) -> io::Result<()> {
    let what = format!("soak: {}, cycle {}", name(method), counts.cycles);
    let begin = format!("{RUN} --method {method} --out cut");
    let mut next = begin.clone();
    for _ in 0..rng.random_range(1..4) {
        let mut child = place.command(&next).spawn()?;
        sleep(Duration::from_millis(
            rng.random_range(0..whole.millis.max(1)),
        ));
        child.kill()?;
        child.wait()?;
        counts.kills += 1;
        next = match place.path("cut/train.toml").exists() {
            true => "train --resume --out cut".into(),
            false => begin.clone(),
        };
    }
    let ended = place.run(&next)?;
    let done = ended.refused() && ended.said.contains("the run is done");
    if !(ended.succeeded() || done) {
        report.fault(format!("{what}: {}", ended.last()));
    } else if place.results("cut")? != whole.results {
        report.fault(format!("{what}: other bytes"));
    }
    let used = used(method, "cut");
    if place.printed(&format!("eval {used} --json"))? != whole.evaluated {
        report.fault(format!("{what}: another evaluation"));
    }
    let model = used.trim_end_matches(" --data valid.jsonl");
    for (words, merges) in [
        (
            format!("generate {model} --prompt hi --max-new-tokens 8 --seed 1"),
            false,
        ),
        ("inspect cut".into(), false),
        (format!("merge {model} --out merged"), true),
    ] {
        if merges && method == "full" {
            continue;
        }
        let ended = place.run(&words)?;
        counts.commands += 1;
        // Not everything can be merged.
        if !(ended.succeeded() || merges && ended.refused()) {
            report.fault(format!("{what}: {words}: {}", ended.last()));
        }
    }
    if place.path("merged").exists() {
        place.remove("merged")?;
    }
    for _ in 0..4 {
        let seed = rng.random();
        let made: Vec<&PathBuf> = whole.results.keys().collect();
        let Some(inside) = made.choose(rng) else {
            break;
        };
        let path = &place.path("cut").join(inside);
        let sound = fs::read(path)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        fs::write(path, mutate(seed, &file, &sound, &[&sound]))?;
        let ended = place.run(&format!("eval {used}"))?;
        fs::write(path, sound)?;
        counts.mutated += 1;
        counts.taken += u64::from(ended.succeeded());
        if !(ended.succeeded() || ended.refused()) {
            report.fault(format!("{what}: {file}, seed {seed}: {}", ended.last()));
        }
    }
    place.remove("cut")
}
