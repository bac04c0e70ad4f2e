//! `peft combine`: several adapters as one.

mod common;

use common::Place;
use common::models::refused;
use serde_json::Value;

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Two adapters of different ranks and layers, and the loss of a model with one.
fn place() -> Place {
    let place = Place::new();
    let train = "train --model model --train train.jsonl --lr 0.02 --batch-size 4 --max-steps 6";
    for (flags, out) in [
        (
            "--rank 2 --targets q_proj --targets down_proj --seed 1",
            "a",
        ),
        (
            "--rank 3 --alpha 9 --targets q_proj --targets v_proj --seed 2",
            "b",
        ),
    ] {
        place.runs(&words(&format!("{train} {flags} --out {out}")));
    }
    place
}

fn loss(place: &Place, adapter: &str) -> f64 {
    let line = format!("eval --model model --adapter {adapter} --data valid.jsonl --json");
    let report: Value = serde_json::from_str(&place.runs(&words(&line))).expect("JSON");
    report["loss"].as_f64().expect("a loss")
}

#[track_caller]
fn said(place: &Place, line: &str) -> String {
    let out = place.run(&words(line));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    said
}

#[test]
fn a_sum_is_what_its_parts_add() {
    let place = place();
    let combine = "combine --adapter a --adapter b";
    // With a weight of zero it is the other one.
    said(
        &place,
        &format!("{combine} --weights 1,0 --how cat --out first"),
    );
    assert!((loss(&place, "first") - loss(&place, "a")).abs() < 1e-6);
    let told = said(
        &place,
        &format!("{combine} --weights 0.5,-0.25 --how cat --out cat"),
    );
    assert!(
        told.contains("6 layers of rank 2, 3, 5; what is added differs by 0.00 %"),
        "{told}"
    );
    let svd = format!("{combine} --weights 0.5,-0.25 --how svd --rank 5 --out svd");
    let told = said(&place, &svd);
    assert!(told.contains("differs by 0.00 %"), "{told}");
    assert!((loss(&place, "cat") - loss(&place, "svd")).abs() < 1e-5);
    let told = said(
        &place,
        &svd.replace("--rank 5 --out svd", "--rank 1 --out one"),
    );
    assert!(!told.contains("differs by 0.00 %"), "{told}");
    // It is an adapter as any other: of the base that the first one names.
    said(&place, "merge --model model --adapter cat --out merged");
    let config: Value =
        serde_json::from_slice(&place.read("cat/adapter_config.json")).expect("JSON");
    assert_eq!(config["base_model_name_or_path"], "model");
    assert_eq!(config["task_type"], "CAUSAL_LM");
    assert_eq!(
        config["target_modules"],
        serde_json::json!(["down_proj", "q_proj", "v_proj"])
    );
    said(
        &place,
        "train --model model --train train.jsonl --max-steps 1 --init-adapter cat --out on",
    );
}

#[test]
fn adapters_act_together_as_their_sum() {
    let place = place();
    said(
        &place,
        "combine --adapter a --adapter b --weights 0.5,-0.25 --how cat --out both",
    );
    let both = loss(&place, "both");
    let together = loss(&place, "a@0.5 --adapter second=b@-0.25");
    assert!((both - together).abs() < 1e-5, "{both} {together}");
    let half = loss(&place, "a@0.5");
    assert!((half - loss(&place, "a")).abs() > 1e-4, "{half}");
    assert!((loss(&place, "a@0") - loss(&place, "b@0")).abs() < 1e-6);
    let said = place.runs(&words(
        "generate --model model --prompt a --max-new-tokens 2 --adapter a@0.5 --adapter b",
    ));
    assert!(!said.is_empty());
    place.runs(&words(
        "train --model model --train train.jsonl --max-steps 1 --method prompt-tuning --virtual-tokens 2 --out prompt",
    ));
    let eval = "eval --model model --data valid.jsonl";
    for (adapters, part) in [
        ("--adapter a --adapter prompt", "no adapter of weights"),
        ("--adapter prompt@0.5", "no adapter of weights"),
        ("--adapter x=a --adapter x=b", "x"),
        ("--adapter a@0.5 --adapter nowhere", "nowhere"),
    ] {
        let message = place.refuses(&words(&format!("{eval} {adapters}")));
        assert!(message.contains(part), "{adapters}: {message}");
    }
}

#[test]
fn chance_is_that_of_the_seed() {
    let place = place();
    let run = |seed: u64, out: &str| {
        said(
            &place,
            &format!(
                "combine --adapter a --adapter b --weights 1,1 --how dare_ties_svd --density 0.5 --seed {seed} --out {out}"
            ),
        );
        place.read(&format!("{out}/adapter_model.safetensors"))
    };
    let first = run(1, "x");
    assert_eq!(first, run(1, "y"));
    assert_ne!(first, run(2, "z"));
}

#[test]
fn what_cannot_be_combined_is_said() {
    let place = place();
    let train = "train --model model --train train.jsonl --batch-size 4 --max-steps 1";
    place.runs(&words(&format!("{train} --method ia3 --out ia3")));
    place.runs(&words(&format!(
        "{train} --dora --targets q_proj --out dora"
    )));
    place.runs(&words(&format!("{train} --method norms --out head")));
    let two = "combine --adapter a --adapter b --weights 1,1";
    for (line, part) in [
        (
            "combine --adapter a --weights 1 --how cat",
            "1 adapters and 1 weights",
        ),
        (
            "combine --adapter a --adapter b --weights 1 --how cat",
            "2 adapters and 1 weights",
        ),
        (
            "combine --adapter a --adapter b --weights 1,x --how cat",
            "it is a number",
        ),
        (
            &format!("{two} --how linear"),
            "the rank of `model.layers.0.self_attn.q_proj` is 2 in one adapter and 3 in another",
        ),
        (
            &format!("{two} --how cat --rank 3"),
            "--how cat has no --rank",
        ),
        (
            &format!("{two} --how svd --density 0.5"),
            "--how svd has no --density",
        ),
        (&format!("{two} --how ties_svd"), "needs --density"),
        (
            &format!("{two} --how dare_linear_svd --density 0.5 --majority-sign total"),
            "has no --majority-sign",
        ),
        (&format!("{two} --how ties_svd --density 0"), "density is 0"),
        (
            "combine --adapter a --adapter ia3 --weights 1,1 --how cat",
            "method ia3",
        ),
        (
            "combine --adapter a --adapter dora --weights 1,1 --how cat",
            "use_dora",
        ),
        (
            "combine --adapter a --adapter head --weights 1,1 --how cat",
            "peft extract",
        ),
        (
            "combine --adapter a --adapter nowhere --weights 1,1 --how cat",
            "nowhere",
        ),
    ] {
        refused(&place, &format!("{line} --out out"), part);
        assert!(!place.path("out").exists());
    }
}
