//! [`Given`]: small things of every kind that a reader of the book has before a page begins.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::common::models::edit;
use crate::common::{Place, assets};
use crate::page::{Page, root};

/// What pages name, and what stands in for it: files and directories that [`Given::make`] makes.
const STAND_INS: [(&str, &str); 25] = [
    ("DIR", "chat"),
    ("SmolLM2-135M-Instruct", "chat"),
    ("SMOLLM2", "chat"),
    ("SmolLM2-135M-Instruct.Q4_1.gguf", "chat.gguf"),
    ("all-MiniLM-L6-v2", "encoder"),
    ("TUNED", "tuned"),
    ("run", "adapter"),
    ("A", "adapter"),
    ("B", "adapter"),
    ("peft-demo/model", "plain"),
    ("peft-demo/merged", "plain"),
    ("peft-demo/wordnet/train.jsonl", "train.jsonl"),
    ("peft-demo/wordnet/valid.jsonl", "valid.jsonl"),
    ("peft-demo/wordnet/test.jsonl", "valid.jsonl"),
    ("rows.jsonl", "train.jsonl"),
    ("chat.jsonl", "turns.jsonl"),
    ("valid.jsonl", "valid.jsonl"),
    ("TOKENS", "tokens.txt"),
    ("questions.csv", "questions.csv"),
    ("sharegpt.json.gz", "sharegpt.json.gz"),
    ("open.csv", "open.csv"),
    ("cut.json.gz", "cut.json.gz"),
    ("token", "tokens.txt"),
    ("q.jsonl", "q.jsonl"),
    ("model", "plain"),
];

const TEMPLATE: &str = "{% for m in messages %}<s>{{ m.role }} {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant{% endif %}";

/// Small models, adapters and rows, made once for all pages.
pub(crate) struct Given(Place);

impl Given {
    /// What is there for all pages.
    pub(crate) fn get() -> &'static Self {
        static GIVEN: OnceLock<Given> = OnceLock::new();
        GIVEN.get_or_init(Self::make)
    }

    fn make() -> Self {
        let place = Place::new();
        let run = |line: &str| {
            place.runs(&line.split_whitespace().collect::<Vec<_>>());
        };
        // Rows of whole blocks, so that all of it is packed where that is asked for.
        edit(&place, "fresh/config.json", |config| {
            config["hidden_size"] = json!(64);
            config["intermediate_size"] = json!(64);
            config["max_position_embeddings"] = json!(2048);
        });
        rows(&place);
        let full = "train --method full --max-steps 2 --train train.jsonl";
        run(&format!("{full} --model fresh --out plain"));
        copy(&place.path("plain"), &place.path("chat"));
        fs::write(place.path("chat/chat_template.jinja"), TEMPLATE).expect("it is written");
        run(&format!("{full} --model chat --out tuned"));
        let lora = "train --model chat --train turns.jsonl --split 0.2 --max-steps 2";
        run(&format!("{lora} --out adapter"));
        run("export --model chat --quantise q8_0 --out chat.gguf");
        encoder(&place);
        Self(place)
    }

    /// Put what a page names, and does not make, into a directory.
    pub(crate) fn lay(&self, page: &Page, place: &Path) {
        for (name, made) in STAND_INS {
            if !page.is_given(name) || !self.0.path(made).exists() {
                continue;
            }
            let path = place.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("it is made");
            symlink(self.0.path(made), path).expect("a link");
        }
    }

    /// Names that no page has.
    pub(crate) fn unused(pages: &[Page]) -> Vec<&'static str> {
        let names = STAND_INS.iter().map(|(name, _)| *name);
        let is_used = |name: &str| pages.iter().any(|page| page.is_given(name));
        names.filter(|name| !is_used(name)).collect()
    }
}

/// Files of rows.
fn rows(place: &Place) {
    let write =
        |name: &str, text: String| fs::write(place.path(name), text).expect("it is written");
    let wordnet = fs::read_to_string(assets().join("wordnet/train.jsonl")).expect("rows");
    let some: Vec<&str> = wordnet.lines().take(200).collect();
    write("train.jsonl", some.join("\n"));
    let turns = (0..40).map(|n| {
        let turns = json!({"messages": [
            {"role": "user", "content": format!("What is {n}?")},
            {"role": "assistant", "content": format!("A number, {n}.")},
        ]});
        format!("{turns}\n")
    });
    write("turns.jsonl", turns.collect());
    write("tokens.txt", "<new>\n<newer>\n".into());
    let cells = (0..40).map(|n| format!("{n},What is {n}?,A number.,none\n"));
    let cells: String = cells.collect();
    write(
        "questions.csv",
        format!(",question,answer,country\n{cells}"),
    );
    write("open.csv", "prompt,completion\n\"a, b\nc, d\n".into());
    let talks = (0..60_u64).map(|n| {
        json!({"id": n, "conversations": [
            {"from": "human", "value": format!("What is {n}?")},
            {"from": "gpt", "value": format!("A number, {n}.")},
        ]})
    });
    let talks = serde_json::Value::Array(talks.collect());
    write("sharegpt.json", talks.to_string());
    // What does not pack well is packed in several blocks, of which some are whole.
    let noise = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let text = |n| format!("{{\"text\":\"{:x}{:x}\"}}", noise(n), noise(n * n));
    let texts: Vec<String> = (0..4000).map(text).collect();
    write("cut.json", format!("[{}]", texts.join(",")));
    let mut gzip = Command::new("gzip");
    let files = ["sharegpt.json", "cut.json"].map(|name| place.path(name));
    assert!(gzip.args(files).status().expect("gzip").success());
    let packed = place.read("cut.json.gz");
    fs::write(place.path("cut.json.gz"), &packed[..packed.len() / 2]).expect("it is written");
}

/// An encoder without a head, which knows few words.
fn encoder(place: &Place) {
    fs::create_dir(place.path("encoder")).expect("a directory");
    let of = root().join("tests/goldens/encoders/bert");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(of.join(file), place.path("encoder").join(file)).expect("it is copied");
    }
    let words = ["a", "the", "of", "or", "in", "an", "small", "green"];
    let words = words.iter().zip(4..).map(|(word, id)| (*word, id));
    let vocabulary: serde_json::Map<_, _> = [("x", 1), ("c", 2), ("s", 3)]
        .into_iter()
        .chain(words)
        .map(|(word, id)| (word.to_owned(), json!(id)))
        .collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "post_processor": {"type": "BertProcessing", "sep": ["s", 3], "cls": ["c", 2]},
        "model": {"type": "WordLevel", "unk_token": "x", "vocab": vocabulary},
    });
    let to = place.path("encoder/tokenizer.json");
    fs::write(to, tokenizer.to_string()).expect("it is written");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a name");
            fs::copy(&path, to.join(name)).expect("it is copied");
        }
    }
}
