//! [`Special`]: a checkpoint's special tokens by their names, from all files that name them, in transformers' order.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, Tokenizer};

use super::classes;
use super::files::{read_json, wrong};
use super::outline::check_token;
use crate::TrainError;

/// The names that each tokenizer has, in the order in which transformers adds their tokens.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Files that may say something of special tokens.
pub(super) struct Sources<'a> {
    pub(super) dir: &'a Path,
    /// `tokenizer_config.json`, or null.
    pub(super) tokenizer_config: &'a Value,
    /// `config.json`, or null.
    pub(super) config: &'a Value,
    /// Whether `tokenizer.json` works on bytes.
    pub(super) byte_level: bool,
}

/// Special tokens by the names that templates know them by.
#[derive(Debug, Clone, Default)]
pub(super) struct Special {
    pub(super) named: Map<String, Value>,
    /// Those that `tokenizer.json` did not have.
    pub(super) appended: Vec<String>,
}

impl Special {
    /// Tokens by their names.
    pub(super) fn new<const N: usize>(tokens: [(&str, Option<String>); N]) -> Self {
        let named = tokens.into_iter();
        let named = named.filter_map(|(name, token)| Some((name.to_owned(), token?.into())));
        Self {
            named: named.collect(),
            appended: Vec::new(),
        }
    }

    /// The number of the token of this name.
    pub(super) fn id(&self, name: &str, inner: &Tokenizer) -> Option<u32> {
        inner.token_to_id(self.named.get(name)?.as_str()?)
    }

    /// Read them, and give the tokenizer those that it does not have.
    ///
    /// `special_tokens_map.json` goes before `tokenizer_config.json`, unless that has `added_tokens_decoder`: then the older file, and `added_tokens.json` with
    /// it, is not looked at. What no file names has the value of the tokenizer's class, if its vocabulary has that.
    pub(super) fn read(sources: &Sources<'_>, inner: &mut Tokenizer) -> Result<Self, TrainError> {
        let path = sources.dir.join("tokenizer_config.json");
        let mut fields = Fields::default();
        fields.take(&path, sources.tokenizer_config)?;
        let mut added: BTreeMap<u64, AddedToken> = BTreeMap::new();
        match &sources.tokenizer_config["added_tokens_decoder"] {
            Value::Null => {
                let older = sources.dir.join("special_tokens_map.json");
                fields.take(&older, &read_json(&older)?)?;
                let path = sources.dir.join("added_tokens.json");
                for (token, id) in read_json(&path)?.as_object().into_iter().flatten() {
                    let id = id.as_u64().ok_or_else(|| no_id(&path, token, id))?;
                    short(&path, token)?;
                    let special = fields.names(token);
                    added.insert(id, AddedToken::from(token.as_str(), special));
                }
            }
            Value::Object(tokens) => {
                for (id, token) in tokens {
                    let number = id
                        .parse()
                        .map_err(|_| no_id(&path, "a token", &id.as_str().into()))?;
                    let field = || format!("added_tokens_decoder.{id}");
                    let token = serde_json::from_value(with_flags(token));
                    let token: AddedToken = token.map_err(|_| no_token(&path, &field()))?;
                    short(&path, &token.content)?;
                    added.insert(number, token);
                }
            }
            _ => return Err(no_token(&path, "added_tokens_decoder")),
        }
        let padding = inner.get_padding().map(|padding| padding.pad_token.clone());
        if let Some(token) = padding {
            short(&sources.dir.join("tokenizer.json"), &token)?;
            fields.named.entry("pad_token").or_insert(token.into());
        }
        let mut special = Self::default();
        special.append(inner, added.into_values());
        let defaults =
            classes::defaults(sources.tokenizer_config, sources.config, sources.byte_level);
        for (name, token) in defaults {
            if inner.token_to_id(token).is_some() {
                let absent = fields.named.entry(*name);
                absent.or_insert((*token).into());
            }
        }
        fields.named.retain(|_, token| !token.is_null());
        let standard = NAMES.iter().filter_map(|name| fields.named.get(*name));
        let others = fields.named.iter();
        let others = others.filter(|(name, _)| !NAMES.contains(&name.as_str()));
        let named = standard.chain(others.map(|(_, token)| token));
        let named: Vec<&str> = named.filter_map(Value::as_str).collect();
        let all = named
            .into_iter()
            .chain(fields.extra.iter().map(String::as_str));
        special.append(inner, all.map(|token| AddedToken::from(token, true)));
        special.named = fields.named;
        Ok(special)
    }

    /// Gives the tokenizer tokens that it does not know as such. One that its vocabulary has keeps its number; others get the next ones.
    fn append(&mut self, inner: &mut Tokenizer, tokens: impl Iterator<Item = AddedToken>) {
        let known = inner.get_added_tokens_decoder();
        let mut known: HashSet<&str> = known.values().map(|token| token.content.as_str()).collect();
        let tokens: Vec<AddedToken> = tokens.collect();
        let new: Vec<AddedToken> = tokens
            .iter()
            .filter(|token| !token.content.is_empty() && known.insert(&token.content))
            .cloned()
            .collect();
        let missing = new
            .iter()
            .filter(|token| inner.token_to_id(&token.content).is_none());
        self.appended
            .extend(missing.map(|token| token.content.clone()));
        if !new.is_empty() {
            inner.add_tokens(&new);
        }
    }
}

/// What the files say, one after the other.
#[derive(Default)]
struct Fields {
    /// A token by its name, or null where a file says that there is none.
    named: Map<String, Value>,
    /// Special tokens without a name.
    extra: Vec<String>,
}

impl Fields {
    /// What a file says; it goes before what was said.
    fn take(&mut self, path: &Path, file: &Value) -> Result<(), TrainError> {
        for (name, value) in file.as_object().into_iter().flatten() {
            let standard = NAMES.contains(&name.as_str());
            if !standard && !name.ends_with("_token") {
                continue;
            }
            match token(value) {
                Some(token) => {
                    self.named.insert(name.clone(), token.into());
                }
                None if value.is_null() => {
                    self.named.insert(name.clone(), Value::Null);
                }
                // Others end so too, as `add_bos_token`.
                None if standard => return Err(no_token(path, name)),
                None => {}
            }
        }
        let newer = &file["extra_special_tokens"];
        let none = match newer {
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            value => value.is_null(),
        };
        let (field, value) = if none {
            (
                "additional_special_tokens",
                &file["additional_special_tokens"],
            )
        } else {
            ("extra_special_tokens", newer)
        };
        match value {
            Value::Null => {}
            Value::Array(list) => {
                let tokens = list
                    .iter()
                    .map(|value| token(value).ok_or_else(|| no_token(path, field)));
                self.extra.extend(tokens.collect::<Result<Vec<_>, _>>()?);
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let token = token(value).ok_or_else(|| no_token(path, field))?;
                    self.named.insert(name.clone(), token.into());
                }
            }
            _ => return Err(no_token(path, field)),
        }
        // Those of an earlier file have been found short.
        let named = self.named.values().filter_map(Value::as_str);
        let mut all = named.chain(self.extra.iter().map(String::as_str));
        all.try_for_each(|token| short(path, token))
    }

    /// Whether a token is one of them.
    fn names(&self, token: &str) -> bool {
        let mut named = self.named.values();
        named.any(|value| value.as_str() == Some(token)) || self.extra.iter().any(|t| t == token)
    }
}

/// An error that names the file where a token is too long to be looked for.
fn short(path: &Path, token: &str) -> Result<(), TrainError> {
    check_token(token).map_err(|reason| wrong(path, reason))
}

/// A special token, written as a text or as an object with its `content`.
fn token(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value["content"].as_str());
    text.map(str::to_owned)
}

/// An added token with those of its flags that a file leaves out.
fn with_flags(token: &Value) -> Value {
    let mut token = token.clone();
    if let Value::Object(fields) = &mut token {
        let special = fields
            .get("special")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        for (flag, value) in [
            ("special", special),
            ("normalized", !special),
            ("single_word", false),
            ("lstrip", false),
            ("rstrip", false),
        ] {
            fields.entry(flag).or_insert(value.into());
        }
    }
    token
}

fn no_token(path: &Path, field: &str) -> TrainError {
    wrong(
        path,
        format!("`{field}` is not a token, which is a text or an object with its `content`"),
    )
}

fn no_id(path: &Path, token: &str, found: &Value) -> TrainError {
    wrong(
        path,
        format!("the number of {token} is {found}, expected a whole number"),
    )
}
