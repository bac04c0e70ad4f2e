//! Vocabularies of bytes, GPT-2's and those after it.

use serde_json::{Map, Value, json};

use super::Vocabulary;
use super::pre::Pre;
use crate::CheckpointError;
use crate::gguf::metadata::Keys;

/// `tokenizer.json` without its post-processor, and whether a text begins with the first token
/// where the file does not say.
pub(super) fn file(
    keys: &Keys<'_>,
    vocabulary: &Vocabulary<'_>,
) -> Result<(Value, bool), CheckpointError> {
    const PRE: &str = "tokenizer.ggml.pre";
    const MERGES: &str = "tokenizer.ggml.merges";
    let name = keys.text(PRE)?.unwrap_or("default");
    let pre = Pre::of(name).map_err(|known| keys.wrong(PRE, name, known))?;
    let merges = keys.texts(MERGES)?;
    let merges = merges.ok_or_else(|| keys.wrong(MERGES, "missing", "the merges"))?;
    let pairs = merges.iter().map(|merge| match merge.split_once(' ') {
        Some((left, right)) if !right.contains(' ') => Ok(json!([left, right])),
        _ => Err(keys.wrong(
            MERGES,
            format!("`{merge}`"),
            "two parts with a space between them",
        )),
    });
    let merges: Vec<Value> = pairs.collect::<Result<_, _>>()?;
    let alphabet = alphabet();
    let is_spelled = |token: &str| token.chars().all(|c| alphabet.contains(&c));
    let spelled = |(id, token): (usize, &String)| {
        let text = match is_spelled(token) || vocabulary.is_added(id) {
            true => token.clone(),
            false => token
                .bytes()
                .map(|byte| alphabet[usize::from(byte)])
                .collect(),
        };
        (text, json!(id))
    };
    let vocab: Map<String, Value> = vocabulary.tokens.iter().enumerate().map(spelled).collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": vocabulary.added(|_| true),
        "normalizer": pre.normalizer(), "pre_tokenizer": pre.pre_tokenizer(), "post_processor": null,
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": pre.ignores_merges(), "vocab": vocab, "merges": merges,
        },
    });
    Ok((file, pre.begins()))
}

/// The character that stands for each byte: itself where it can be seen, and else one of those from
/// 256 on.
fn alphabet() -> Vec<char> {
    let mut next = 256;
    let spelled = |byte: u8| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        _ => {
            let hidden = char::from_u32(next).unwrap_or_default();
            next += 1;
            hidden
        }
    };
    (0..=255).map(spelled).collect()
}
