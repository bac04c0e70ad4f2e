//! Runs that are interrupted, damaged, or run twice.
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Place, command, flags};

fn start(place: &Place, extra: &str) -> Child {
    command(&flags(extra))
        .current_dir(place.path("."))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs")
}

fn wait_for(place: &Place, file: &str) {
    let started = Instant::now();
    while !place.path(file).exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "no {file}");
        sleep(Duration::from_millis(2));
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &id])
        .status();
    assert!(sent.expect("kill runs").success());
}

fn adapter(place: &Place, run: &str) -> Vec<u8> {
    place.read(&format!("{run}/adapter_model.safetensors"))
}

#[test]
fn a_signal_ends_a_run_where_it_goes_on() {
    let place = Place::new();
    place.runs(&flags("--max-steps 150 --save-every 1000 --out whole"));
    for (name, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let out = format!("by{name}");
        let child = start(
            &place,
            &format!("--max-steps 150 --save-every 1000 --out {out}"),
        );
        // Before the first step, or a few steps later.
        wait_for(&place, &format!("{out}/metrics.jsonl"));
        signal(&child, name);
        let ended = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(status), "{said}");
        assert!(
            said.contains(&format!("peft train --resume --out {out}")),
            "{said}"
        );
        assert!(said.contains(&format!("SIG{name}")), "{said}");
        assert!(place.path(&out).join("resume.safetensors").exists());
        place.runs(&["train", "--resume", "--out", &out]);
        assert!(adapter(&place, "whole") == adapter(&place, &out), "{name}");
        assert!(
            place.read("whole/best/adapter_model.safetensors")
                == place.read(&format!("{out}/best/adapter_model.safetensors"))
        );
    }
}

#[test]
fn a_run_that_was_killed_before_its_first_state_begins_anew() {
    let place = Place::new();
    let settings = "--max-steps 60 --save-every 1000 --out";
    place.runs(&flags(&format!("{settings} whole")));
    for (out, again) in [
        ("a", "train --resume --out a".to_owned()),
        ("b", flags(&format!("{settings} b")).join(" ")),
    ] {
        let mut child = start(&place, &format!("{settings} {out}"));
        wait_for(&place, &format!("{out}/train.toml"));
        child.kill().expect("it is killed");
        let ended = child.wait().expect("it ends");
        assert_eq!(ended.signal(), Some(9));
        assert!(!place.path(out).join("resume.safetensors").exists());
        let again: Vec<&str> = again.split_whitespace().collect();
        let ended = place.run(&again);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(
            ended.status.success() && said.contains("begins anew"),
            "{said}"
        );
        assert!(adapter(&place, "whole") == adapter(&place, out));
    }
}

#[test]
fn a_best_model_without_a_state_is_found_again_by_the_same_run_alone() {
    let place = Place::new();
    let settings = "--max-steps 400 --save-every 1000 --eval-every 2 --out";
    place.kills(
        &flags(&format!("{settings} cut")),
        "cut/best/adapter_model.safetensors",
    );
    assert!(!place.path("cut/resume.safetensors").exists());
    let other = flags("--max-steps 400 --save-every 1000 --eval-every 4 --out cut");
    let message = place.refuses(&other);
    assert!(message.contains("settings were others"), "{message}");
    let message = place.refuses(&["train", "--resume", "--out", "cut", "--weight-decay", "0.1"]);
    assert!(message.contains("settings were others"), "{message}");
    assert!(place.path("cut/best/adapter_model.safetensors").exists());
    // What lies there is no result of the run that begins.
    fs::write(place.path("cut/best/stray"), "").expect("it is written");
    let ended = place.run(&flags(&format!("{settings} cut")));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        ended.status.success() && said.contains("begins anew"),
        "{said}"
    );
    assert!(!place.path("cut/best/stray").exists());
    place.runs(&flags(&format!("{settings} whole")));
    for file in [
        "adapter_model.safetensors",
        "best/adapter_model.safetensors",
    ] {
        let of = |run: &str| place.read(&format!("{run}/{file}"));
        assert!(of("whole") == of("cut"), "{file}");
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let place = Place::new();
    // The first signal is looked at when the validation is through, which takes long.
    let rows = fs::read_to_string(place.path("valid.jsonl")).expect("rows");
    fs::write(place.path("valid.jsonl"), rows.repeat(1000)).expect("it is written");
    let child = start(&place, "--max-steps 5 --out run");
    wait_for(&place, "run/metrics.jsonl");
    signal(&child, "TERM");
    sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(!said.contains("--resume"), "{said}");
    assert!(!place.path("run/resume.safetensors").exists(), "{said}");
}

/// A run that was killed once it had two states.
fn cut(place: &Place, out: &str) {
    place.kills(
        &flags(&format!("--max-steps 150 --save-every 2 --out {out}")),
        &format!("{out}/resume.previous.safetensors"),
    );
}

#[test]
fn damage_costs_steps_and_no_run() {
    let place = Place::new();
    place.runs(&flags("--max-steps 150 --save-every 2 --out whole"));
    cut(&place, "cut");
    let newest = place.path("cut/resume.safetensors");
    if let Ok(mut bytes) = fs::read(&newest) {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&newest, bytes).expect("it is written");
    }
    // A line of the metrics that is no text costs that line.
    let metrics = place.path("cut/metrics.jsonl");
    let mut text = fs::read(&metrics).expect("it is read");
    text[3] = 0xff;
    fs::write(&metrics, text).expect("it is written");
    let ended = place.run(&["train", "--resume", "--out", "cut"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(
        said.contains("the newest state is not used") && said.contains("resume.previous"),
        "{said}"
    );
    assert!(adapter(&place, "whole") == adapter(&place, "cut"));
    let lines = |run: &str| {
        place
            .read(&format!("{run}/metrics.jsonl"))
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    };
    assert_eq!(lines("whole"), lines("cut") + 1);
}

#[test]
fn a_refused_resume_changes_nothing() {
    let place = Place::new();
    cut(&place, "cut");
    let files = ["train.toml", "metrics.jsonl", "resume.safetensors"];
    let before = files.map(|file| place.read(&format!("cut/{file}")));
    let other = fs::read_to_string(place.path("train.jsonl")).expect("rows");
    fs::write(
        place.path("other.jsonl"),
        other.replace("category", "kategory"),
    )
    .expect("rows");
    for (change, part) in [
        ("--alpha 64", "alpha"),
        ("--dropout 0.3", "dropout"),
        ("--dtype bf16", "dtype"),
        ("--device ndarray", "device"),
        ("--train other.jsonl", "rows"),
        ("--valid other.jsonl", "validation"),
        ("--seed 4", "seed"),
        ("--targets q_proj", "targets"),
        ("--weight-decay 0.1", "weight_decay"),
    ] {
        if change.contains("ndarray") && !cfg!(feature = "ndarray") {
            continue;
        }
        let words: Vec<&str> = "train --resume --out cut"
            .split_whitespace()
            .chain(change.split_whitespace())
            .collect();
        let message = place.refuses(&words);
        assert!(message.contains(part), "{change}: {message}");
        assert!(
            files.map(|file| place.read(&format!("cut/{file}"))) == before,
            "{change}"
        );
    }
    // A base that differs by one bit.
    let base = place.path("model/model.safetensors");
    let bytes = fs::read(&base).expect("it is read");
    let mut edited = bytes.clone();
    let last = edited.len() - 4;
    // Flags are looked at before a base, and this one cannot be loaded.
    edited[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&base, &edited).expect("it is written");
    for (flag, part) in [("--rank", "rank"), ("--dtype", "dtype")] {
        let value = if flag == "--rank" { "5" } else { "bf16" };
        let message = place.refuses(&["train", "--resume", "--out", "cut", flag, value]);
        assert!(message.contains(part), "{flag}: {message}");
    }
    edited[last..].copy_from_slice(&bytes[last..]);
    edited[last] ^= 1;
    fs::write(&base, edited).expect("it is written");
    let message = place.refuses(&["train", "--resume", "--out", "cut"]);
    assert!(message.contains("weights are not those"), "{message}");
    fs::write(&base, bytes).expect("it is written");
    assert!(files.map(|file| place.read(&format!("cut/{file}"))) == before);
    // From another directory, with the model in another place.
    fs::create_dir(place.path("elsewhere")).expect("a directory");
    fs::rename(place.path("model"), place.path("elsewhere/moved")).expect("it is moved");
    let ended = command(&["train", "--resume", "--out", "../cut", "--model", "moved"])
        .current_dir(place.path("elsewhere"))
        .output()
        .expect("it runs");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[test]
fn a_finished_run_goes_on_longer() {
    let place = Place::new();
    place.runs(&flags("--epochs 1 --out run"));
    let before = adapter(&place, "run");
    let message = place.refuses(&["train", "--resume", "--out", "run"]);
    assert!(
        message.contains("the run is done") && message.contains("--epochs"),
        "{message}"
    );
    let ended = place.run(&["train", "--resume", "--out", "run", "--epochs", "2"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(
        said.contains("the run had 10 steps and is to have 20"),
        "{said}"
    );
    assert!(before != adapter(&place, "run"));
    let message = place.refuses(&["train", "--resume", "--out", "run", "--epochs", "1"]);
    assert!(message.contains("20 steps are done"), "{message}");
    // Before a model is read: this one has no weights.
    let shorter = "train --resume --out run --max-steps 3 --model fresh";
    let message = place.refuses(&shorter.split_whitespace().collect::<Vec<_>>());
    assert!(message.contains("20 steps are done"), "{message}");
}

#[test]
fn two_runs_do_not_share_a_directory() {
    let place = Place::new();
    let mut child = start(&place, "--max-steps 100000 --save-every 1 --out run");
    wait_for(&place, "run/resume.safetensors");
    for words in [
        flags("--out run"),
        vec!["train", "--resume", "--out", "run"],
    ] {
        let message = place.refuses(&words);
        assert!(
            message.contains("another run is writing into run"),
            "{message}"
        );
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    // The lock goes with its run.
    let mut child = command(&["train", "--resume", "--out", "run"])
        .current_dir(place.path("."))
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    sleep(Duration::from_millis(500));
    assert!(child.try_wait().expect("it is there").is_none());
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

/// What is only shown ends no run.
#[test]
fn nobody_need_read_what_a_run_says() {
    let place = Place::new();
    let mut child = start(&place, "--max-steps 30 --out run");
    drop(child.stderr.take());
    assert!(child.wait().expect("it ends").success());
    assert!(place.path("run/adapter_model.safetensors").exists());
}
