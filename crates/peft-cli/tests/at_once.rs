//! Several runs of one process, at once on one base.

mod common;

use std::fs;

use common::models::{refused, write};
use common::{Place, said, words};

const TRAIN: &str =
    "train --model model --train train.jsonl --valid valid.jsonl --rank 2 --batch-size 4";
const FILE: &str = "adapter_model.safetensors";

fn file(place: &Place, name: &str, text: &str) {
    fs::write(place.path(name), text).expect("it is written");
}

fn of(place: &Place, run: &str) -> Vec<u8> {
    place.read(&format!("{run}/{FILE}"))
}

#[test]
fn a_sweep_at_once_is_its_runs_one_after_the_other() {
    let place = Place::new();
    for (flags, names) in [
        (
            "--epochs 2 --sweep lr=1e-6,2e-2,5e-3",
            ["lr-1e-6", "lr-2e-2", "lr-5e-3"],
        ),
        (
            "--max-steps 7 --lr 0.01 --sweep seed=1,2,3",
            ["seed-1", "seed-2", "seed-3"],
        ),
        // Of unlike lengths, and of other methods.
        (
            "--lr 0.01 --sweep epochs=1,2,3",
            ["epochs-1", "epochs-2", "epochs-3"],
        ),
        (
            "--epochs 1 --dtype bf16 --sweep method=lora,loha,vera",
            ["method-lora", "method-loha", "method-vera"],
        ),
    ] {
        let apart = format!("{TRAIN} {flags} --out apart-{}", names[0]);
        let together = format!("{TRAIN} {flags} --at-once --out once-{}", names[0]);
        let (apart, together) = (place.runs(&words(&apart)), place.runs(&words(&together)));
        let in_one = |text: &str| text.replace("apart-", "once-");
        assert_eq!(in_one(&apart), in_one(&together), "{flags}");
        for name in names {
            let [apart, once] = ["apart", "once"].map(|how| format!("{how}-{}/{name}", names[0]));
            assert_eq!(of(&place, &apart), of(&place, &once), "{flags} {name}");
        }
    }
}

#[test]
fn runs_of_files_have_rows_and_settings_of_their_own() {
    let place = Place::new();
    write(
        &place,
        "texts.jsonl",
        &[r#"{"text": "a noun of a place, or of what is there"}"#; 9],
    );
    let file = |name: &str, text: &str| file(&place, name, text);
    file("nouns.toml", "rank = 3\nlr = 0.01\nrslora = true");
    // Also where what trains asks for a dense base, as this one is.
    file("norms.toml", "method = 'norms'");
    file(
        "texts.toml",
        "train = 'texts.jsonl'\nsplit = 0.2\nbatch-size = 2\nout = 'elsewhere'",
    );
    let flags = "train --model model --max-steps 5 --seed 4";
    file(
        "prefix.toml",
        "method = 'prefix-tuning'\nvirtual-tokens = 3",
    );
    let files = "nouns.toml texts.toml prefix.toml norms.toml";
    let all = format!("{flags} --train train.jsonl --runs {files} --out all");
    let text = said(&place, &all);
    for name in ["[nouns] ", "[texts] "] {
        assert!(text.contains(name), "{text}");
    }
    let nouns = format!("{flags} --train train.jsonl --rank 3 --lr 0.01 --rslora --out nouns");
    said(&place, &nouns);
    let texts = format!("{flags} --train texts.jsonl --split 0.2 --batch-size 2 --out texts");
    said(&place, &texts);
    said(
        &place,
        &format!("{flags} --train train.jsonl --method norms --out norms"),
    );
    assert_eq!(of(&place, "all/norms"), of(&place, "norms"));
    let prefix = "--method prefix-tuning --virtual-tokens 3 --out prefix";
    said(&place, &format!("{flags} --train train.jsonl {prefix}"));
    assert_eq!(of(&place, "all/prefix"), of(&place, "prefix"));
    assert_eq!(of(&place, "all/nouns"), of(&place, "nouns"));
    assert_eq!(of(&place, "elsewhere"), of(&place, "texts"));
    // Each can go on by itself, and all together: what is done is not done again.
    said(&place, "train --resume --out all/nouns --max-steps 7");
    let text = said(&place, &all);
    assert_eq!(text.matches("is done already").count(), 4, "{text}");
}

#[test]
fn one_that_fails_leaves_the_others() {
    let place = Place::new();
    let file = |name: &str, text: &str| file(&place, name, text);
    file("good.toml", "lr = 0.01");
    file("wild.toml", "lr = 1e30");
    file("lost.toml", "train = 'nothing.jsonl'");
    let line = format!("{TRAIN} --max-steps 4 --runs good.toml wild.toml lost.toml --out all");
    let out = place.run(&words(&line));
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(String::from_utf8_lossy(&out.stdout).contains("good |"));
    assert!(
        text.contains("nothing.jsonl") && text.contains("wild: "),
        "{text}"
    );
    said(
        &place,
        &format!("{TRAIN} --max-steps 4 --lr 0.01 --out alone"),
    );
    assert_eq!(of(&place, "all/good"), of(&place, "alone"));
    assert!(!place.path("all/lost").exists());
}

#[test]
fn what_cannot_be_at_once_is_refused() {
    let place = Place::new();
    let file = |name: &str, text: &str| file(&place, name, text);
    file("a.toml", "rank = 4");
    file("b.toml", "dtype = 'bf16'");
    file("c.toml", "rnak = 4");
    file("d.toml", "out = 'no/a'");
    file(
        "labels.jsonl",
        "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}",
    );
    for (flags, part) in [
        ("--at-once", "--sweep"),
        ("--runs a.toml --sweep lr=1,2", "cannot be used with"),
        ("--runs a.toml b.toml", "one base"),
        ("--runs a.toml c.toml", "did you mean `rank`?"),
        ("--runs a.toml d.toml", "both to be in"),
        ("--runs a.toml none.toml", "none.toml"),
        ("--runs a.toml --dropout 0.1", "dropout"),
        ("--runs a.toml --device flex,flex", "one device"),
        ("--runs a.toml --model fresh", "fresh has none"),
    ] {
        let line = match flags.contains("--model") {
            true => format!("{TRAIN} {flags} --out no").replace("--model model ", ""),
            false => format!("{TRAIN} {flags} --out no"),
        };
        refused(&place, &line, part);
    }
    let labels = "train --model model --train labels.jsonl --runs a.toml --out no";
    refused(&place, labels, "have labels");
}

/// One signal ends them all where they go on, also where a run has ended before.
#[cfg(unix)]
#[test]
fn a_signal_ends_all_where_they_go_on() {
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    let place = Place::new();
    let flags = "--lr 0.01 --sweep max-steps=3,400,401";
    let line = format!("{TRAIN} {flags} --at-once --out once");
    let child = common::command(&words(&line))
        .current_dir(place.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let (started, first) = (Instant::now(), place.path("once/max-steps-3").join(FILE));
    while !first.exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "no first run");
        sleep(Duration::from_millis(2));
    }
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill runs").success());
    let ended = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{text}");
    for run in ["max-steps-400", "max-steps-401"] {
        assert!(
            text.contains(&format!("--resume --out once/{run}")),
            "{text}"
        );
    }
    said(&place, &line);
    said(&place, &format!("{TRAIN} {flags} --out apart"));
    for run in ["max-steps-3", "max-steps-400", "max-steps-401"] {
        let [once, apart] = ["once", "apart"].map(|of| of_run(&place, of, run));
        assert_eq!(once, apart, "{run}");
    }
}

#[cfg(unix)]
fn of_run(place: &Place, all: &str, run: &str) -> Vec<u8> {
    of(place, &format!("{all}/{run}"))
}
