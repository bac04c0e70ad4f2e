//! What tests of the command share.
#![allow(dead_code, unreachable_pub)]

pub mod models;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peft"));
    command.args(args);
    command
}

pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// What a command that succeeds says on standard error, and then on standard output.
#[track_caller]
pub fn said(place: &Place, line: &str) -> String {
    let out = place.run(&words(line));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{line}: {said}");
    said + &String::from_utf8_lossy(&out.stdout)
}

pub fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

/// A directory with a model (`model`), its config alone (`fresh`), and rows (`train.jsonl`,
/// `valid.jsonl`).
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        let config = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 4096,
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": true, "bos_token_id": 0, "eos_token_id": 1, "hidden_act": "silu"}"#;
        fs::create_dir(place.path("fresh")).expect("a directory");
        fs::write(place.path("fresh/config.json"), config).expect("it is written");
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            let from = assets().join("model").join(file);
            fs::copy(from, place.path("fresh").join(file)).expect("it is copied");
        }
        for (name, n) in [("train.jsonl", 40), ("valid.jsonl", 8)] {
            let rows = fs::read_to_string(assets().join("wordnet").join(name)).expect("rows");
            let rows: String = rows.lines().take(n).map(|row| format!("{row}\n")).collect();
            fs::write(place.path(name), rows).expect("it is written");
        }
        place.runs(&[
            "train",
            "--model",
            "fresh",
            "--train",
            "train.jsonl",
            "--method",
            "full",
            "--max-steps",
            "2",
            "--out",
            "model",
        ]);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn run(&self, args: &[&str]) -> Output {
        command(args)
            .current_dir(self.0.path())
            .output()
            .expect("the command runs")
    }

    /// Standard output of a command that succeeds.
    #[track_caller]
    pub fn runs(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// The message of a command that the caller got wrong.
    #[track_caller]
    pub fn refuses(&self, args: &[&str]) -> String {
        let out = self.run(args);
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{message}");
        message
    }

    /// A command that is killed once a file is there.
    pub fn kills(&self, args: &[&str], file: &str) {
        let mut child = command(args)
            .current_dir(self.0.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command runs");
        let started = Instant::now();
        while !self.path(file).exists() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "no {file} after a minute"
            );
            sleep(Duration::from_millis(2));
        }
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
    }

    /// The most memory that a command takes, in KiB.
    #[cfg(target_os = "linux")]
    pub fn peak_kib(&self, args: &[&str]) -> usize {
        let mut child = command(args)
            .current_dir(self.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command runs");
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        let ended = loop {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
            peak = peak.max(kib.map_or(0, |kib| kib.trim().parse().expect("a number")));
            if let Some(ended) = child.try_wait().expect("it is waited for") {
                break ended;
            }
            sleep(Duration::from_millis(1));
        };
        assert!(ended.success(), "{args:?}");
        peak
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file")
    }
}

/// A short run of LoRA with dropout.
pub const RUN: &str = "train --model model --train train.jsonl --valid valid.jsonl --rank 2 --lr 0.01 \
                   --batch-size 4 --seed 3 --dropout 0.1";

/// A run by these flags beside the common ones.
pub fn flags(extra: &str) -> Vec<&str> {
    RUN.split_whitespace()
        .chain(extra.split_whitespace())
        .collect()
}
