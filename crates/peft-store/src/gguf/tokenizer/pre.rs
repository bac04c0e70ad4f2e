//! How a byte-level vocabulary parts a text before it is merged, by the names that
//! `tokenizer.ggml.pre` has.

use serde_json::{Value, json};

/// Llama 3's.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's: digits stand alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's of byte-level vocabularies.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o's.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A way to part a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gguf) enum Pre {
    /// GPT-2's, which the step to bytes has.
    Gpt2,
    /// That of digits that stand alone, and GPT-2's.
    Digits,
    /// By a pattern, in composed Unicode or as it is.
    Pattern {
        pattern: &'static str,
        composed: bool,
    },
    /// By Llama 3's or a pattern that goes with it: what is a token already is not merged, and a
    /// text begins with the first token.
    Whole { pattern: &'static str, begins: bool },
}

/// The names that are known.
const KNOWN: [(&[&str], Pre); 6] = [
    (
        &[
            "default", "gpt-2", "olmo", "phi-2", "mpt", "jina-es", "jina-de",
        ],
        Pre::Gpt2,
    ),
    (
        &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "minerva-7b",
        ],
        Pre::Digits,
    ),
    (
        &["qwen2", "deepseek-r1-qwen", "kormo", "megrez"],
        Pre::Pattern {
            pattern: QWEN2,
            composed: true,
        },
    ),
    (
        &["gpt-4o", "llama4"],
        Pre::Pattern {
            pattern: GPT4O,
            composed: false,
        },
    ),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
        Pre::Whole {
            pattern: LLAMA3,
            begins: true,
        },
    ),
    (
        &["tekken"],
        Pre::Whole {
            pattern: TEKKEN,
            begins: true,
        },
    ),
];

impl Pre {
    /// That of a name.
    ///
    /// # Errors
    ///
    /// The names that there are.
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let found = KNOWN.iter().find(|(names, _)| names.contains(&name));
        found.map(|(_, pre)| *pre).ok_or_else(|| {
            let names = KNOWN.iter().flat_map(|(names, _)| *names);
            names.copied().collect::<Vec<_>>().join(", ")
        })
    }

    /// The name of the way that a `tokenizer.json` has.
    pub(in crate::gguf) fn name_of(
        normalizer: &Value,
        pre_tokenizer: &Value,
    ) -> Option<&'static str> {
        let steps = steps(pre_tokenizer);
        let composed = !normalizer.is_null();
        let found = KNOWN.iter().find(|(_, pre)| {
            let same = self::steps(&pre.pre_tokenizer()) == steps;
            same && (!composed || *normalizer == pre.normalizer())
        });
        // Not the name that stands for no name.
        found.and_then(|(names, _)| names.iter().find(|name| **name != "default").copied())
    }

    /// Whether a text begins with the first token where the file does not say.
    pub(super) fn begins(self) -> bool {
        matches!(self, Self::Whole { begins: true, .. })
    }

    /// Whether what is a token is not merged to it.
    pub(super) fn ignores_merges(self) -> bool {
        matches!(self, Self::Whole { .. })
    }

    pub(super) fn normalizer(self) -> Value {
        match self {
            Self::Pattern { composed: true, .. } => json!({ "type": "NFC" }),
            _ => Value::Null,
        }
    }

    pub(super) fn pre_tokenizer(self) -> Value {
        let bytes = |regex: bool| {
            json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex,
            })
        };
        let first = match self {
            Self::Gpt2 => return bytes(true),
            Self::Digits => {
                let digits = json!({ "type": "Digits", "individual_digits": true });
                return json!({ "type": "Sequence", "pretokenizers": [digits, bytes(true)] });
            }
            Self::Pattern { pattern, .. } | Self::Whole { pattern, .. } => pattern,
        };
        let split = json!({
            "type": "Split", "pattern": { "Regex": first }, "behavior": "Isolated", "invert": false,
        });
        json!({ "type": "Sequence", "pretokenizers": [split, bytes(false)] })
    }
}

/// What a pre-tokenizer does, step by step, without what changes no token.
fn steps(pre_tokenizer: &Value) -> Vec<String> {
    let one = std::slice::from_ref(pre_tokenizer);
    let steps = pre_tokenizer["pretokenizers"]
        .as_array()
        .map_or(one, Vec::as_slice);
    let step = |step: &Value| match step["type"].as_str() {
        Some("ByteLevel") => {
            let regex = step["use_regex"].as_bool().unwrap_or(true);
            format!("bytes {regex} {}", step["add_prefix_space"])
        }
        Some("Split") => {
            format!(
                "split {} {} {}",
                step["pattern"]["Regex"], step["behavior"], step["invert"]
            )
        }
        Some("Digits") => format!("digits {}", step["individual_digits"]),
        _ => step.to_string(),
    };
    steps.iter().map(step).collect()
}
