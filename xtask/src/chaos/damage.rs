//! Every file of a run damaged in turn: the run ends at the same bytes, or is refused.

use std::fs;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Report;
use super::kills::name;
use super::place::{Place, RUN, files};

/// How a file is damaged; none where it is taken away.
type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;

const DAMAGES: [(&str, Damage); 6] = [
    ("first bit", |bytes| flipped(bytes, |_| 0)),
    ("middle bit", |bytes| flipped(bytes, |n| n / 2)),
    ("last bit", |bytes| flipped(bytes, |n| n - 1)),
    ("cut in half", |mut bytes| {
        bytes.truncate(bytes.len() / 2);
        Some(bytes)
    }),
    ("emptied", |_| Some(Vec::new())),
    ("taken away", |_| None),
];

fn flipped(mut bytes: Vec<u8>, at: impl Fn(usize) -> usize) -> Option<Vec<u8>> {
    if !bytes.is_empty() {
        let at = at(bytes.len());
        bytes[at] ^= 4;
    }
    Some(bytes)
}

pub(super) fn run(place: &Place, report: &mut Report) -> io::Result<()> {
    for method in ["lora --rank 2 --dropout 0.1", "full"] {
        of(place, method, report)?;
    }
    Ok(())
}

fn of(place: &Place, method: &str, report: &mut Report) -> io::Result<()> {
    let name = name(method);
    let begin = format!("{RUN} --eval-every 5 --method {method} --out");
    let whole = place.run(&format!("{begin} whole"))?;
    if !whole.succeeded() {
        report.fault(format!("damaged: {name}: {}", whole.last()));
        return Ok(());
    }
    let expected = place.results("whole")?;
    let mut child = place.command(&format!("{begin} cut")).spawn()?;
    let started = Instant::now();
    let steps = || fs::read_to_string(place.path("cut/metrics.jsonl")).unwrap_or_default();
    while steps().lines().count() < 15 && started.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    let (mut same, mut refused, mut tried) = (0, 0, 0);
    for file in files(&place.path("cut"))? {
        let inside = file
            .strip_prefix(place.path("cut"))
            .unwrap_or(&file)
            .to_owned();
        for (how, damage) in DAMAGES {
            place.copy("cut", "damaged")?;
            let path = place.path("damaged").join(&inside);
            match damage(fs::read(&path)?) {
                Some(bytes) => fs::write(&path, bytes)?,
                None => fs::remove_file(&path)?,
            }
            let ended = place.run("train --resume --out damaged")?;
            let what = format!("damaged: {name}: {}: {how}", inside.display());
            tried += 1;
            if ended.refused() {
                refused += 1;
            } else if !ended.succeeded() {
                report.fault(format!("{what}: {}", ended.last()));
            } else {
                let found = place.results("damaged")?;
                let other = expected
                    .iter()
                    .filter(|(name, bytes)| found.get(*name) != Some(bytes));
                let other: Vec<String> =
                    other.map(|(name, _)| name.display().to_string()).collect();
                match other.is_empty() {
                    true => same += 1,
                    false => report.fault(format!("{what}: other bytes in {}", other.join(", "))),
                }
            }
            place.remove("damaged")?;
        }
    }
    place.remove("cut")?;
    place.remove("whole")?;
    report.figure(format!(
        "damaged: {name}: of {tried} faults {same} end byte-identical, {refused} are refused with exit 2"
    ));
    Ok(())
}
