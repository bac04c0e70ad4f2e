//! The steps of a tokenizer as transformers' classes make them: what is put in the place of what a
//! `tokenizer.json` has.

use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::classes::{Class, Kind};

/// How Qwen's classes part a text, with a set of letters each.
const QWEN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?LETTERS+|\p{N}| ?[^\s\p{L}MARKS\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The most marks of what is left out; the field's files have a hundred.
const MARKS: u64 = 4096;

impl Class {
    /// Whether it makes the steps of a tokenizer anew.
    pub(super) fn rebuilds(&self) -> bool {
        !matches!(self.kind, Kind::File | Kind::Other)
    }

    /// Its name, where what it makes is not known here.
    pub(super) fn unlike(self) -> Option<String> {
        (self.kind == Kind::Other).then_some(self.name)
    }

    /// Puts its steps into a `tokenizer.json`, as `tokenizer_config.json` asks for; the vocabulary
    /// and merges are kept, and so is the post-processor, which [`around`](Self::around) is for.
    ///
    /// # Errors
    ///
    /// Says what the class cannot be made of.
    pub(super) fn rebuild(
        &self,
        file: &mut Map<String, Value>,
        config: &Value,
        unk: Option<&str>,
    ) -> Result<(), String> {
        let precompiled = file.get("normalizer").map(precompiled);
        let [normalizer, pre_tokenizer, decoder] =
            self.steps(config, precompiled.unwrap_or_default());
        let Some(Value::Object(model)) = file.get_mut("model").map(Value::take) else {
            return Err("has no `model`, which is an object".into());
        };
        for (part, value) in [
            ("normalizer", normalizer),
            ("pre_tokenizer", pre_tokenizer),
            ("decoder", decoder),
            ("model", self.model(model, unk)?),
        ] {
            file.insert(part.into(), value);
        }
        Ok(())
    }

    /// The normalizer, the pre-tokenizer and the decoder.
    fn steps(&self, config: &Value, precompiled: Value) -> [Value; 3] {
        let flag = |name: &str, absent: bool| config[name].as_bool().unwrap_or(absent);
        let prefixed = flag("add_prefix_space", false);
        let bytes = |regex: bool| {
            json!({
                "type": "ByteLevel", "add_prefix_space": prefixed, "trim_offsets": true, "use_regex": regex,
            })
        };
        let of_bytes = json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        });
        let metaspace = |scheme: &str, split: bool| {
            json!({
                "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split,
            })
        };
        let spaces = |strip: bool| {
            let mut steps = vec![
                json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
                json!({ "type": "ByteFallback" }),
                json!({ "type": "Fuse" }),
            ];
            if strip {
                steps.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
            }
            json!({ "type": "Sequence", "decoders": steps })
        };
        let words = |scheme: &str| {
            let steps = [
                json!({ "type": "WhitespaceSplit" }),
                metaspace(scheme, true),
            ];
            json!({ "type": "Sequence", "pretokenizers": steps })
        };
        let nfc = json!({ "type": "NFC" });
        match self.kind {
            Kind::File | Kind::Other | Kind::Gpt2 | Kind::Roberta => {
                [Value::Null, bytes(true), of_bytes]
            }
            Kind::GptNeoX => [nfc, bytes(true), of_bytes],
            Kind::Qwen2 | Kind::Qwen3_5 => {
                let [letters, marks] = match self.kind == Kind::Qwen2 {
                    true => [r"\p{L}", ""],
                    false => [r"[\p{L}\p{M}]", r"\p{M}"],
                };
                let pattern = QWEN.replace("LETTERS", letters).replace("MARKS", marks);
                let split = json!({
                    "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false,
                });
                let steps = json!({ "type": "Sequence", "pretokenizers": [split, bytes(false)] });
                [nfc, steps, of_bytes]
            }
            Kind::Bert => {
                let normalizer = json!({
                    "type": "BertNormalizer", "clean_text": true,
                    "handle_chinese_chars": flag("tokenize_chinese_chars", true),
                    "strip_accents": config["strip_accents"].as_bool(),
                    "lowercase": flag("do_lower_case", true),
                });
                let decoder = json!({ "type": "WordPiece", "prefix": "##", "cleanup": true });
                [normalizer, json!({ "type": "BertPreTokenizer" }), decoder]
            }
            Kind::Llama => {
                let prefixed = flag("add_prefix_space", true);
                let scheme = match (prefixed, flag("legacy", false)) {
                    (true, true) => "always",
                    (true, false) => "first",
                    (false, _) => "never",
                };
                [Value::Null, metaspace(scheme, false), spaces(prefixed)]
            }
            Kind::CodeLlama => {
                let scheme = match flag("add_prefix_space", true) {
                    true => "first",
                    false => "never",
                };
                [Value::Null, metaspace(scheme, false), spaces(true)]
            }
            Kind::Gemma => {
                let normalizer =
                    json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
                let split = json!({
                    "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious", "invert": false,
                });
                [normalizer, split, spaces(false)]
            }
            Kind::XlmRoberta | Kind::T5 => {
                let always = self.kind == Kind::T5 || flag("add_prefix_space", true);
                let scheme = if always { "always" } else { "never" };
                [precompiled, words(scheme), metaspace(scheme, true)]
            }
        }
    }

    /// The model, with the vocabulary and the merges of a file's.
    fn model(&self, mut file: Map<String, Value>, unk: Option<&str>) -> Result<Value, String> {
        let vocab = file.remove("vocab").unwrap_or_default();
        let merges = file.remove("merges");
        let merges = merges.unwrap_or_else(|| json!([]));
        let bpe = |vocab: Value, affix: Option<&str>, unk: Option<&str>, bytes: bool| {
            json!({
                "type": "BPE", "dropout": null, "unk_token": unk, "continuing_subword_prefix": affix,
                "end_of_word_suffix": affix, "fuse_unk": bytes, "byte_fallback": bytes,
                "ignore_merges": false, "vocab": vocab, "merges": merges,
            })
        };
        Ok(match self.kind {
            Kind::XlmRoberta | Kind::T5 => {
                if !vocab.is_array() {
                    return Err(format!(
                        "its vocabulary is no list of tokens with scores, which {} takes: name another `tokenizer_class` in tokenizer_config.json, as \
                         PreTrainedTokenizerFast",
                        self.name
                    ));
                }
                let unk = if self.kind == Kind::T5 { 2 } else { 3 };
                json!({ "type": "Unigram", "unk_id": unk, "vocab": vocab, "byte_fallback": false })
            }
            Kind::Bert => json!({
                "type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": numbered(vocab),
            }),
            Kind::Llama => bpe(numbered(vocab), None, None, true),
            Kind::CodeLlama | Kind::Gemma => bpe(numbered(vocab), None, unk, true),
            Kind::File
            | Kind::Other
            | Kind::Gpt2
            | Kind::GptNeoX
            | Kind::Qwen2
            | Kind::Qwen3_5
            | Kind::Roberta => bpe(numbered(vocab), Some(""), None, false),
        })
    }

    /// The special tokens that it adds where no file lists any: T5's marks of what is left out.
    ///
    /// # Errors
    ///
    /// Says that `tokenizer_config.json` asks for too many.
    pub(super) fn extra(&self, config: &Value) -> Result<Vec<AddedToken>, String> {
        let marks = match self.kind {
            Kind::T5 => config["extra_ids"].as_u64().unwrap_or(100),
            Kind::File
            | Kind::Other
            | Kind::Bert
            | Kind::CodeLlama
            | Kind::Gemma
            | Kind::Gpt2
            | Kind::GptNeoX
            | Kind::Llama
            | Kind::Qwen2
            | Kind::Qwen3_5
            | Kind::Roberta
            | Kind::XlmRoberta => 0,
        };
        if marks > MARKS {
            return Err(format!(
                "`extra_ids` of tokenizer_config.json is {marks}, expected at most {MARKS}"
            ));
        }
        let mark = |i| AddedToken::from(format!("<extra_id_{i}>"), true);
        Ok((0..marks).map(mark).collect())
    }

    /// The names of the tokens that it puts before and after a text, or none where the
    /// post-processor of the file does.
    pub(super) fn around(&self) -> Option<[Option<&'static str>; 2]> {
        match self.kind {
            Kind::Bert | Kind::Roberta => Some([Some("cls_token"), Some("sep_token")]),
            Kind::XlmRoberta => Some([Some("bos_token"), Some("eos_token")]),
            Kind::T5 => Some([None, Some("eos_token")]),
            Kind::CodeLlama => Some([Some("bos_token"), None]),
            Kind::GptNeoX => Some([None, None]),
            Kind::File
            | Kind::Other
            | Kind::Gemma
            | Kind::Gpt2
            | Kind::Llama
            | Kind::Qwen2
            | Kind::Qwen3_5 => None,
        }
    }

    /// How often the token at the end stands between the texts of a pair, and the type of the
    /// second one; none where it is not known of the class.
    pub(super) fn between(&self) -> Option<(usize, u32)> {
        match self.kind {
            Kind::Bert => Some((1, 1)),
            Kind::Roberta | Kind::XlmRoberta => Some((2, 0)),
            Kind::T5 => Some((1, 0)),
            _ => None,
        }
    }
}

/// A vocabulary that is a list, by the places of its tokens.
fn numbered(vocab: Value) -> Value {
    match vocab {
        Value::Array(list) => {
            let tokens = list.into_iter().enumerate();
            let tokens = tokens.map(|(id, token)| {
                let text = token.as_str().or_else(|| token[0].as_str());
                (text.unwrap_or_default().to_owned(), id.into())
            });
            Value::Object(tokens.collect::<Map<_, _>>())
        }
        vocab => vocab,
    }
}

/// The first precompiled map of a normalizer.
fn precompiled(normalizer: &Value) -> Value {
    let one = std::slice::from_ref(normalizer);
    let steps = normalizer["normalizers"].as_array();
    let mut steps = steps.map_or(one, Vec::as_slice).iter();
    let found = steps.find(|step| step["type"] == "Precompiled");
    found.cloned().unwrap_or_default()
}
