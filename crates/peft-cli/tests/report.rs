//! Runs that end early, that are swept, and what is reported of them.

mod common;

use std::fs;

use common::models::refused;
use common::{Place, said, words};

const TRAIN: &str =
    "train --model model --train train.jsonl --valid valid.jsonl --rank 2 --batch-size 4";

/// How many steps a run's metrics have.
fn steps(place: &Place, run: &str) -> usize {
    let text = String::from_utf8(place.read(&format!("{run}/metrics.jsonl"))).expect("UTF-8");
    text.lines()
        .filter(|line| line.contains("\"train\""))
        .count()
}

/// At a rate at which nothing is learnt.
#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let place = Place::new();
    let idle = format!("{TRAIN} --lr 1e-12 --warmup 0");
    let run = format!("{idle} --max-steps 40 --eval-every 2 --patience 3 --out run");
    let out = place.run(&words(&run));
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let ended = text.lines().find(|line| line.contains("ended after step"));
    let ended = ended.unwrap_or_else(|| panic!("{text}"));
    let n = steps(&place, "run");
    assert_eq!(n, 6, "{text}");
    assert!(ended.contains(&format!("ended after step {n} of 40: the last 3")));
    assert!(place.path("run/adapter_model.safetensors").exists());
    // It is done; it goes on with more patience, where it stopped.
    let again = "train --resume --out run";
    refused(&place, again, "goes on with a larger --patience than 3");
    place.run(&words(&format!("{again} --patience 5")));
    assert_eq!(steps(&place, "run"), n + 4);
    refused(
        &place,
        "train --model model --train train.jsonl --patience 2 --out no",
        "give --valid",
    );
    let none = format!("{TRAIN} --patience 0 --out no");
    refused(&place, &none, "patience is 0");
}

#[test]
fn a_sweep_tells_the_best_and_does_nothing_twice() {
    let place = Place::new();
    let sweep = format!("{TRAIN} --epochs 2 --sweep lr=1e-6,2e-2 --out runs");
    let table = place.runs(&words(&sweep));
    assert!(table.contains("lowest: --lr 2e-2"), "{table}");
    for lr in ["1e-6", "2e-2"] {
        let alone = format!("{TRAIN} --epochs 2 --lr {lr} --out alone-{lr}");
        said(&place, &alone);
        let file = "adapter_model.safetensors";
        let of = |dir: &str| place.read(&format!("{dir}/{file}"));
        assert_eq!(of(&format!("runs/lr-{lr}")), of(&format!("alone-{lr}")));
    }
    let text = said(&place, &sweep);
    assert_eq!(text.matches("is done already").count(), 2, "{text}");
    for (sweep, why) in [
        ("lr=1e-3", "two or more values"),
        ("lr=1e-3,fast", "fast"),
        ("rnak=2,4", "did you mean --rank?"),
        (
            "schedule=linear,cosin",
            "possible values: constant, linear, cosine",
        ),
        ("train=a,b", "the same for all runs"),
        ("validation=a,b", "the same for all runs"),
        ("pack=1,2", "takes no value"),
    ] {
        let line = format!("{TRAIN} --sweep {sweep} --out other");
        refused(&place, &line, why);
    }
    assert!(!place.path("other").exists());
}

#[test]
fn a_report_is_one_page_of_its_runs() {
    let place = Place::new();
    for (run, lr) in [("a<b", "2e-2"), ("second", "1e-3")] {
        said(&place, &format!("{TRAIN} --epochs 2 --lr {lr} --out {run}"));
    }
    let printed = place.runs(&words("report a<b second --out runs.html"));
    assert!(printed.contains("second: "), "{printed}");
    let page = String::from_utf8(place.read("runs.html")).expect("UTF-8");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(
        page.contains("a&lt;b") && !page.contains("a<b"),
        "unescaped"
    );
    assert_eq!(page.matches("<svg").count(), 4);
    for part in ["Loss", "Settings that differ", "0.02", "adapter_model"] {
        assert_eq!(page.contains(part), part != "adapter_model", "{part}");
    }
    // No other file is needed.
    assert!(!page.contains("src=") && !page.contains("href="));
    // Again, over itself; a file that is something else stays.
    place.runs(&words("report second --out runs.html"));
    fs::write(place.path("notes.html"), "mine").expect("it is written");
    refused(&place, "report second --out notes.html", "is no report");
    assert_eq!(place.read("notes.html"), b"mine");
    refused(&place, "report fresh", "is no run");
    refused(&place, "report", "RUN");
}
