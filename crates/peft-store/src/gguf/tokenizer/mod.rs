//! [`texts`]: the tokenizer in a file's metadata, as the files of a directory that has one.

mod byte_level;
mod pre;
mod sentencepiece;

use std::collections::BTreeMap;

use peft_gguf::Array;
use peft_gguf::Value as GgufValue;
use serde_json::{Map, Value, json};

pub(super) use self::pre::Pre;
use super::metadata::Keys;
use crate::CheckpointError;

/// Ends of turns that a file may leave unnamed; ggml looks for them by their texts too.
const TURNS: [&str; 4] = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"];
/// The types of tokens that are told from the others, by their numbers in files.
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
/// Special tokens by their names in transformers, with what a file calls their numbers.
pub(super) const NAMES: [(&str, &str); 4] = [
    ("bos_token", "bos_token_id"),
    ("eos_token", "eos_token_id"),
    ("unk_token", "unknown_token_id"),
    ("pad_token", "padding_token_id"),
];

/// A vocabulary.
pub(super) struct Vocabulary<'a> {
    tokens: &'a [String],
    types: &'a [i32],
}

impl Vocabulary<'_> {
    /// Whether a token is found in a text before that is parted.
    fn is_added(&self, id: usize) -> bool {
        matches!(self.types.get(id), Some(&(CONTROL | USER_DEFINED)))
    }

    /// Those tokens as `tokenizer.json` lists them, where they are `wanted`.
    fn added(&self, wanted: impl Fn(&str) -> bool) -> Value {
        let tokens = self.tokens.iter().enumerate();
        let added =
            tokens.filter(|(id, token)| self.is_added(*id) && !token.is_empty() && wanted(token));
        let added = added.map(|(id, token)| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false,
                "special": self.types.get(id) == Some(&CONTROL),
            })
        });
        added.collect()
    }
}

/// The texts of `tokenizer.json` and of what goes with it, by their names; none of these where the
/// file has no tokenizer. `fields` are those of the config.
///
/// # Errors
///
/// [`CheckpointError::Metadata`] by the key.
pub(super) fn texts(
    keys: &Keys<'_>,
    fields: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, CheckpointError> {
    let mut texts = BTreeMap::new();
    texts.insert(
        "config.json".to_owned(),
        Value::Object(fields.clone()).to_string(),
    );
    let Some(model) = keys
        .text("tokenizer.ggml.model")?
        .filter(|model| *model != "none")
    else {
        return Ok(texts);
    };
    let missing = |key: &str, expected: &str| keys.wrong(key, "missing", expected);
    let tokens = keys.texts("tokenizer.ggml.tokens")?;
    let tokens = tokens.ok_or_else(|| missing("tokenizer.ggml.tokens", "the vocabulary"))?;
    let types = match keys.metadata.get("tokenizer.ggml.token_type") {
        None => &[],
        Some(GgufValue::Array(Array::I32(types))) => types.as_slice(),
        Some(other) => {
            let expected = "an array of i32";
            return Err(keys.wrong("tokenizer.ggml.token_type", other.kind(), expected));
        }
    };
    let vocabulary = Vocabulary { tokens, types };
    let (mut file, begins) = match model {
        "gpt2" => byte_level::file(keys, &vocabulary)?,
        "llama" => sentencepiece::file(keys, &vocabulary)?,
        other => return Err(keys.wrong("tokenizer.ggml.model", other, "gpt2 or llama")),
    };
    let named = SpecialTokens::of(keys, tokens)?;
    let begin = keys.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(begins);
    let end = keys.flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
    file["post_processor"] = named.around(begin, end);
    texts.insert("tokenizer.json".to_owned(), file.to_string());
    let mut config = named.config();
    config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    config.insert("clean_up_tokenization_spaces".into(), json!(false));
    if let Some(templates) = templates(keys)? {
        config.insert("chat_template".into(), templates);
    }
    texts.insert(
        "tokenizer_config.json".to_owned(),
        Value::Object(config).to_string(),
    );
    let generation = json!({
        "bos_token_id": named.id("bos_token"),
        "eos_token_id": stops(keys, &vocabulary, &named),
        "pad_token_id": named.id("pad_token"),
    });
    texts.insert("generation_config.json".to_owned(), generation.to_string());
    Ok(texts)
}

/// Special tokens by their names in transformers.
struct SpecialTokens<'a>(Vec<(&'static str, usize, &'a str)>);

impl<'a> SpecialTokens<'a> {
    fn of(keys: &Keys<'a>, tokens: &'a [String]) -> Result<Self, CheckpointError> {
        let mut named = Vec::new();
        for (name, key) in NAMES {
            let key = format!("tokenizer.ggml.{key}");
            let Some(value) = keys.metadata.get(&key) else {
                continue;
            };
            let id = value.as_u64().and_then(|id| usize::try_from(id).ok());
            let found = id.and_then(|id| Some((id, tokens.get(id)?)));
            let (id, token) = found.ok_or_else(|| {
                let expected = format!("a number below {}", tokens.len());
                keys.wrong(key, value.kind(), expected)
            })?;
            named.push((name, id, token.as_str()));
        }
        Ok(Self(named))
    }

    fn id(&self, name: &str) -> Option<usize> {
        let found = self.0.iter().find(|(known, _, _)| *known == name);
        found.map(|(_, id, _)| *id)
    }

    fn config(&self) -> Map<String, Value> {
        let named = self.0.iter();
        named
            .map(|(name, _, token)| ((*name).to_owned(), json!(token)))
            .collect()
    }

    /// The post-processor that puts the first token before a text, or the last one behind it.
    fn around(&self, begin: bool, end: bool) -> Value {
        let wanted = |name: &str, wanted: bool| {
            let found = self.0.iter().find(|(known, _, _)| *known == name);
            found.filter(|_| wanted)
        };
        let (begin, end) = (wanted("bos_token", begin), wanted("eos_token", end));
        let mut special = Map::new();
        for (_, id, token) in begin.into_iter().chain(end) {
            let entry = json!({ "id": token, "ids": [id], "tokens": [token] });
            special.insert((*token).to_owned(), entry);
        }
        if special.is_empty() {
            return Value::Null;
        }
        let token = |(_, _, token): &(&str, usize, &str), of: u8| json!({ "SpecialToken": { "id": token, "type_id": of } });
        let part = |name: &str, of: u8| {
            let text = json!({ "Sequence": { "id": name, "type_id": of } });
            let begin = begin.map(|begin| token(begin, of));
            let end = end.map(|end| token(end, of));
            begin
                .into_iter()
                .chain([text])
                .chain(end)
                .collect::<Vec<Value>>()
        };
        let pair = [part("A", 0), part("B", 1)].concat();
        json!({
            "type": "TemplateProcessing",
            "single": part("A", 0),
            "pair": pair,
            "special_tokens": special,
        })
    }
}

/// The tokens that a text ends at.
fn stops(keys: &Keys<'_>, vocabulary: &Vocabulary<'_>, named: &SpecialTokens<'_>) -> Vec<usize> {
    let id = |key: &str| {
        let id = keys
            .metadata
            .get(&format!("tokenizer.ggml.{key}"))?
            .as_u64()?;
        usize::try_from(id)
            .ok()
            .filter(|id| *id < vocabulary.tokens.len())
    };
    let by_text = || {
        let mut all = vocabulary.tokens.iter().enumerate();
        let found =
            all.find(|(id, token)| vocabulary.is_added(*id) && TURNS.contains(&token.as_str()));
        found.map(|(id, _)| id)
    };
    let turn = id("eot_token_id").or_else(by_text);
    let mut stops = Vec::new();
    for id in named
        .id("eos_token")
        .into_iter()
        .chain(turn)
        .chain(id("eom_token_id"))
    {
        if !stops.contains(&id) {
            stops.push(id);
        }
    }
    stops
}

/// The chat template, or several by their names, as `tokenizer_config.json` has them.
fn templates(keys: &Keys<'_>) -> Result<Option<Value>, CheckpointError> {
    const KEY: &str = "tokenizer.chat_template";
    let default = keys.text(KEY)?;
    let mut named = Vec::new();
    for (key, value) in keys.metadata.iter() {
        let name = key
            .strip_prefix(KEY)
            .and_then(|name| name.strip_prefix('.'));
        if let (Some(name), Some(text)) = (name, value.as_str()) {
            named.push(json!({ "name": name, "template": text }));
        }
    }
    if named.is_empty() {
        return Ok(default.map(Value::from));
    }
    let default = default.map(|text| json!({ "name": "default", "template": text }));
    Ok(Some(default.into_iter().chain(named).collect()))
}
