//! [`with_tokens`]: a tokenizer with more tokens.

use serde_json::{Map, Value, json};

/// Why a tokenizer cannot have a token more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddTokensError {
    /// `tokenizer.json` does not parse.
    #[error("tokenizer.json is not the JSON that it should be")]
    Json(#[from] serde_json::Error),
    /// It has no vocabulary where one is looked for.
    #[error("tokenizer.json has no vocabulary in `model`.`vocab`")]
    NoVocabulary,
    /// A token is there already.
    #[error("the tokenizer has `{token}` already, as {id}")]
    Known {
        /// The token.
        token: String,
        /// Its number.
        id: u64,
    },
    /// A token is asked for twice, or is empty.
    #[error("the token `{token}` is {fault}")]
    Wrong {
        /// The token.
        token: String,
        /// `empty`, or `there twice`.
        fault: &'static str,
    },
}

/// A `tokenizer.json` with these tokens behind all that it has, and their numbers, one after the
/// other. They are found in a text as they are, before anything else is done to it, and are no
/// special tokens, as those that transformers' `add_tokens` adds.
///
/// # Errors
///
/// An [`AddTokensError`].
pub fn with_tokens(json: &str, tokens: &[String]) -> Result<(String, Vec<u32>), AddTokensError> {
    let mut file: Map<String, Value> = serde_json::from_str(json)?;
    let vocabulary = file.get("model").and_then(|model| model.get("vocab"));
    let vocabulary = vocabulary.ok_or(AddTokensError::NoVocabulary)?;
    let in_vocabulary = |token: &str| match vocabulary {
        Value::Object(map) => map.get(token)?.as_u64(),
        Value::Array(list) => {
            let mut pieces = list.iter();
            let at = pieces.position(|piece| piece[0].as_str() == Some(token))?;
            Some(at as u64)
        }
        _ => None,
    };
    let largest = match vocabulary {
        Value::Object(map) => map.values().filter_map(Value::as_u64).max(),
        Value::Array(list) => (list.len() as u64).checked_sub(1),
        _ => return Err(AddTokensError::NoVocabulary),
    };
    let added = file.get("added_tokens").and_then(Value::as_array);
    let added: Vec<(String, u64)> = (added.into_iter().flatten())
        .filter_map(|token| Some((token["content"].as_str()?.to_owned(), token["id"].as_u64()?)))
        .collect();
    let largest = added.iter().map(|(_, id)| *id).chain(largest).max();
    let first = largest.map_or(0, |largest| largest.saturating_add(1));
    let first = u32::try_from(first).map_err(|_| AddTokensError::NoVocabulary)?;
    for (i, token) in tokens.iter().enumerate() {
        let wrong = |fault| AddTokensError::Wrong {
            token: token.clone(),
            fault,
        };
        let known = added.iter().find(|(known, _)| known == token);
        let known = known.map(|(_, id)| *id).or_else(|| in_vocabulary(token));
        if let Some(id) = known {
            let token = token.clone();
            return Err(AddTokensError::Known { token, id });
        }
        if token.is_empty() {
            return Err(wrong("empty"));
        }
        if tokens[..i].contains(token) {
            return Err(wrong("there twice"));
        }
    }
    let ids: Vec<u32> = (first..).take(tokens.len()).collect();
    let entries = tokens.iter().zip(&ids).map(|(token, id)| {
        json!({
            "id": id,
            "content": token,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": true,
            "special": false,
        })
    });
    let list = file
        .entry("added_tokens")
        .or_insert_with(|| Value::Array(Vec::new()));
    match list.as_array_mut() {
        Some(list) => list.extend(entries),
        None => *list = entries.collect(),
    }
    Ok((serde_json::to_string_pretty(&file)?, ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(json: &str, tokens: &[&str]) -> Result<Vec<u32>, String> {
        let tokens: Vec<String> = tokens.iter().map(|token| (*token).into()).collect();
        let (grown, ids) = with_tokens(json, &tokens).map_err(|error| error.to_string())?;
        let grown: Value = serde_json::from_str(&grown).expect("JSON");
        let list = grown["added_tokens"].as_array().expect("a list");
        let last = &list[list.len() - tokens.len()..];
        for ((entry, token), id) in last.iter().zip(&tokens).zip(&ids) {
            assert_eq!(
                (&entry["content"], &entry["id"]),
                (&json!(token), &json!(id))
            );
        }
        Ok(ids)
    }

    #[test]
    fn tokens_come_behind_all_that_are_there() {
        let words = r#"{"added_tokens": [{"id": 7, "content": "<s>"}], "model": {"vocab": {"a": 0, "b": 4}}}"#;
        assert_eq!(added(words, &["<x>", "y z"]), Ok(vec![8, 9]));
        let pieces = r#"{"model": {"vocab": [["a", -1.0], ["b", -2.0]]}}"#;
        assert_eq!(added(pieces, &["c"]), Ok(vec![2]));
        for (json, tokens, message) in [
            (words, vec!["<s>"], "already, as 7"),
            (words, vec!["c", "b"], "already, as 4"),
            (pieces, vec!["b"], "already, as 1"),
            (words, vec!["c", "c"], "there twice"),
            (words, vec![""], "empty"),
            ("{}", vec!["c"], "no vocabulary"),
            ("[", vec!["c"], "not the JSON"),
        ] {
            let error = added(json, &tokens).expect_err("an error");
            assert!(error.contains(message), "{error}");
        }
    }
}
