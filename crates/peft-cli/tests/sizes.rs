//! Numbers of any size on the command line and in files: what cannot be is refused, and nothing
//! aborts, panics or overflows.

mod common;

use std::fs;

use common::Place;

const TRAIN: &str =
    "train --model model --train train.jsonl --batch-size 4 --max-steps 2 --workers 1";
const HUGE: [&str; 2] = ["1000000000", "18446744073709551615"];

/// Flags that are refused at any such number, and what the message says.
const REFUSED: [(&str, &str); 5] = [
    ("--rank", "rank"),
    ("--method p-tuning --encoder-hidden", "--encoder-hidden"),
    (
        "--method p-tuning --encoder lstm --encoder-hidden",
        "--encoder-hidden",
    ),
    (
        "--method prefix-tuning --prefix-projection --virtual-tokens 2 --encoder-hidden",
        "--encoder-hidden",
    ),
    (
        "--method prompt-tuning --virtual-tokens",
        "--virtual-tokens",
    ),
];

/// Flags that mean `as much as there is` at such a number.
const TAKEN: [&str; 9] = [
    "--batch-size",
    "--grad-accum",
    "--epochs",
    "--save-every",
    "--eval-every",
    "--max-length",
    "--workers",
    "--method lisa --layers 1 --every",
    "--last-layers",
];

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn flags_of_any_size_are_refused_or_taken() {
    let place = Place::new();
    for number in HUGE {
        for (flags, said) in REFUSED {
            let line = format!("{TRAIN} --out run {flags} {number}");
            let message = place.refuses(&words(&line));
            assert!(message.contains(said), "{flags} {number}: {message}");
        }
        for flags in TAKEN {
            // Given twice, a flag is refused: the base of the line gives way.
            let base: String = match flags.split(' ').next() {
                Some(flag) => TRAIN
                    .replace(&format!("{flag} 4"), "")
                    .replace(&format!("{flag} 1"), ""),
                None => TRAIN.into(),
            };
            let line = format!("{base} --out run {flags} {number}");
            let out = place.run(&words(&line));
            let message = String::from_utf8_lossy(&out.stderr);
            let ended = [Some(0), Some(1), Some(2)].contains(&out.status.code());
            assert!(
                ended && !message.contains("panicked"),
                "{flags} {number}: {message}"
            );
            fs::remove_dir_all(place.path("run")).ok();
        }
        for line in [
            format!("eval --model model --data valid.jsonl --batch-size {number}"),
            format!("eval --model model --data valid.jsonl --max-length {number}"),
            format!("eval --model model --data valid.jsonl --choices --batch-size {number}"),
            format!("generate --model model --prompt a --max-new-tokens {number}"),
            format!(
                "generate --model model --prompt a --temperature 1 --top-k {number} --max-new-tokens 2"
            ),
        ] {
            place.runs(&words(&line));
        }
    }
}

/// Numbers below 0: the message says what is allowed, in the words of the flag.
#[test]
fn negative_numbers_are_told_what_is_allowed() {
    let place = Place::new();
    let train = "train --model model --train train.jsonl --out run";
    let generate = "generate --model model --prompt a";
    let eval = "eval --model model --data valid.jsonl";
    let whole = "whole number of at least 0";
    for (line, said) in [
        (format!("{train} --epochs -1"), whole),
        (format!("{train} --rank -8"), whole),
        (format!("{train} --seed -1"), whole),
        (format!("{train} --method badam --every -3"), "above 0"),
        (format!("{eval} --batch-size -1"), whole),
        (format!("{generate} --top-k -1"), whole),
        (
            format!("{train} --lr -1e-4"),
            "learning rate is -0.0001, but must be above 0, and finite",
        ),
        (
            format!("{train} --lr nan"),
            "learning rate is NaN, but must be above 0",
        ),
        (
            format!("{train} --warmup -0.5"),
            "warm-up is -0.5, but must be a fraction",
        ),
        (format!("{train} --weight-decay -1"), "must be at least 0"),
        (format!("{train} --max-grad-norm -1"), "must be above 0"),
        (
            format!("{train} --dropout -0.1"),
            "--dropout must be at least 0 and below 1",
        ),
        (
            format!("{train} --alpha -inf"),
            "--alpha is no finite number",
        ),
        (
            format!("{train} --method full --layer-decay -0.5"),
            "--layer-decay is -0.5, but must be above 0",
        ),
        (format!("{generate} --temperature -1"), "temperature"),
        (format!("{generate} --temperature -inf"), "temperature"),
        (
            format!("{generate} --temperature 1 --top-p -0.5"),
            "top-p is -0.5",
        ),
        (format!("{eval} --max-length 0"), "--max-length is 0"),
        (format!("{train} --max-length 0"), "--max-length is 0"),
        (
            format!("{train} --samples 2"),
            "--samples shows answers to validation rows, and there are no",
        ),
        (
            "plan --model model --grad-accum 0".into(),
            "--grad-accum is 0, but must be at least 1",
        ),
        (
            format!("{generate} --temperature 1 --min-p -0.5"),
            "min-p is -0.5",
        ),
    ] {
        let message = place.refuses(&words(&line));
        assert!(message.contains(said), "{line}: {message}");
        assert!(
            !message.contains("unexpected argument"),
            "{line}: {message}"
        );
    }
}

#[test]
fn sizes_of_a_config_are_not_made_before_they_are_checked() {
    let place = Place::new();
    let config = fs::read_to_string(place.path("fresh/config.json")).expect("a config");
    for (from, to, said) in [
        (
            "\"hidden_size\": 16",
            "\"hidden_size\": 10000000",
            "memory available",
        ),
        (
            "\"hidden_size\": 16",
            "\"hidden_size\": 18446744073709551615",
            "`hidden_size`",
        ),
        (
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 1000000000",
            "`num_hidden_layers`",
        ),
        (
            "\"num_attention_heads\": 2",
            "\"num_attention_heads\": 0",
            "`num_attention_heads`",
        ),
        (
            "\"intermediate_size\": 24",
            "\"intermediate_size\": 60000000000",
            "`intermediate_size`",
        ),
    ] {
        let changed = config.replace(from, to);
        fs::write(place.path("fresh/config.json"), changed).expect("it is written");
        let line = "train --model fresh --train train.jsonl --method full --max-steps 1 --out run";
        let message = place.refuses(&words(line));
        assert!(message.contains(said), "{to}: {message}");
        assert!(
            !message.contains("d_model") && !message.contains(" n_heads"),
            "{message}"
        );
    }
}

#[test]
fn inspect_shows_a_config_alone_and_names_the_model_in_a_cache() {
    let place = Place::new();
    let shown = place.runs(&["inspect", "fresh"]);
    assert!(shown.contains("family: llama"), "{shown}");
    let snapshots = place.path("cache/snapshots");
    fs::create_dir_all(&snapshots).expect("it can be made");
    fs::rename(place.path("fresh"), snapshots.join("abc")).expect("it can be moved");
    let message = place.refuses(&["inspect", "cache"]);
    assert!(message.contains("snapshots/abc"), "{message}");
    let message = place.refuses(&["inspect", "nowhere"]);
    assert!(message.contains("does not exist"), "{message}");
}
