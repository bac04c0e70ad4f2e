//! Tokenizers and chat templates.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use peft_mutate::Kind;
use peft_train::{EncodeSpecial, TextTokenizer, conversation};
use serde_json::{Value, json};

use super::goldens;
use crate::words;

/// The tokenizers that are changed.
fn seeds() -> Vec<Value> {
    let file = |name: &str| -> Value {
        let text = std::fs::read_to_string(goldens().join(name)).expect("the golden is there");
        serde_json::from_str(&text).expect("JSON")
    };
    let cases = file("tokens/cases.json");
    let mut unigram = words(&["<unk>", "</s>", "a"]);
    unigram["model"] = json!({
        "type": "Unigram", "unk_id": 0, "byte_fallback": false,
        "vocab": [["<unk>", 0.0], ["</s>", 0.0], ["▁a", -1.0], ["a", -2.0], ["b", -3.0]],
    });
    unigram["normalizer"] = json!({
        "type": "Sequence",
        "normalizers": [
            { "type": "NFKC" },
            { "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " },
            { "type": "Prepend", "prepend": "▁" },
        ],
    });
    unigram["decoder"] = json!({
        "type": "Sequence",
        "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ],
    });
    let mut wordpiece = words(&["<unk>", "</s>", "a"]);
    wordpiece["model"] = json!({
        "type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": { "<unk>": 0, "</s>": 1, "a": 2, "##b": 3 },
    });
    wordpiece["normalizer"] = json!({
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": true,
    });
    wordpiece["pre_tokenizer"] = json!({ "type": "BertPreTokenizer" });
    wordpiece["post_processor"] = json!({
        "type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["</s>", 1],
        "trim_offsets": true, "add_prefix_space": true,
    });
    wordpiece["decoder"] = json!({ "type": "WordPiece", "prefix": "##", "cleanup": true });
    let mut split = words(&["<unk>", "</s>", "a"]);
    split["pre_tokenizer"] = json!({
        "type": "Sequence",
        "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": r"\p{N}{1,3}|\s+(?!\S)|\s+" }, "behavior": "Isolated", "invert": false },
            { "type": "Digits", "individual_digits": true },
            { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        ],
    });
    let shared = &cases["tokenizers"];
    vec![
        shared["base"].clone(),
        shared["metaspace"].clone(),
        unigram,
        wordpiece,
        split,
    ]
}

/// Whether it was read.
fn used(dir: &Path) -> bool {
    let Ok(tokenizer) = TextTokenizer::from_dir(dir) else {
        return false;
    };
    let texts = [
        "",
        " ",
        "hi a b",
        "a</s> hi<s>",
        "é漢字\u{0}\u{301}👩‍👩‍👧 12345",
        &"ab ".repeat(200),
    ];
    for text in texts {
        check(&tokenizer, text);
    }
    let _ = tokenizer.decode(&[0, 1, 2, 3, 31, 32, 999, u32::MAX]);
    let words = ["hi".to_owned(), String::new(), "é".to_owned()];
    let _ = tokenizer
        .for_words()
        .map(|words_of| words_of.encode_words(&words, 20));
    true
}

fn check(tokenizer: &TextTokenizer, text: &str) {
    let Ok(whole) = tokenizer.encode_with_offsets(text, EncodeSpecial::Both, usize::MAX) else {
        return;
    };
    for token in &whole {
        assert!(
            text.get(token.bytes.clone()).is_some(),
            "{text:?}: {token:?}"
        );
    }
    let ids: Vec<u32> = whole.iter().map(|token| token.id).collect();
    let _ = tokenizer.decode(&ids);
    let _ = tokenizer.encode_within(text, None, 9);
    let _ = tokenizer.encode_within(text, Some(text), 9);
}

/// Tokenizers of each model, read and used on texts.
pub fn tokenizers() -> Kind<'static> {
    let seeds = seeds();
    let sound = seeds.iter().map(|seed| {
        BTreeMap::from([
            ("tokenizer.json".to_owned(), seed.to_string().into_bytes()),
            ("tokenizer_config.json".to_owned(), CONFIG.into()),
        ])
    });
    Kind::new("tokenizer", sound.collect(), |dir, _| used(dir))
}

/// What a tokenizer's config may hold.
const CONFIG: &str = r#"{"bos_token": "<s>", "eos_token": {"content": "</s>", "special": true},
    "add_bos_token": true, "model_max_length": 1000000000000000019884624838656,
    "added_tokens_decoder": {"0": {"content": "<unk>", "special": true}},
    "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}"#;

const TEMPLATES: [&str; 2] = [
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content | trim }}{{ eos_token }}{% endgeneration %}{% else %}[{{ m['role'] }}] {{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    "{%- macro shown(x, n=2) -%}{{ x | tojson(indent=n) }}{%- endmacro -%}{%- set ns = namespace(n=0) -%}{%- for m in messages[::-1] | reverse if m.content is string -%}{%- set ns.n = ns.n + loop.index0 -%}{{ m.role ~ ': ' + m.content.split('</think>')[-1].strip() }}{{ shown(m) if loop.last else '\n' * 2 }}{%- endfor -%}{{ range(ns.n) | list | length }}",
];

/// Chat templates, rendered.
pub fn templates() -> Kind<'static> {
    let tokenizer = words(&["<unk>", "</s>", "hi", "a"]).to_string();
    let sound = TEMPLATES.map(|template| {
        BTreeMap::from([(
            "chat_template.jinja".to_owned(),
            template.as_bytes().to_vec(),
        )])
    });
    Kind::new("chat template", sound.into(), move |dir, _| {
        fs::write(dir.join("tokenizer.json"), &tokenizer).expect("it is written");
        let Ok(tokenizer) = TextTokenizer::from_dir(dir) else {
            return false;
        };
        let messages = json!([
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": "<think>a</think> b" },
        ]);
        let messages = conversation(&messages).expect("messages");
        [false, true]
            .map(|next| tokenizer.render(&messages, next))
            .iter()
            .all(Result::is_ok)
    })
}
