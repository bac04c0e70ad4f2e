//! Rows, and the small files beside a model: labels and how it is to generate.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use peft_mutate::Kind;
use peft_store::{GenerationDefaults, GenerationFlags, Labels};
use peft_train::{Dataset, EncodeOptions, TextTokenizer, encode};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::{files, goldens};

const ROWS: [&str; 5] = [
    r#"{"text": "hi a b"}
{"text": "a \u00e9 \ud83d\udc69", "source": [1, 2.5, null]}
"#,
    r#"{"prompt": "a b", "completion": " hi"}
{"prompt": "", "completion": "b"}
"#,
    r#"{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]}, {"role": "tool", "content": [{"type": "text", "text": "a"}]}, {"role": "assistant", "content": "b", "weight": 0}], "tools": [{"name": "f"}]}
{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a"}]}
"#,
    r#"{"text": "hi", "label": 1}
{"text": "a", "label": "0"}
{"text": "b", "label": 2.0}
"#,
    r#"{"tokens": ["hi", "a"], "tags": [0, -100]}
{"tokens": ["b"], "tags": ["1"]}
"#,
];

const TOKENIZER: [&str; 2] = ["tokenizer.json", "tokenizer_config.json"];
const TEMPLATE: &str = "{% for m in messages %}<s>{{ m.role }} {{ m.content or '' }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant {% endif %}";

fn one(name: &str, bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([(name.to_owned(), bytes.to_vec())])
}

/// Rows of each shape, read and encoded.
pub fn rows() -> Kind<'static> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files(&goldens().join("chat"), &TOKENIZER) {
        fs::write(dir.path().join(name), bytes).expect("it is written");
    }
    fs::write(dir.path().join("chat_template.jinja"), TEMPLATE).expect("it is written");
    let tokenizer = TextTokenizer::from_dir(dir.path()).expect("a tokenizer");
    let options = EncodeOptions {
        max_length: 64,
        append_eos: true,
        vocab_size: tokenizer.vocab_size(),
    };
    let sound = ROWS.map(|rows| one("rows.jsonl", rows.as_bytes()));
    Kind::new("rows", sound.into(), move |dir, of| {
        let Ok(rows) = Dataset::read(dir.join("rows.jsonl")) else {
            return false;
        };
        let encoded = encode(&rows, &tokenizer, &options);
        // Labels are no task of a language model.
        of > 2 || encoded.is_ok()
    })
}

/// The same rows in files of every format, packed and plain.
pub fn files_of_rows() -> Kind<'static> {
    let list = r#"[
  {"text": "hi", "label": "a, \"b\""},
  {"text": "a\nb", "label": 1}
]
"#;
    let lines = "{\"text\": \"hi\", \"label\": 1}\n{\"text\": \"a\", \"label\": 0}\n".repeat(9);
    let commas = "text,label,id\nhi,\"a, \"\"b\"\"\",1\n\"a\nb\",1,2\n";
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(lines.as_bytes()).expect("it is packed");
    let packed = packed.finish().expect("it is packed");
    let zstd = compress_to_vec(lines.as_bytes(), CompressionLevel::Fastest);
    let files: [(&str, &[u8]); 6] = [
        ("rows.json", list.as_bytes()),
        ("rows.csv", commas.as_bytes()),
        ("rows.tsv", b"text\tlabel\na\t1\nb\t0\n"),
        ("rows", commas.as_bytes()),
        ("rows.jsonl.gz", &packed),
        ("rows.jsonl.zst", &zstd),
    ];
    let sound = files.map(|(name, bytes)| one(name, bytes));
    let names = files.map(|(name, _)| name);
    Kind::new("files of rows", sound.into(), move |dir, of| {
        Dataset::read(dir.join(names[of])).is_ok()
    })
}

/// A classifier's labels.
pub fn labels() -> Kind<'static> {
    let labels = r#"{"labels": ["bad", "good"], "problem_type": null, "numbers": null}"#;
    let sound = vec![one("labels.json", labels.as_bytes())];
    Kind::new("labels", sound, |dir, _| {
        Labels::read(dir).is_ok_and(|labels| labels.is_some())
    })
}

/// How a model is to generate.
pub fn generation() -> Kind<'static> {
    let config =
        br#"{"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.0,
        "repetition_penalty": 1.05, "eos_token_id": [1, 2], "bad_words_ids": [[3], [4, 5]],
        "max_new_tokens": 20, "suppress_tokens": [7]}"#;
    let file = "generation_config.json";
    let mut beside = files(&goldens().join("models/gqa"), &["config.json"]);
    beside.insert(file.into(), config.to_vec());
    Kind::new(
        "generation config",
        vec![one(file, config), beside],
        |dir, _| {
            let read = GenerationDefaults::read(dir);
            read.is_ok_and(|defaults| defaults.with(&GenerationFlags::default()).is_ok())
        },
    )
}
