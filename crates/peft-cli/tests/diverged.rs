//! Runs that diverge, that cannot move, or whose settings come to nothing.

mod common;

use std::fs;

use common::{Place, flags};

#[test]
fn gradients_that_are_all_zero_are_said() {
    let place = Place::new();
    // One position sees itself alone, whatever its query: nothing of a query reaches the loss.
    fs::write(place.path("one.jsonl"), "{\"text\": \"the animal\"}\n").expect("it is written");
    let run = |targets: &str| {
        let words = format!(
            "train --model model --train one.jsonl --targets {targets} --max-steps 2 --out {targets}"
        );
        let ended = place.run(&words.split_whitespace().collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{said}");
        said
    };
    let said = run("q_proj");
    assert!(said.contains("every gradient of step 1 is 0"), "{said}");
    let said = run("v_proj");
    assert!(!said.contains("every gradient"), "{said}");
}

#[test]
fn what_comes_to_nothing_is_said() {
    let place = Place::new();
    // Weights that have learnt something, so that there is something to lose.
    place.runs(
        &"train --model model --train train.jsonl --method full --lr 0.01 --epochs 6 --out taught"
            .split_whitespace()
            .collect::<Vec<_>>(),
    );
    let ended = place.run(
        &"train --model taught --train train.jsonl --valid valid.jsonl --lr 1e6 --out steep"
            .split_whitespace()
            .collect::<Vec<_>>(),
    );
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("diverged"), "{said}");
    assert!(
        !said.contains("(best)") && !place.path("steep/best").exists(),
        "{said}"
    );

    #[cfg(unix)]
    std::os::unix::fs::symlink("loop", place.path("loop")).expect("a link");
    for (change, part) in [
        ("--warmup 1.5", "--warmup is 1.5"),
        ("--warmup 500", "the warm-up takes 500 steps"),
        ("--alpha 0", "--alpha is 0"),
        ("--alpha inf", "--alpha is no finite"),
        ("--alpha 1e300", "--alpha is no finite number in f32"),
        ("--method gradual", "--every"),
        ("--save-every 0", "save-every is 0"),
        ("--eval-every 0", "evaluation interval"),
        ("--valid none.jsonl", "none.jsonl"),
        ("--out train.jsonl/x", "train.jsonl"),
        ("--out loop/x", "loop"),
    ] {
        let message = place.refuses(
            &flags(&format!(
                "{} {change}",
                if change.contains("--out") {
                    ""
                } else {
                    "--out x"
                }
            ))
            .into_iter()
            .filter(|word| {
                !(change.contains("--valid") && ["--valid", "valid.jsonl"].contains(word))
            })
            .collect::<Vec<_>>(),
        );
        assert!(message.contains(part), "{change}: {message}");
        assert!(!place.path("x").exists(), "{change}");
    }
    // Before a model is read: this one has no weights.
    for length in ["--max-steps 7 --warmup 7", "--epochs 1 --warmup 7"] {
        let words = format!("train --model fresh --train train.jsonl {length} --out x");
        let message = place.refuses(&words.split_whitespace().collect::<Vec<_>>());
        assert!(message.contains("the warm-up takes 7 steps"), "{message}");
    }
    // All of it at once.
    let message = place.refuses(
        &"train --model none --train no.jsonl --warmup 1.5 --batch-size 0 --out x"
            .split_whitespace()
            .collect::<Vec<_>>(),
    );
    for part in ["none", "no.jsonl", "--warmup", "batch size"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn an_adapter_that_computes_nothing_finite_is_named() {
    let place = Place::new();
    place.runs(&flags("--max-steps 2 --out run"));
    let scaled = |alpha: &str| {
        let path = place.path("run/adapter_config.json");
        let text = fs::read_to_string(&path).expect("a config");
        let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        config["lora_alpha"] = serde_json::from_str(alpha).expect("a number");
        fs::write(&path, config.to_string()).expect("it is written");
    };
    let verbs = [
        "eval --model model --adapter run --data valid.jsonl --json",
        "generate --model model --adapter run --prompt the",
        "merge --model model --adapter run --out merged",
    ];
    scaled("3e38");
    for verb in verbs {
        let ended = place.run(&verb.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{verb}: {said}");
        assert!(ended.stdout.is_empty(), "{verb}");
        for part in [
            "finite",
            "without the adapter it is finite",
            "`lora_alpha` 3e38",
        ] {
            assert!(said.contains(part), "{verb}: {part} is not in {said}");
        }
        assert!(!place.path("merged").exists());
    }
    scaled("1e39");
    for verb in verbs {
        let message = place.refuses(&verb.split(' ').collect::<Vec<_>>());
        assert!(message.contains("`lora_alpha` is 1e"), "{verb}: {message}");
    }
}
