//! SentencePiece's vocabularies of pairs, with bytes for what they do not have: Llama's, Gemma's,
//! Phi-3's.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use peft_gguf::{Array, Value as GgufValue};
use serde_json::{Map, Value, json};

use super::Vocabulary;
use crate::CheckpointError;
use crate::gguf::metadata::Keys;

/// What stands for a space.
const SPACE: &str = "▁";
/// As long as a token is that is parted into the pairs that it may be merged of, in characters; the
/// field's longest have a few dozen.
const LONGEST: usize = 1024;

/// `tokenizer.json` without its post-processor, and whether a text begins with the first token
/// where the file does not say: it does.
pub(super) fn file(
    keys: &Keys<'_>,
    vocabulary: &Vocabulary<'_>,
) -> Result<(Value, bool), CheckpointError> {
    const SCORES: &str = "tokenizer.ggml.scores";
    let gemma = keys.architecture.starts_with("gemma");
    let tokens: Vec<String> = match gemma {
        true => vocabulary
            .tokens
            .iter()
            .map(|token| respelled(token))
            .collect(),
        false => vocabulary.tokens.to_vec(),
    };
    let scores = match keys.metadata.get(SCORES) {
        // Their scores are in no order of their merges; the tokens are.
        _ if gemma => (0..tokens.len()).map(|id| -(id as f32)).collect(),
        Some(GgufValue::Array(Array::F32(scores))) if scores.len() == tokens.len() => {
            scores.clone()
        }
        found => {
            let found = found.map_or("missing", |_| "of another type or length");
            return Err(keys.wrong(SCORES, found, "an f32 for each token"));
        }
    };
    let merges = match keys.texts("tokenizer.ggml.merges")? {
        Some(merges) => merges
            .iter()
            .filter_map(|merge| merge.split_once(' '))
            .map(|(l, r)| json!([l, r]))
            .collect(),
        None => merges(&tokens, &scores),
    };
    let prefixed = keys
        .flag("tokenizer.ggml.add_space_prefix")?
        .unwrap_or(true)
        && !gemma;
    let unk = keys
        .metadata
        .get("tokenizer.ggml.unknown_token_id")
        .and_then(GgufValue::as_u64);
    let unk = unk
        .and_then(|id| tokens.get(usize::try_from(id).ok()?))
        .filter(|_| gemma);
    let (normalizer, pre_tokenizer) = steps(keys.architecture, prefixed);
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if prefixed {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let vocab: Map<String, Value> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), json!(id)))
        .collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": vocabulary.added(|token| !gemma || !is_blank(token)),
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": { "type": "Sequence", "decoders": decoders },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unk, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
            "ignore_merges": false, "vocab": vocab, "merges": merges,
        },
    });
    Ok((file, true))
}

/// A run of spaces as Gemma's tokenizer looks it up.
fn respelled(token: &str) -> String {
    match is_blank(token) {
        true => SPACE.repeat(token.chars().count()),
        false => token.to_owned(),
    }
}

fn is_blank(token: &str) -> bool {
    token.contains(' ') && token.trim().is_empty()
}

/// The normalizer and the pre-tokenizer.
fn steps(architecture: &str, prefixed: bool) -> (Value, Value) {
    let spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    match architecture {
        "phi3" if prefixed => {
            let steps = [json!({ "type": "Prepend", "prepend": SPACE }), spaces];
            (
                json!({ "type": "Sequence", "normalizers": steps }),
                Value::Null,
            )
        }
        _ if architecture.starts_with("gemma") => {
            let split = json!({
                "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious",
                "invert": false,
            });
            (spaces, split)
        }
        _ => {
            let scheme = if prefixed { "first" } else { "never" };
            let pre_tokenizer = json!({
                "type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": false,
            });
            (Value::Null, pre_tokenizer)
        }
    }
}

/// The merges that a vocabulary with scores stands for: of each token all pairs of tokens that it
/// is made of, those of the best token first, of one score those with longer parts, as transformers
/// has them.
fn merges(tokens: &[String], scores: &[f32]) -> Vec<Value> {
    let ids: HashMap<&str, usize> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.as_str(), id))
        .collect();
    // Of a token that is there twice the last one counts, in the place of the first.
    let mut seen = HashSet::new();
    let mut merges: Vec<(f32, usize, usize, &str, &str)> = Vec::new();
    for token in tokens {
        let length = token.chars().count();
        if length > LONGEST || !seen.insert(token.as_str()) {
            continue;
        }
        // Both zeros are one score.
        let score = scores[ids[token.as_str()]] + 0.0;
        let cuts = token.char_indices().skip(1).enumerate();
        let mut pairs: Vec<(usize, usize, usize, usize)> = cuts
            .filter_map(|(before, (cut, _))| {
                let (left, right) = token.split_at(cut);
                Some((*ids.get(left)?, *ids.get(right)?, cut, before + 1))
            })
            .collect();
        pairs.sort_by_key(|(left, right, _, _)| (*left, *right));
        merges.extend(pairs.into_iter().map(|(_, _, cut, before)| {
            let (left, right) = token.split_at(cut);
            (score, before, length - before, left, right)
        }));
    }
    // Stable, so that what is alike keeps its order.
    merges.sort_by(|a, b| {
        b.0.total_cmp(&a.0)
            .then_with(|| Reverse((a.1, a.2)).cmp(&Reverse((b.1, b.2))))
    });
    merges
        .into_iter()
        .map(|(_, _, _, left, right)| json!([left, right]))
        .collect()
}
