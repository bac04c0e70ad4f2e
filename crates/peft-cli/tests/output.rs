//! Standard output and error that cannot be written: they end nothing that is not theirs, and panic
//! nowhere.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::process::{Output, Stdio};

use common::{Place, command};

/// Each verb, and a directory that it writes.
const VERBS: [(&str, Option<&str>); 8] = [
    (
        "train --model model --train train.jsonl --valid valid.jsonl --rank 2 --max-steps 12 --out run",
        Some("run"),
    ),
    ("train --resume --out run --max-steps 14", Some("run")),
    ("eval --model model --adapter run --data valid.jsonl", None),
    ("eval --model model --data valid.jsonl --json", None),
    (
        "generate --model model --prompt the --max-new-tokens 4",
        None,
    ),
    (
        "merge --model model --adapter run --out merged",
        Some("merged"),
    ),
    ("inspect model", None),
    ("inspect run --json", None),
];

fn full() -> File {
    let full = OpenOptions::new().write(true).open("/dev/full");
    full.expect("a device that is always full")
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn run(place: &Place, words: &str, out: Stdio, errors: Stdio) -> Output {
    command(&words.split_whitespace().collect::<Vec<_>>())
        .current_dir(place.path("."))
        .stdout(out)
        .stderr(errors)
        .output()
        .expect("it runs")
}

/// Runs all verbs, one after the other, and shows how each ended.
fn each(out: impl Fn() -> Stdio, errors: impl Fn() -> Stdio) -> Vec<(&'static str, Option<i32>)> {
    let place = Place::new();
    let mut ended = Vec::new();
    for (words, leaves) in VERBS {
        let output = run(&place, words, out(), errors());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{words}: {said}");
        if let Some(dir) = leaves {
            let files = fs::read_dir(place.path(dir)).map(Iterator::count);
            assert!(files.is_ok_and(|files| files > 1), "{words}: {said}");
        }
        ended.push((words, output.status.code()));
    }
    ended
}

/// Whether a verb has results to give on standard output.
fn prints(words: &str) -> bool {
    !words.starts_with("train") && !words.starts_with("merge")
}

#[test]
fn a_full_device_ends_what_has_results_to_write_on_it() {
    for (words, status) in each(|| full().into(), Stdio::piped) {
        let expected = if prints(words) { 1 } else { 0 };
        assert_eq!(status, Some(expected), "{words}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for (words, status) in each(closed, Stdio::piped) {
        assert_eq!(status, Some(0), "{words}");
    }
}

#[test]
fn what_is_said_beside_ends_nothing() {
    let kinds: [fn() -> Stdio; 2] = [|| full().into(), closed];
    for errors in kinds {
        for (words, status) in each(Stdio::null, errors) {
            assert_eq!(status, Some(0), "{words}");
        }
    }
}

#[test]
fn help_and_mistakes_are_written_without_a_panic() {
    let place = Place::new();
    for words in [
        "--help",
        "train --help",
        "--version",
        "eval",
        "nonsense",
        "inspect none",
    ] {
        let right = words.starts_with("--") || words.ends_with("--help");
        for full in [true, false] {
            let to = || {
                if full {
                    Stdio::from(self::full())
                } else {
                    closed()
                }
            };
            let ended = run(&place, words, to(), to());
            let status = if right { 0 } else { 2 };
            assert_eq!(ended.status.code(), Some(status), "{words}");
        }
    }
}
