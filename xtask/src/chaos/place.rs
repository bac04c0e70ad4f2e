//! [`Place`]: a directory with a tiny model and rows, and the command in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::shell::root;

const CONFIG: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 4096,
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "tie_word_embeddings": false, "attention_bias": true, "bos_token_id": 0, "eos_token_id": 1, "hidden_act": "silu"}"#;

/// Files that tell of the run and are no result: where it was, how long it took.
const ABOUT: [&str; 3] = ["metrics.jsonl", "train.toml", "run.lock"];

/// The settings of every run.
pub(super) const RUN: &str = "train --model model --train train.jsonl --valid valid.jsonl --lr 0.01 \
                              --batch-size 4 --seed 3 --max-steps 40 --save-every 1";

pub(super) struct Place {
    dir: TempDir,
    peft: PathBuf,
}

/// How a command ended.
pub(super) struct CommandEnd {
    pub(super) code: Option<i32>,
    pub(super) said: String,
}

impl CommandEnd {
    pub(super) fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Told as the caller's to mend.
    pub(super) fn refused(&self) -> bool {
        self.code == Some(2) && self.said.contains("error: ")
    }

    /// The last line that it said.
    pub(super) fn last(&self) -> String {
        let last = self.said.trim_end().lines().last().unwrap_or_default();
        let shown: String = last.chars().take(300).collect();
        format!("{:?}: {shown}", self.code)
    }
}

impl Place {
    pub(super) fn new(peft: PathBuf) -> io::Result<Self> {
        let place = Self {
            dir: tempfile::tempdir()?,
            peft,
        };
        let assets = root().join("crates/peft-cli/assets");
        fs::create_dir(place.path("tmp"))?;
        fs::create_dir(place.path("fresh"))?;
        fs::write(place.path("fresh/config.json"), CONFIG)?;
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            let to = place.path("fresh").join(file);
            fs::copy(assets.join("model").join(file), to)?;
        }
        for (name, n) in [("train.jsonl", 40), ("valid.jsonl", 8)] {
            let rows = fs::read_to_string(assets.join("wordnet").join(name))?;
            let rows: String = rows.lines().take(n).map(|row| format!("{row}\n")).collect();
            fs::write(place.path(name), rows)?;
        }
        let made =
            "train --model fresh --train train.jsonl --method full --max-steps 2 --out model";
        let made = place.run(made)?;
        if !made.succeeded() {
            return Err(io::Error::other(made.said));
        }
        Ok(place)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command with these words, silent.
    pub(super) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.peft);
        command
            .args(words.split_whitespace())
            .current_dir(self.dir.path())
            .env("TMPDIR", self.path("tmp"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// The command under a limit of the shell.
    pub(super) fn limited(&self, limit: &str, words: &str) -> io::Result<CommandEnd> {
        let mut command = Command::new("sh");
        let script = format!("{limit} && exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(&self.peft);
        command.args(words.split_whitespace());
        ended(command.current_dir(self.dir.path()))
    }

    pub(super) fn run(&self, words: &str) -> io::Result<CommandEnd> {
        ended(&mut self.command(words))
    }

    /// What it prints.
    pub(super) fn printed(&self, words: &str) -> io::Result<String> {
        let output = self.command(words).stdout(Stdio::piped()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a run has come to, by name; a model of its own that it began with included.
    pub(super) fn results(&self, run: &str) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let dir = self.path(run);
        let mut results = BTreeMap::new();
        for file in files(&dir)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if !ABOUT.contains(&&*name) {
                let bytes = fs::read(&file)?;
                results.insert(file.strip_prefix(&dir).unwrap_or(&file).into(), bytes);
            }
        }
        Ok(results)
    }

    /// A copy of a run.
    pub(super) fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        for file in files(&from)? {
            let place = to.join(file.strip_prefix(&from).unwrap_or(&file));
            fs::create_dir_all(place.parent().unwrap_or(&to))?;
            fs::copy(&file, place)?;
        }
        Ok(())
    }

    pub(super) fn remove(&self, run: &str) -> io::Result<()> {
        fs::remove_dir_all(self.path(run))
    }
}

/// All files below a directory.
pub(super) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}

fn ended(command: &mut Command) -> io::Result<CommandEnd> {
    let output = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .output()?;
    Ok(CommandEnd {
        code: output.status.code(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
