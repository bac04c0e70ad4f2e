//! [`words()`]: a small tokenizer.

use serde_json::{Value, json};

/// Words by their place in the list, apart at white space, without a post-processor. Those in `<>`
/// are special.
pub fn words(words: &[&str]) -> Value {
    let vocab: serde_json::Map<String, Value> = words
        .iter()
        .enumerate()
        .map(|(i, word)| ((*word).to_owned(), i.into()))
        .collect();
    let special = words.iter().enumerate();
    let special = special.filter(|(_, word)| word.starts_with('<') && word.ends_with('>'));
    let added: Vec<Value> = special
        .map(|(i, word)| {
            json!({
                "id": i, "content": word, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null, "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": words[0] },
    })
}
