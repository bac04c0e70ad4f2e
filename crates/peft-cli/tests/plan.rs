//! `plan`: what a step costs, of checkpoints of which headers are read, and of configs alone.

mod common;

use serde_json::{Value, json};

use self::common::Place;
use self::common::models::{edit, refused};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn plan(place: &Place, flags: &str) -> Value {
    let line = format!("plan --no-probe --json {flags}");
    serde_json::from_str(&place.runs(&words(&line))).expect("JSON")
}

/// What `train` says that it trains.
fn trainable(place: &Place, flags: &str, out: &str) -> f64 {
    let line = format!("train --train train.jsonl --max-steps 1 {flags} --out {out}");
    let run = place.run(&words(&line));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{line}: {said}");
    let total = said.lines().find_map(|line| line.strip_prefix("total  "));
    let column = total.and_then(|line| line.split("  ").find(|part| !part.is_empty()));
    let digits = column.map(|part| part.replace(|c: char| !c.is_ascii_digit(), ""));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.unwrap_or_else(|| panic!("{said}"))
}

/// Of every method, the parameters that train are those that train.
#[test]
fn what_trains_is_what_train_trains() {
    let place = Place::new();
    let methods = [
        "lora --rank 3",
        "lora --rank 3 --last-layers 1",
        "lora --rank 2 --targets q_proj,embed_tokens",
        "lora --rank 2 --modules-to-save norm",
        "lora --rank 2 --dora",
        "lora --rank 2 --lora-fa",
        "adalora --rank 2",
        "ia3",
        "trainable-tokens --token-ids 1,5,300",
        "lora --rank 2 --token-ids 1,5",
        "loha --rank 2",
        "lokr --rank 1",
        "lokr --rank 1 --decompose-both --factor 3",
        "vera --rank 3",
        "randlora --rank 3",
        "vblora --vectors 40",
        "oft --block-size 4",
        "oft --block-size 4 --share-blocks",
        "boft --block-size 4 --butterfly-factors 2",
        "hra --rank 4",
        "road --group-size 4 --variant road-4",
        "miss --rank 3",
        "miss --rank 3 --block-columns 4",
        "hira --rank 3",
        "delora --rank 3",
        "gralora --rank 4 --hybrid-rank 1",
        "shira --rank 1",
        "fourierft --coefficients 20",
        "c3a",
        "waveft --coefficients 20",
        "waveft --coefficients 20 --proportional",
        "prompt-tuning --virtual-tokens 3",
        "p-tuning --virtual-tokens 3 --encoder-hidden 5",
        "p-tuning --virtual-tokens 3 --encoder-hidden 5 --encoder lstm",
        "prefix-tuning --virtual-tokens 3",
        "prefix-tuning --virtual-tokens 3 --prefix-projection --encoder-hidden 5",
        "full",
        "top-layers --layers 1",
        "norms",
    ];
    for (i, method) in methods.iter().enumerate() {
        let flags = format!("--model model --method {method}");
        let planned = plan(&place, &flags)["plan"]["trainable"]
            .as_f64()
            .expect("a number");
        let trained = trainable(&place, &flags, &format!("run{i}"));
        let apart = (planned - trained).abs() / trained;
        assert!(apart < 0.02, "{method}: planned {planned}, {trained} train");
    }
}

#[test]
fn a_config_alone_is_planned_whatever_its_size() {
    let place = Place::new();
    let sizes = json!({
        "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
        "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128_256,
        "max_position_embeddings": 8192, "tie_word_embeddings": false,
    });
    edit(&place, "fresh/config.json", |config| {
        for (name, size) in sizes.as_object().expect("an object") {
            config[name] = size.clone();
        }
    });
    for method in ["lora", "full", "lisa --every 10", "prefix-tuning", "ia3"] {
        let found = plan(
            &place,
            &format!("--model fresh --method {method} --dtype bf16"),
        );
        let parameters = found["plan"]["parameters"].as_f64().expect("a number");
        assert!((parameters / 70.55e9 - 1.0).abs() < 1e-3, "{parameters}");
    }
    let text = place.runs(&words(
        "plan --model fresh --no-probe --dtype bf16 --memory 24GB --batch-size 1",
    ));
    for part in [
        "multiply-adds a step",
        "optimizer's moments",
        "does not fit",
        "✗",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn settings_change_what_they_are_to_change() {
    let place = Place::new();
    // Rows of whole blocks.
    edit(&place, "fresh/config.json", |config| {
        config["hidden_size"] = 64.into();
        config["intermediate_size"] = 128.into();
    });
    let of = |flags: &str| plan(&place, &format!("--model fresh {flags}"))["plan"].clone();
    let memory = |plan: &Value, part: &str| {
        let found = &plan["memory"][part];
        let total = found.get("total").unwrap_or(found);
        total.as_f64().expect("a number")
    };
    let plain = of("");
    let again = of("--recompute");
    assert!(memory(&again, "activations") < memory(&plain, "activations"));
    assert!(again["computation"]["recomputation"].as_f64() > Some(0.0));
    let narrow = of("--quantise nf4 --dtype bf16");
    assert!(memory(&narrow, "weights") < memory(&of("--dtype bf16"), "weights"));
    assert_eq!(
        memory(&narrow, "activations"),
        memory(&plain, "activations")
    );
    let twice = of("--batch-size 16");
    assert_eq!(
        memory(&twice, "activations"),
        2.0 * memory(&plain, "activations")
    );
    let fits = plan(&place, "--model fresh --max-length 64 --memory 100MB")["fits"].clone();
    let n = fits["batch_size"].as_u64().expect("a number");
    let total = |n: u64| memory(&of(&format!("--max-length 64 --batch-size {n}")), "total");
    assert!(total(n) <= 100e6 && total(n + 1) > 100e6, "{fits}");
    // Of weights that are there, their bytes as they are held.
    let held = |flags: &str| {
        memory(
            &plan(&place, &format!("--model model {flags}"))["plan"],
            "weights",
        )
    };
    assert_eq!(held(""), 2.0 * held("--dtype bf16"));
    let trunk = plan(
        &place,
        "--model fresh --method top-layers --layers 1 --cache-trunk",
    );
    assert_eq!(memory(&plain, "cache"), 0.0);
    // Of one batch: eight rows of 512 states.
    assert_eq!(memory(&trunk["plan"], "cache"), 8.0 * 512.0 * 64.0 * 4.0);
    // A config alone has its embeddings in blocks where it is asked for.
    let embeddings = of("--quantise nf4 --quantise-embeddings --dtype bf16");
    assert!(memory(&embeddings, "weights") < memory(&narrow, "weights"));
    let storages = plan(&place, "--model fresh --quantise nf4 --dtype bf16")["weights"].clone();
    let of_each = storages.as_object().expect("an object");
    let names: Vec<&str> = of_each.keys().map(String::as_str).collect();
    assert_eq!(names, ["bf16", "nf4"]);
    let bytes = of_each.values().filter_map(Value::as_f64).sum::<f64>();
    assert_eq!(bytes, memory(&narrow, "weights"));
    assert!(memory(&narrow, "loading") > bytes);
    let prompts = of("--method prompt-tuning --virtual-tokens 3");
    assert_eq!(memory(&prompts, "prompts"), 3.0 * 64.0 * 4.0);
    assert_eq!(memory(&prompts, "adapter"), 0.0);
    let total = |of: &Value| of["computation"]["total"].as_f64().expect("a number");
    assert!(total(&trunk["later"]) < total(&trunk["plan"]));
    // Sizes beyond any machine are told as what they are.
    let most = usize::MAX;
    of(&format!(
        "--batch-size {most} --grad-accum {most} --max-length {most}"
    ));
    for (flags, why) in [
        ("--model nowhere", "nowhere"),
        ("--model fresh --memory much", "8GB"),
        ("--model fresh --batch-size 0", "at least 1"),
        ("--model fresh --targets-part 2", "at most 1"),
        ("--model fresh --method full --quantise q8", "--method lora"),
        ("--model fresh --method ia3 --rank 4", "rank"),
        ("--model fresh --train nowhere.jsonl", "nowhere.jsonl"),
        ("--model fresh --epochs 2", "--train"),
    ] {
        refused(&place, &format!("plan {flags}"), why);
    }
}

#[test]
fn rows_are_planned_as_they_are() {
    let place = Place::new();
    let flags = "--model model --batch-size 4 --max-length 24";
    let of = |more: &str| plan(&place, &format!("{flags} {more}"));
    let rows = of("--train train.jsonl --epochs 2");
    let found = |name: &str| rows["rows"][name].as_f64().expect("a number");
    let lines = String::from_utf8(place.read("train.jsonl")).expect("UTF-8");
    let read = found("rows") + found("left_out");
    assert_eq!(read, lines.lines().count() as f64);
    assert!(found("cut") > 0.0 && found("longest") == 24.0);
    assert!(found("targets") < found("tokens"));
    assert_eq!(found("steps"), (found("rows") / 4.0).ceil());
    // Its largest step is at most that of rows which are all as long as they may be.
    let total = |plan: &Value| {
        plan["plan"]["computation"]["total"]
            .as_f64()
            .expect("a number")
    };
    assert!(total(&rows) <= total(&of("")));
    // An epoch takes no more than its steps would if all were the largest.
    assert!(found("computation") <= total(&rows) * found("steps") * 1.001);
    let packed = of("--train train.jsonl --pack");
    assert!(packed["rows"]["rows"].as_f64() < Some(found("rows")));
    assert_eq!(packed["rows"]["tokens"], rows["rows"]["tokens"]);
}

/// One device's rows and memory, and what all of them move.
#[test]
fn several_devices_share_a_step() {
    let place = Place::new();
    let flags = "--model model --rank 3 --batch-size 8 --max-length 32";
    let one = plan(&place, flags);
    assert_eq!(one["devices"], Value::Null);
    let three = plan(&place, &format!("{flags} --devices 3"));
    assert_eq!(three["plan"], one["plan"]);
    let shared = &three["devices"];
    assert_eq!((&shared["number"], &shared["rows"]), (&json!(3), &json!(3)));
    let trains = one["plan"]["trainable"].as_f64().expect("a number") * 4.0;
    assert_eq!(shared["bytes_each_way"], json!(2.0 * trains));
    let of_three = plan(
        &place,
        "--model model --rank 3 --batch-size 3 --max-length 32",
    );
    assert_eq!(shared["memory"], of_three["plan"]["memory"]["total"]);
    let text = place.runs(&words(&format!("plan --no-probe {flags} --devices 3")));
    assert!(text.contains("each of 3 devices"), "{text}");
    refused(&place, &format!("plan {flags} --devices 0"), "--devices");
}

/// All of the memory is on one of the devices.
#[test]
fn several_devices_have_the_blocks_of_a_model() {
    let place = Place::new();
    let flags = "--model model --rank 3 --batch-size 8 --max-length 32";
    let two = plan(&place, &format!("{flags} --devices 2 --split-model"));
    assert_eq!(two["devices"], Value::Null);
    let found = |key: &str| two["divided"][key].as_f64().expect("a number");
    let all = two["plan"]["memory"]["total"].as_f64().expect("a number");
    assert!((2.0 * found("memory") + found("more_on_the_first") - all).abs() < 1.0);
    assert!(found("memory") > 0.0 && found("more_on_the_first") > 0.0);
    let text = place.runs(&words(&format!(
        "plan --no-probe {flags} --devices 2 --split-model"
    )));
    assert!(text.contains("blocks divided among 2 devices"), "{text}");
    refused(&place, &format!("plan {flags} --split-model"), "--devices");
}
