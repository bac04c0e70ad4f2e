//! [`EndTokens`]: the tokens that end a text, found once for training and for generation.

use std::path::Path;

use peft_files::Folder;
use serde_json::Value;

use super::files::{read_json, wrong};
use crate::TrainError;

/// The files in which an end is looked for, in this order.
const FILES: &str = "tokenizer_config.json, special_tokens_map.json, tokenizer.json, \
     generation_config.json and config.json";

/// The tokens that end a text.
///
/// What completions are trained to end with is the tokenizer's `eos_token`; without one, the first
/// `eos_token_id` of `generation_config.json`, or of `config.json` where that file has none;
/// without these, what the post-processor closes a text with. Generation stops at that token and at
/// all of that list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EndTokens {
    pub(super) end: Option<u32>,
    pub(super) stops: Vec<u32>,
}

impl EndTokens {
    /// `eos` is the tokenizer's, `closing` what its post-processor puts last.
    pub(super) fn read(
        folder: &Folder,
        config: &Value,
        eos: Option<u32>,
        closing: Option<u32>,
    ) -> Result<Self, TrainError> {
        const NAME: &str = "generation_config.json";
        let mut listed = ids(&folder.file(NAME), &read_json(folder, NAME)?)?;
        if listed.is_empty() {
            listed = ids(&folder.file("config.json"), config)?;
        }
        let end = eos.or(listed.first().copied()).or(closing);
        let mut stops: Vec<u32> = Vec::new();
        for token in end.into_iter().chain(listed) {
            if !stops.contains(&token) {
                stops.push(token);
            }
        }
        Ok(Self { end, stops })
    }

    /// What to say where there is none.
    pub(super) fn missing(&self) -> Option<String> {
        self.end.is_none().then(|| {
            format!(
                "no end-of-sequence token is named in {FILES}: completions are not trained to end, \
                 and generation goes on to its limit"
            )
        })
    }
}

/// The tokens of `eos_token_id`: one or several. A negative one stands for none.
fn ids(path: &Path, file: &Value) -> Result<Vec<u32>, TrainError> {
    let value = match &file["eos_token_id"] {
        Value::Null => &file["text_config"]["eos_token_id"],
        value => value,
    };
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list.as_slice(),
        value => std::slice::from_ref(value),
    };
    let id = |value: &Value| match value.as_i64() {
        Some(id) if id < 0 => Ok(None),
        id => match id.and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok(Some(id)),
            None => Err(wrong(
                path,
                format!("`eos_token_id` is {value}, expected a token's number or a list of them"),
            )),
        },
    };
    let ids: Result<Vec<Option<u32>>, TrainError> = list.iter().map(id).collect();
    Ok(ids?.into_iter().flatten().collect())
}
