//! [`put`]: a folder's tokenizer and chat template as a file's metadata.

use std::collections::HashMap;

use peft_files::{Folder, NotFinite, python_json};
use peft_gguf::Metadata;
use serde_json::{Map, Value};

use crate::gguf::tokenizer::{CONTROL, NAMES, Pre, USER_DEFINED};
use crate::{CheckpointError, LARGEST_JSON};

/// The largest `tokenizer.json` that is read.
const LARGEST: u64 = 512 << 20;
/// The most tokens that a vocabulary is filled up with.
const MOST: usize = 1 << 24;
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

fn not(what: impl Into<String>) -> CheckpointError {
    CheckpointError::NotGguf { what: what.into() }
}

/// Put the tokenizer of a folder's files into the metadata of a model with so many rows of
/// embeddings; nothing where the folder has none.
pub(super) fn put(
    metadata: &mut Metadata,
    folder: &Folder,
    rows: usize,
) -> Result<(), CheckpointError> {
    if !folder.has("tokenizer.json") {
        return Ok(());
    }
    let file = object(folder, "tokenizer.json", LARGEST)?;
    let model = &file["model"];
    if model["type"] != "BPE" {
        return Err(not(format!(
            "a tokenizer of the kind {}, but for BPE",
            model["type"]
        )));
    }
    let mut tokens = Tokens::of(&file, rows)?;
    let merges = merges(model)?;
    let bytes = model["byte_fallback"] == true;
    match bytes {
        false => {
            let name = Pre::name_of(&file["normalizer"], &file["pre_tokenizer"]);
            let name = name.ok_or_else(|| {
                not(format!(
                    "how this tokenizer parts a text ({})",
                    file["pre_tokenizer"]
                ))
            })?;
            metadata.insert("tokenizer.ggml.model", "gpt2");
            metadata.insert("tokenizer.ggml.pre", name);
            let merges = merges
                .into_iter()
                .map(|(left, right)| format!("{left} {right}"));
            metadata.insert("tokenizer.ggml.merges", merges.collect::<Vec<String>>());
        }
        true => {
            metadata.insert("tokenizer.ggml.model", "llama");
            metadata.insert("tokenizer.ggml.pre", "default");
            metadata.insert("tokenizer.ggml.scores", tokens.scores(&merges));
            let steps = format!("{}{}", file["normalizer"], file["pre_tokenizer"]);
            let prefixed = steps.contains("Prepend")
                || steps.contains("Metaspace") && !steps.contains("never");
            metadata.insert("tokenizer.ggml.add_space_prefix", prefixed);
            for (token, ty) in tokens.texts.iter().zip(&mut tokens.types) {
                if token.len() == 6 && token.starts_with("<0x") && token.ends_with('>') {
                    *ty = BYTE;
                }
            }
        }
    }
    named(metadata, folder, &file, &mut tokens)?;
    metadata.insert("tokenizer.ggml.tokens", tokens.texts);
    metadata.insert("tokenizer.ggml.token_type", tokens.types);
    templates(metadata, folder)
}

/// The vocabulary by its numbers.
struct Tokens {
    texts: Vec<String>,
    types: Vec<i32>,
}

impl Tokens {
    fn of(file: &Value, rows: usize) -> Result<Self, CheckpointError> {
        let fill = |id: usize| format!("[PAD{id}]");
        if rows > MOST {
            return Err(not(format!("{rows} tokens")));
        }
        let mut tokens = Self {
            texts: (0..rows).map(fill).collect(),
            types: vec![UNUSED; rows],
        };
        let vocab = file["model"]["vocab"].as_object();
        let vocab = vocab
            .into_iter()
            .flatten()
            .map(|(text, id)| (text.as_str(), id, NORMAL));
        let added = file["added_tokens"].as_array().into_iter().flatten();
        let added = added.map(|token| {
            let ty = if token["special"] == true {
                CONTROL
            } else {
                USER_DEFINED
            };
            (
                token["content"].as_str().unwrap_or_default(),
                &token["id"],
                ty,
            )
        });
        for (text, id, ty) in vocab.chain(added) {
            let id = id.as_u64().and_then(|id| usize::try_from(id).ok());
            let place =
                id.and_then(|id| Some((tokens.texts.get_mut(id)?, tokens.types.get_mut(id)?)));
            let (place, of) = place.ok_or_else(|| {
                not(format!(
                    "`{text}`, token {id:?} of a model with {rows} rows of embeddings"
                ))
            })?;
            text.clone_into(place);
            *of = ty;
        }
        Ok(tokens)
    }

    /// By which merge a token is made first: those that none makes are behind the others, special
    /// tokens before them.
    fn scores(&self, merges: &[(String, String)]) -> Vec<f32> {
        let mut rank: HashMap<String, usize> = HashMap::new();
        for (at, (left, right)) in merges.iter().enumerate() {
            rank.entry(format!("{left}{right}")).or_insert(at);
        }
        let last = merges.len();
        let tokens = self.texts.iter().zip(&self.types).enumerate();
        tokens
            .map(|(id, (text, ty))| match (rank.get(text), *ty) {
                (Some(at), _) => -(*at as f32),
                (None, NORMAL) => -((last + id) as f32),
                (None, _) => 0.0,
            })
            .collect()
    }

    fn id(&self, text: &str) -> Option<usize> {
        self.texts.iter().position(|token| token == text)
    }
}

fn merges(model: &Value) -> Result<Vec<(String, String)>, CheckpointError> {
    let merges = model["merges"].as_array().into_iter().flatten();
    let pair = |merge: &Value| match merge {
        Value::String(text) => {
            let (left, right) = text.split_once(' ')?;
            Some((left.to_owned(), right.to_owned()))
        }
        pair => Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())),
    };
    merges
        .map(|merge| pair(merge).ok_or_else(|| not(format!("the merge {merge}"))))
        .collect()
}

/// The numbers of the special tokens, and which of them are put around a text.
fn named(
    metadata: &mut Metadata,
    folder: &Folder,
    file: &Value,
    tokens: &mut Tokens,
) -> Result<(), CheckpointError> {
    let config = object(folder, "tokenizer_config.json", LARGEST_JSON)?;
    let map = object(folder, "special_tokens_map.json", LARGEST_JSON)?;
    let model = object(folder, "config.json", LARGEST_JSON)?;
    for (name, key) in NAMES {
        let of = |file: &Value| {
            let token = &file[name];
            let text = token.as_str().or_else(|| token["content"].as_str());
            text.map(str::to_owned)
        };
        let by_text = of(&map)
            .or_else(|| of(&config))
            .and_then(|text| tokens.id(&text));
        let number = || {
            let id = &model[format!("{}_id", name)];
            let id = if id.is_array() { &id[0] } else { id };
            id.as_u64().and_then(|id| usize::try_from(id).ok())
        };
        let Some(id) = by_text
            .or_else(number)
            .filter(|id| *id < tokens.texts.len())
        else {
            continue;
        };
        metadata.insert(format!("tokenizer.ggml.{key}"), id as u32);
        if name == "unk_token" && file["model"]["byte_fallback"] == true {
            tokens.types[id] = UNKNOWN;
        }
    }
    let around = around(&file["post_processor"]);
    metadata.insert("tokenizer.ggml.add_bos_token", around.0);
    metadata.insert("tokenizer.ggml.add_eos_token", around.1);
    Ok(())
}

/// Whether a post-processor puts a token before a text, and behind it.
fn around(processor: &Value) -> (bool, bool) {
    let several = processor["processors"].as_array();
    if let Some(several) = several {
        let all = several.iter().map(around);
        return all.fold((false, false), |a, b| (a.0 || b.0, a.1 || b.1));
    }
    let single = processor["single"].as_array();
    let special =
        |part: Option<&Value>| part.is_some_and(|part| part.get("SpecialToken").is_some());
    let single = single.map_or(&[][..], Vec::as_slice);
    (special(single.first()), special(single.last()))
}

/// The chat template, and those beside it in the config.
fn templates(metadata: &mut Metadata, folder: &Folder) -> Result<(), CheckpointError> {
    const KEY: &str = "tokenizer.chat_template";
    if let Ok(text) = folder.read_text("chat_template.jinja", LARGEST_JSON) {
        metadata.insert(KEY, text);
        return Ok(());
    }
    let config = object(folder, "tokenizer_config.json", LARGEST_JSON)?;
    match &config["chat_template"] {
        Value::String(text) => metadata.insert(KEY, text.as_str()),
        Value::Array(several) => {
            for template in several {
                let pair = template["name"].as_str().zip(template["template"].as_str());
                match pair {
                    Some(("default", text)) => metadata.insert(KEY, text),
                    Some((name, text)) => metadata.insert(format!("{KEY}.{name}"), text),
                    None => {}
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// The object of a file, or null where there is none.
fn object(folder: &Folder, name: &str, largest: u64) -> Result<Value, CheckpointError> {
    if !folder.has(name) {
        return Ok(Value::Null);
    }
    let path = || folder.file(name);
    let text = folder
        .read_text(name, largest)
        .map_err(|source| CheckpointError::Io {
            action: "read",
            path: path(),
            source,
        })?;
    let map: Map<String, Value> =
        python_json(&text, NotFinite::Null).map_err(|source| CheckpointError::Json {
            path: path(),
            source,
        })?;
    Ok(Value::Object(map))
}
