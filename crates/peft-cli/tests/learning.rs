//! How a run learns by flags: optimizers, smoothing, noise, what is best, answers on the way, and
//! the search for a rate.

mod common;

use common::models::{refused, write};
use common::{Place, said, words};
use serde_json::Value;

const TRAIN: &str =
    "train --model model --train train.jsonl --valid valid.jsonl --rank 2 --batch-size 4";

fn lines(place: &Place, run: &str) -> Vec<Value> {
    let text = String::from_utf8(place.read(&format!("{run}/metrics.jsonl"))).expect("UTF-8");
    let line = |line: &str| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}

/// A run that is cut in two, at each optimizer and with noise, ends with the same file.
#[test]
fn a_run_goes_on_by_its_optimizer_and_noise() {
    let place = Place::new();
    for flags in [
        "--optimizer adamw-8bit",
        "--optimizer lion",
        "--optimizer adafactor",
        "--optimizer muon --label-smoothing 0.1",
        "--neftune-alpha 5",
    ] {
        let run = format!("{TRAIN} {flags} --schedule constant --warmup 0");
        said(&place, &format!("{run} --max-steps 6 --out whole"));
        said(&place, &format!("{run} --max-steps 3 --out half"));
        said(&place, "train --resume --out half --max-steps 6");
        let file = |run: &str| place.read(&format!("{run}/adapter_model.safetensors"));
        assert!(file("whole") == file("half"), "{flags}");
        for run in ["whole", "half"] {
            std::fs::remove_dir_all(place.path(run)).expect("it is there");
        }
    }
    let lion = said(
        &place,
        &format!("{TRAIN} --optimizer lion --max-steps 2 --out lion"),
    );
    assert!(
        lion.contains("2e-4 (a fifth of lora's default, for lion)"),
        "{lion}"
    );
    refused(
        &place,
        "train --resume --out lion --max-steps 4 --optimizer adamw",
        "`optimizer` was",
    );
    refused(
        &place,
        "train --resume --out lion --max-steps 4 --neftune-alpha 3",
        "embeddings with noise 3",
    );
}

#[test]
fn flags_that_cannot_be_are_refused() {
    let place = Place::new();
    for (flags, part) in [
        ("--label-smoothing 1", "--label-smoothing must be"),
        ("--neftune-alpha -1", "--neftune-alpha must be"),
        (
            "--neftune-alpha 5 --cache-trunk --method head",
            "leave one out",
        ),
        (
            "--eval-metric accuracy",
            "evaluations of these rows have loss, perplexity, exact-match",
        ),
        (
            "--optimizer sgd",
            "[possible values: adamw, adamw-8bit, lion, adafactor, muon]",
        ),
        ("--lr-find --sweep lr=1,2", "cannot be used with"),
    ] {
        refused(&place, &format!("{TRAIN} {flags} --out no"), part);
    }
    let alone = "train --model model --train train.jsonl --out no";
    refused(
        &place,
        &format!("{alone} --eval-metric exact-match"),
        "give --valid or --split",
    );
    write(&place, "texts.jsonl", &[r#"{"text": "a noun"}"#; 4]);
    refused(
        &place,
        "train --model model --train texts.jsonl --valid texts.jsonl --samples 2 --out no",
        "--samples shows answers to prompts",
    );
    assert!(!place.path("no").exists());
}

#[test]
fn the_best_is_kept_by_the_measure_that_is_named() {
    let place = Place::new();
    let run = "--lr 0.01 --max-steps 12 --eval-every 3 --eval-metric exact-match --out run";
    let text = said(&place, &format!("{TRAIN} {run}"));
    let evaluations: Vec<(u64, f64, bool)> = lines(&place, "run")
        .iter()
        .filter_map(|line| {
            let matched = line["valid"]["exact_match"].as_f64()?;
            Some((line["step"].as_u64()?, matched, line["best"] == true))
        })
        .collect();
    assert_eq!(evaluations.len(), 5);
    let mut most = evaluations[0].1;
    for (step, matched, best) in &evaluations[1..] {
        assert_eq!(*best, *matched > most, "step {step} of {evaluations:?}");
        most = most.max(*matched);
    }
    let any = evaluations.iter().any(|(.., best)| *best);
    let told = match any {
        true => "best by exact-match: step",
        false => "no evaluation was better by exact-match",
    };
    assert!(text.contains(told), "{text}");
}

#[test]
fn answers_are_shown_and_reported() {
    let place = Place::new();
    let run = "--max-steps 4 --eval-every 2 --samples 2 --out run";
    let text = said(&place, &format!("{TRAIN} {run}"));
    assert_eq!(text.matches(" → ").count(), 6, "{text}");
    let samples: Vec<Value> = lines(&place, "run")
        .into_iter()
        .filter(|line| line.get("samples").is_some())
        .collect();
    let steps: Vec<_> = samples.iter().map(|line| line["step"].as_u64()).collect();
    assert_eq!(steps, [Some(0), Some(2), Some(4)]);
    let sample = &samples[0]["samples"][1];
    for part in ["prompt", "answer", "expected"] {
        assert!(sample[part].is_string(), "{sample}");
    }
    said(&place, "report run --out page.html");
    let page = String::from_utf8(place.read("page.html")).expect("UTF-8");
    assert!(page.contains("<h2>Answers of run</h2>") && page.contains("<th>step 0</th>"));
}

#[test]
fn a_rate_is_looked_for_and_nothing_kept() {
    let place = Place::new();
    let text = said(
        &place,
        &format!("{TRAIN} --lr-find --max-steps 60 --out run"),
    );
    assert!(text.contains("rate | loss"), "{text}");
    assert!(!text.contains("--lr plays no part"), "{text}");
    let found = text.lines().find(|line| line.contains("take about --lr"));
    let rate = found.and_then(|line| line.split("--lr ").nth(1)?.split(';').next()?.parse().ok());
    let rate: f64 = rate.unwrap_or_else(|| panic!("{text}"));
    assert!((1e-5..1.0).contains(&rate), "{text}");
    assert!(!place.path("run").exists());
    let given = said(
        &place,
        &format!("{TRAIN} --lr-find --max-steps 3 --lr 0.5 --device flex,flex --out run"),
    );
    assert!(given.contains("--lr plays no part"), "{given}");
    assert!(given.contains("from 1e-5 to 1e0"), "{given}");
}

#[test]
fn curves_are_written_for_tensorboard() {
    let place = Place::new();
    let file = "run/tensorboard/events.out.tfevents.0.peft";
    said(
        &place,
        &format!("{TRAIN} --max-steps 4 --eval-every 2 --tensorboard --out run"),
    );
    let events = |bytes: &[u8]| {
        let (mut at, mut records) = (0, 0);
        let mut tags = std::collections::BTreeSet::new();
        while at < bytes.len() {
            let length = bytes[at..at + 8].try_into().expect("eight bytes");
            let length = u64::from_le_bytes(length) as usize;
            let event = &bytes[at + 12..at + 12 + length];
            for tag in [
                "train/loss",
                "train/learning_rate",
                "valid/loss",
                "valid/exact_match",
            ] {
                if event.windows(tag.len()).any(|part| part == tag.as_bytes()) {
                    tags.insert(tag);
                }
            }
            (at, records) = (at + 16 + length, records + 1);
        }
        assert_eq!(at, bytes.len(), "the last record is whole");
        (records, tags.len())
    };
    // The version, four steps and three evaluations.
    assert_eq!(events(&place.read(file)), (8, 4));
    said(&place, "train --resume --out run --max-steps 6");
    assert_eq!(events(&place.read(file)), (11, 4));
}

/// The measure of a run's last evaluation is what `predict` finds of its adapter.
#[test]
fn answers_are_measured_as_predict_measures_them() {
    let place = Place::new();
    // Rows that it learns by heart.
    let rows = String::from_utf8(place.read("train.jsonl")).expect("UTF-8");
    let rows: Vec<&str> = rows.lines().take(4).collect();
    write(&place, "few.jsonl", &rows);
    let train = "train --model model --train few.jsonl --valid few.jsonl --rank 4";
    let run = "--lr 0.02 --max-steps 60 --eval-every 30 --eval-metric rouge-l --out run";
    let text = said(&place, &format!("{train} {run}"));
    assert!(text.contains(", rouge-l "), "{text}");
    let found: Vec<f64> = lines(&place, "run")
        .iter()
        .filter_map(|line| line["valid"]["rouge_l"].as_f64())
        .collect();
    assert_eq!(found.len(), 3);
    assert!(found[2] > found[0], "{found:?}");
    let predict = "predict --model model --adapter run --data few.jsonl --out said.jsonl";
    let measured: Value =
        serde_json::from_str(&place.runs(&words(&format!("{predict} --max-new-tokens 64 --json"))))
            .expect("JSON");
    let gap = measured["rouge_l"].as_f64().expect("a number") - found[2];
    assert!(gap.abs() < 1e-9, "{measured}, {found:?}");
    write(&place, "texts.jsonl", &[r#"{"text": "a noun"}"#; 4]);
    refused(
        &place,
        "train --model model --train texts.jsonl --valid texts.jsonl --eval-metric rouge-l --out no",
        "loss, perplexity, exact-match",
    );
}
