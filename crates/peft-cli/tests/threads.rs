//! `--threads`: the bits do not depend on it.

mod common;

use self::common::{Place, flags};

#[test]
fn a_run_has_the_same_bits_on_any_number_of_threads() {
    let place = Place::new();
    let trained = |threads: &str| {
        let out = format!("out-{threads}");
        let run = format!("--out {out} --max-steps 3 --threads {threads}");
        place.runs(&flags(&run));
        place.read(&format!("{out}/adapter_model.safetensors"))
    };
    let one = trained("1");
    assert!(trained("2") == one);
    assert!(trained("5") == one);
    let continued = |threads: &str| {
        place.runs(&[
            "generate",
            "--model",
            "model",
            "--adapter",
            "out-1",
            "--prompt",
            "a small dog",
            "--max-new-tokens",
            "12",
            "--threads",
            threads,
        ])
    };
    assert_eq!(continued("2"), continued("1"));
}

/// Workers wait for threads, and no thread for a worker.
#[test]
fn workers_need_no_thread_each() {
    let place = Place::new();
    let trained = |threads: &str| {
        let out = format!("out-{threads}");
        let run = format!(
            "train --model model --train train.jsonl --rank 2 --batch-size 4 --max-steps 2 --workers 3 --out {out} --threads {threads}"
        );
        place.runs(&run.split_whitespace().collect::<Vec<_>>());
        place.read(&format!("{out}/adapter_model.safetensors"))
    };
    assert!(trained("1") == trained("2"));
}

#[test]
fn no_thread_computes_nothing() {
    let place = Place::new();
    let message = place.refuses(&flags("--out out --threads 0"));
    assert!(message.contains("--threads"), "{message}");
}
