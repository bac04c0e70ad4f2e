//! Files of settings of a run.
#![no_main]

use std::ffi::OsString;

use peft_mutate::Kind;

/// As a run keeps them.
const SETTINGS: &str = r#"model = "/m"
device = "flex"
dtype = "bf16"
train = "/t.jsonl"
valid = "/v.jsonl"
method = "lora"
out = "/o"
epochs = 3
batch-size = 8
grad-accum = 2
lr = 0.5
schedule = "linear"
warmup = "0.1"
weight-decay = 0.0
max-grad-norm = 1.0
max-length = 512
seed = 7
rank = 3
alpha = 6.0
rslora = true
targets = ["a", "b"]
"#;

fn settings() -> Kind<'static> {
    let sound = vec![[("train.toml".to_owned(), SETTINGS.as_bytes().to_vec())].into()];
    Kind::new("settings of a run", sound, |dir, _| {
        let args = ["peft", "train", "--config"].map(OsString::from);
        let file = dir.join("train.toml").into_os_string();
        peft_cli::is_understood(args.into_iter().chain([file]).collect())
    })
}

peft_fuzz::of!(settings());
