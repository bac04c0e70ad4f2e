//! [`Outline`]: what is checked of a `tokenizer.json` before the tokenizer's library reads it.
//!
//! The library runs what the file asks for: sixty replacements of `a` by `aa` make a text of a
//! letter fill any memory, and steps within steps take time that doubles with each level. So the
//! steps are counted, and how many times as long they may make a text is bounded.

use serde::Deserialize;
use serde_json::Value;

use super::pattern;

/// The most steps within steps; the field's files have two.
const DEPTH: usize = 8;
/// The most steps in all; the field's files have some thirty.
const STEPS: usize = 512;
/// The most times as long as it was that a text may become.
const GROWTH: u64 = 4096;
/// The longest token in bytes that is looked for in each text; the field's have some thirty.
const TOKEN: usize = 1024;
/// The longest word that is looked up by all its parts.
const WORD: u64 = 1 << 14;

/// The parts of the file that do work; its vocabulary is passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Outline {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    pub(super) model: Model,
    #[serde(default)]
    pub(super) added_tokens: Value,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Model {
    #[serde(default, rename = "type")]
    pub(super) kind: Value,
    #[serde(default)]
    max_input_chars_per_word: Option<Value>,
}

/// How many times as long as they were texts may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    /// Of a text that is encoded.
    pub(super) encoded: u64,
    /// Of one that is decoded.
    pub(super) decoded: u64,
}

impl Outline {
    /// # Errors
    ///
    /// Says why it is none.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// # Errors
    ///
    /// Says what is wrong.
    pub(super) fn check(text: &str) -> Result<Growth, String> {
        let outline = Self::read(text)?;
        let chars = outline.model.max_input_chars_per_word;
        if let Some(chars) = chars.filter(|chars| chars.as_u64().is_none_or(|n| n > WORD)) {
            return Err(format!(
                "`max_input_chars_per_word` is {chars}, expected at most {WORD}"
            ));
        }
        let added = outline.added_tokens.as_array();
        for token in added.into_iter().flatten() {
            check_token(token["content"].as_str().unwrap_or_default())?;
        }
        let mut steps = 0;
        let mut growth = |name: &str, part: &Value| {
            let growth = walk(part, 0, &mut steps).map_err(|why| format!("`{name}`: {why}"))?;
            Ok::<u64, String>(growth)
        };
        let encoded = growth("normalizer", &outline.normalizer)?
            .saturating_mul(growth("pre_tokenizer", &outline.pre_tokenizer)?);
        growth("post_processor", &outline.post_processor)?;
        let decoded = growth("decoder", &outline.decoder)?;
        for (what, growth) in [
            ("`normalizer` and `pre_tokenizer`", encoded),
            ("`decoder`", decoded),
        ] {
            if growth > GROWTH {
                return Err(format!(
                    "{what} may make a text {growth} times as long, more than {GROWTH}"
                ));
            }
        }
        Ok(Growth { encoded, decoded })
    }
}

/// What is looked for as a token has a bounded length: the library's search takes time that grows
/// faster than it.
pub(super) fn check_token(token: &str) -> Result<(), String> {
    match token.len() {
        0..=TOKEN => Ok(()),
        length => Err(format!(
            "a token that is added has {length} bytes, expected at most {TOKEN}"
        )),
    }
}

/// How many times as long as it was a step makes a text at most.
fn walk(step: &Value, depth: usize, steps: &mut usize) -> Result<u64, String> {
    *steps += 1;
    if depth > DEPTH {
        return Err(format!("has steps within steps, more than {DEPTH} deep"));
    }
    if *steps > STEPS {
        return Err(format!("has more than {STEPS} steps"));
    }
    let mut growth = own(step)?;
    let parts = ["normalizers", "pretokenizers", "processors", "decoders"];
    for part in parts.iter().filter_map(|name| step[name].as_array()) {
        for step in part {
            growth = growth.saturating_mul(walk(step, depth + 1, steps)?);
        }
    }
    Ok(growth)
}

/// What a step does by itself. Those that do no more a second time, as Unicode's normal forms,
/// count as one.
fn own(step: &Value) -> Result<u64, String> {
    let length = |text: &Value| text.as_str().map_or(0, str::len) as u64;
    if let Some(pattern) = step["pattern"]["Regex"].as_str() {
        pattern::check(pattern)?;
    }
    Ok(match step["type"].as_str() {
        Some("Replace") => {
            let content = length(&step["content"]);
            match &step["pattern"]["Regex"] {
                Value::String(text) if may_be_empty(text) => content + 1,
                Value::String(_) => content.max(1),
                _ => content
                    .div_ceil(length(&step["pattern"]["String"]).max(1))
                    .max(1),
            }
        }
        // Each piece of a text begins with it, and a piece has a letter at least.
        Some("Prepend") => length(&step["prepend"]) + 1,
        Some("ByteLevel") => 2,
        Some("Metaspace") => 3,
        Some("Precompiled") => longest_mapping(step["precompiled_charsmap"].as_str())?,
        _ => 1,
    })
}

/// Whether a pattern may match where there is nothing; said of some that do not.
fn may_be_empty(pattern: &str) -> bool {
    pattern.is_empty()
        || pattern.contains(['*', '?', '^', '$', '|', '\\', '('])
        || pattern.contains("{0")
}

/// The longest text that a precompiled map puts in a character's place: the texts lie behind its
/// trie, each closed by a zero.
fn longest_mapping(map: Option<&str>) -> Result<u64, String> {
    let bytes = base64(map.unwrap_or_default());
    let broken = || "has a `precompiled_charsmap` that is cut off".to_owned();
    let head = bytes.first_chunk::<4>().ok_or_else(broken)?;
    let trie = u32::from_le_bytes(*head) as usize;
    let texts = trie.checked_add(4).and_then(|at| bytes.get(at..));
    let texts = texts.ok_or_else(broken)?;
    let longest = texts.split(|byte| *byte == 0).map(<[u8]>::len).max();
    // Ligatures and square words become some thirty bytes; ordinary letters stay what they are.
    Ok(match longest.unwrap_or(0) as u64 {
        0..=64 => 1,
        longer => longer,
    })
}

/// The bytes of base64, whatever else is in it passed over.
fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0);
    for c in text.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        held = (held << 6 | u32::from(six)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}
