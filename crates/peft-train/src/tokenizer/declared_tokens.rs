//! [`DeclaredTokens`]: what the files beside `tokenizer.json` say of special and added tokens, and
//! what that makes of `tokenizer.json`.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use peft_files::Folder;
use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::classes::{Class, Kind};
use super::files::{read_json, wrong};
use super::outline::check_token;
use crate::TrainError;

/// The names that each tokenizer has, in the order in which transformers adds their tokens.
pub(super) const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// What the files beside `tokenizer.json` say of special and added tokens.
#[derive(Default)]
pub(super) struct DeclaredTokens {
    pub(super) fields: Fields,
    /// The tokens that are added, by their numbers.
    pub(super) added: BTreeMap<u64, AddedToken>,
    /// Whether `tokenizer_config.json` lists them: then those of `tokenizer.json` have the flags
    /// that it gives, and a class that makes a tokenizer anew adds no others.
    listed: bool,
}

impl DeclaredTokens {
    /// Read it.
    ///
    /// `special_tokens_map.json` goes before `tokenizer_config.json`, unless that has
    /// `added_tokens_decoder`: then the older file, and `added_tokens.json` with it, is not looked
    /// at.
    pub(super) fn read(folder: &Folder, tokenizer_config: &Value) -> Result<Self, TrainError> {
        let path = folder.file("tokenizer_config.json");
        let mut said = Self::default();
        said.fields.take(&path, tokenizer_config, None)?;
        match &tokenizer_config["added_tokens_decoder"] {
            Value::Null => {
                let older = folder.file("special_tokens_map.json");
                let file = read_json(folder, "special_tokens_map.json")?;
                said.fields.take(&older, &file, Some(true))?;
                let path = folder.file("added_tokens.json");
                for (token, id) in read_json(folder, "added_tokens.json")?
                    .as_object()
                    .into_iter()
                    .flatten()
                {
                    let id = id.as_u64().ok_or_else(|| no_id(&path, token, id))?;
                    short(&path, token)?;
                    let special = said.fields.names(token);
                    let token = AddedToken::from(token.as_str(), special);
                    said.added.insert(id, token);
                }
            }
            Value::Object(tokens) => {
                said.listed = true;
                for (id, value) in tokens {
                    let number = id
                        .parse()
                        .map_err(|_| no_id(&path, "a token", &id.as_str().into()))?;
                    let token = value.as_object().and_then(|_| token(value, None));
                    let field = || format!("added_tokens_decoder.{id}");
                    let token = token.ok_or_else(|| no_token(&path, &field()))?;
                    short(&path, &token.content)?;
                    said.added.insert(number, token);
                }
            }
            _ => return Err(no_token(&path, "added_tokens_decoder")),
        }
        Ok(said)
    }

    /// What a class makes of a `tokenizer.json`, or nothing where it takes that as it is.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the file.
    pub(super) fn rebuilt(
        &mut self,
        text: &str,
        added_tokens: Value,
        class: &Class,
        config: &Value,
    ) -> Result<Option<String>, String> {
        let mut tokens = match added_tokens {
            Value::Array(tokens) => tokens,
            _ => Vec::new(),
        };
        let rebuilds = class.rebuilds();
        self.complete(class);
        let changed = self.listed && self.flag(&mut tokens);
        if !rebuilds && !changed {
            return Ok(None);
        }
        let mut file: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        if rebuilds {
            let named = self.fields.named.get("unk_token").and_then(Value::as_str);
            let default = class.tokens.iter().find(|(name, _)| *name == "unk_token");
            let unk = named.or(default.map(|(_, token)| *token));
            class.rebuild(&mut file, config, unk)?;
            if !self.listed {
                for value in tokens.drain(..) {
                    let token = token(&value, None).zip(value["id"].as_u64());
                    let (token, id) =
                        token.ok_or_else(|| format!("`added_tokens` has {value}, no token"))?;
                    check_token(&token.content)?;
                    self.added.insert(id, token);
                }
            }
            if self.fields.extra.is_empty() {
                self.fields.extra = class.extra(config)?;
            }
            // They are added to the new one, in the order of their numbers.
            tokens.clear();
            self.complete(class);
        }
        file.insert("added_tokens".into(), tokens.into());
        Ok(Some(Value::Object(file).to_string()))
    }

    /// What is named as special is so, whatever a list says of it.
    fn complete(&mut self, class: &Class) {
        let defaults = class.tokens.iter();
        let defaults = defaults.filter(|(name, _)| !self.fields.named.contains_key(*name));
        let defaults: HashSet<&str> = defaults.map(|(_, token)| *token).collect();
        for token in self.added.values_mut() {
            let named = self.fields.named.values();
            let mut named = named.filter_map(Value::as_str);
            let named = defaults.contains(token.content.as_str())
                || named.any(|named| named == token.content);
            token.special |= named;
            let extra = || self.fields.extra.iter().any(|t| t.content == token.content);
            if class.kind == Kind::Qwen2 && (named || extra()) {
                *token = AddedToken::from(token.content.as_str(), true);
            }
        }
        // This class adds its special tokens once more, plainly.
        if class.kind == Kind::Qwen2 {
            self.fields.flagged.clear();
            for token in &mut self.fields.extra {
                *token = AddedToken::from(token.content.as_str(), true);
            }
        }
    }

    /// Gives tokens of a `tokenizer.json` the flags that are listed, and says whether any changes.
    fn flag(&self, tokens: &mut [Value]) -> bool {
        let mut changed = false;
        for value in tokens {
            let listed = self.added.values();
            let mut listed = listed.filter(|token| value["content"] == *token.content);
            let own = token(value, None);
            if let Some(listed) = listed.next()
                && let Some(own) = own.filter(|own| own != listed)
            {
                let id = value["id"].take();
                *value = json!({
                    "id": id, "content": own.content, "single_word": listed.single_word,
                    "lstrip": listed.lstrip, "rstrip": listed.rstrip,
                    "normalized": listed.normalized, "special": listed.special,
                });
                changed = true;
            }
        }
        changed
    }
}

/// What the files say, one after the other.
#[derive(Default)]
pub(super) struct Fields {
    /// A token by its name, or null where a file says that there is none.
    pub(super) named: Map<String, Value>,
    /// Those of them that are written with flags.
    pub(super) flagged: Vec<AddedToken>,
    /// Special tokens without a name.
    pub(super) extra: Vec<AddedToken>,
}

impl Fields {
    /// What a file says; it goes before what was said. Its tokens are special, if that is known.
    fn take(&mut self, path: &Path, file: &Value, special: Option<bool>) -> Result<(), TrainError> {
        for (name, value) in file.as_object().into_iter().flatten() {
            let standard = NAMES.contains(&name.as_str());
            if !standard && !name.ends_with("_token") {
                continue;
            }
            match token(value, special) {
                Some(token) => self.name(name, token),
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
                    .map(|value| token(value, special).ok_or_else(|| no_token(path, field)));
                self.extra.extend(tokens.collect::<Result<Vec<_>, _>>()?);
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let token = token(value, special).ok_or_else(|| no_token(path, field))?;
                    self.name(name, token);
                }
            }
            _ => return Err(no_token(path, field)),
        }
        // Those of an earlier file have been found short.
        let named = self.named.values().filter_map(Value::as_str);
        let mut all = named.chain(self.extra.iter().map(|token| token.content.as_str()));
        all.try_for_each(|token| short(path, token))
    }

    fn name(&mut self, name: &str, token: AddedToken) {
        self.flagged.retain(|other| other.content != token.content);
        self.named.insert(name.into(), token.content.clone().into());
        self.flagged.push(token);
    }

    /// Whether a token is one of them.
    fn names(&self, token: &str) -> bool {
        let mut named = self.named.values();
        named.any(|value| value.as_str() == Some(token))
            || self.extra.iter().any(|t| t.content == token)
    }
}

/// An error that names the file where a token is too long to be looked for.
pub(super) fn short(path: &Path, token: &str) -> Result<(), TrainError> {
    check_token(token).map_err(|reason| wrong(path, reason))
}

/// An added token, written as a text, which is special, or as an object with its `content` and
/// those of its flags that are not what they are without it.
fn token(value: &Value, special: Option<bool>) -> Option<AddedToken> {
    let fields = match value {
        Value::String(text) => return Some(AddedToken::from(text.as_str(), true)),
        value => value.as_object()?,
    };
    let flag = |name: &str, absent: bool| match fields.get(name) {
        None | Some(Value::Null) => Some(absent),
        Some(value) => value.as_bool(),
    };
    let special = special.or_else(|| flag("special", false))?;
    Some(AddedToken {
        content: fields.get("content")?.as_str()?.to_owned(),
        single_word: flag("single_word", false)?,
        lstrip: flag("lstrip", false)?,
        rstrip: flag("rstrip", false)?,
        normalized: flag("normalized", !special)?,
        special,
    })
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
