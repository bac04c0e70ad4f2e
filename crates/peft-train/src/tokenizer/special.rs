//! [`Special`]: a checkpoint's special tokens by their names, from all files that name them, in
//! transformers' order.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, Tokenizer};

use super::classes::Class;
use super::declared_tokens::{DeclaredTokens, NAMES, short};
use super::enclosing_tokens::EnclosingTokens;
use crate::TrainError;

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

    /// What is put around a text that has tokens of these names before and after it.
    ///
    /// # Errors
    ///
    /// Names the one that there is not.
    pub(super) fn around(
        &self,
        names: [Option<&str>; 2],
        class: &Class,
        inner: &Tokenizer,
    ) -> Result<EnclosingTokens, String> {
        let id = |name: &str| {
            let id = self.id(name, inner);
            id.ok_or_else(|| format!("has no `{name}`, which {} puts around a text", class.name))
        };
        let [begin, end] = names.map(|name| name.map(id).transpose());
        Ok(EnclosingTokens {
            begin: begin?.into_iter().collect(),
            end: end?.into_iter().collect(),
        })
    }

    /// Those of a checkpoint whose `tokenizer.json` is at `path`. The tokenizer is given those that
    /// it does not have. What no file names has the value of the tokenizer's class, if its
    /// vocabulary has that.
    pub(super) fn of(
        said: DeclaredTokens,
        class: &Class,
        path: &Path,
        inner: &mut Tokenizer,
    ) -> Result<Self, TrainError> {
        let DeclaredTokens {
            mut fields, added, ..
        } = said;
        let padding = inner.get_padding().map(|padding| padding.pad_token.clone());
        if let Some(token) = padding {
            short(path, &token)?;
            fields.named.entry("pad_token").or_insert(token.into());
        }
        let mut special = Self::default();
        special.append(inner, added.into_values());
        for (name, token) in class.tokens {
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
        let named = named.filter_map(Value::as_str).map(|token| {
            let flagged = fields.flagged.iter().find(|with| with.content == token);
            let plain = || AddedToken::from(token, true);
            flagged.cloned().unwrap_or_else(plain).special(true)
        });
        let named: Vec<AddedToken> = named.collect();
        special.append(inner, named.into_iter().chain(fields.extra));
        special.named = fields.named;
        Ok(special)
    }

    /// Gives the tokenizer tokens that it does not know as such. One that its vocabulary has keeps
    /// its number; others get the next ones.
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
