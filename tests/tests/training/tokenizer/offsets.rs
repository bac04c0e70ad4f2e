//! A text's tokens with the bytes that they were made of, and what is put around them.

use peft_train::{EncodeSpecial, TextToken, TextTokenizer};
use serde_json::{Value, json};

use super::{read, words};

/// `<s> $A </s>`, as a template.
fn template(begin: &[u32], end: &[u32]) -> Value {
    let special = |ids: &[u32]| -> Vec<Value> {
        ids.iter()
            .map(|id| json!({ "SpecialToken": { "id": format!("<{id}>"), "type_id": 0 } }))
            .collect()
    };
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let single = [special(begin), vec![text], special(end)].concat();
    let tokens: serde_json::Map<String, Value> = begin
        .iter()
        .chain(end)
        .map(|id| {
            let name = format!("<{id}>");
            let token = json!({ "id": name, "ids": [id], "tokens": [name] });
            (name, token)
        })
        .collect();
    json!({ "type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": tokens })
}

fn bert() -> Value {
    json!({ "type": "BertProcessing", "sep": ["<2>", 2], "cls": ["<1>", 1] })
}

fn roberta() -> Value {
    json!({
        "type": "RobertaProcessing", "sep": ["<2>", 2], "cls": ["<1>", 1],
        "trim_offsets": true, "add_prefix_space": false,
    })
}

fn with(mut tokenizer: Value, processor: Value) -> TextTokenizer {
    tokenizer["post_processor"] = processor;
    read(&[("tokenizer.json", &tokenizer)]).expect("a tokenizer")
}

fn tokens(tokenizer: &TextTokenizer, text: &str, special: EncodeSpecial) -> Vec<TextToken> {
    let found = tokenizer
        .encode_with_offsets(text, special, usize::MAX)
        .expect("it encodes");
    let ids: Vec<u32> = found.iter().map(|token| token.id).collect();
    assert_eq!(tokenizer.encode(text, special).expect("it encodes"), ids);
    for at_most in 0..found.len() + 2 {
        let cut = tokenizer.encode_with_offsets(text, special, at_most);
        assert_eq!(
            cut.expect("it encodes"),
            found[..at_most.min(found.len())],
            "{text}: {at_most}"
        );
    }
    found
}

fn token(id: u32, bytes: std::ops::Range<usize>) -> TextToken {
    let added = false;
    TextToken { id, bytes, added }
}

fn added(id: u32, at: usize) -> TextToken {
    TextToken {
        added: true,
        ..token(id, at..at)
    }
}

#[test]
fn a_prompt_is_begun_and_not_closed() {
    let vocabulary = words(&["<0>", "<1>", "<2>", "hi", "you"]);
    for processor in [bert(), roberta(), template(&[1], &[2])] {
        let tokenizer = with(vocabulary.clone(), processor);
        let text = [token(3, 0..2), token(4, 3..6)];
        let (begin, end) = ([added(1, 0)], [added(2, 6)]);
        let found = |special| tokens(&tokenizer, "hi you", special);
        assert_eq!(found(EncodeSpecial::None), text);
        assert_eq!(found(EncodeSpecial::Begin), [&begin[..], &text].concat());
        let whole = [&begin[..], &text, &end].concat();
        assert_eq!(found(EncodeSpecial::Both), whole);
        // A text of nothing has what is around it all the same.
        let empty = tokens(&tokenizer, "", EncodeSpecial::Both);
        assert_eq!(empty, [added(1, 0), added(2, 0)]);
        assert_eq!(tokens(&tokenizer, "", EncodeSpecial::None), []);
    }
}

#[test]
fn templates_of_any_length_are_around_a_text() {
    let vocabulary = words(&["<0>", "<1>", "<2>", "hi"]);
    for (begin, end) in [
        (&[1, 2][..], &[][..]),
        (&[], &[2, 1, 2]),
        (&[], &[]),
        (&[1, 1], &[2, 2]),
    ] {
        let tokenizer = with(vocabulary.clone(), template(begin, end));
        let encode = |special| tokenizer.encode("hi", special).expect("it encodes");
        assert_eq!(encode(EncodeSpecial::Both), [begin, &[3], end].concat());
        assert_eq!(encode(EncodeSpecial::Begin), [begin, &[3]].concat());
    }
    let sequence = json!({
        "type": "Sequence",
        "processors": [
            { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
            template(&[1], &[2]),
        ],
    });
    let tokenizer = with(vocabulary, sequence);
    let found = tokens(&tokenizer, "hi", EncodeSpecial::Both);
    assert_eq!(found, [added(1, 0), token(3, 0..2), added(2, 2)]);
}

/// Llama 2's: a `▁` before the text, and bytes where there is no letter.
#[test]
fn a_leading_mark_and_bytes_have_their_characters() {
    let vocab = json!({
        "<0>": 0, "<1>": 1, "<2>": 2, "<0xC3>": 3, "<0xA9>": 4, "▁": 5, "a": 6, "b": 7, "▁a": 8, "▁b": 9,
    });
    let mut tokenizer = words(&["<0>", "<1>", "<2>"]);
    tokenizer["pre_tokenizer"] = Value::Null;
    tokenizer["normalizer"] = json!({
        "type": "Sequence",
        "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ],
    });
    tokenizer["model"] = json!({
        "type": "BPE", "dropout": null, "unk_token": "<0>", "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
        "vocab": vocab, "merges": ["▁ a", "▁ b"],
    });
    let tokenizer = with(tokenizer, template(&[1], &[]));
    let found = tokens(&tokenizer, "a b", EncodeSpecial::Both);
    assert_eq!(found, [added(1, 0), token(8, 0..1), token(9, 1..3)]);
    let found = tokens(&tokenizer, "aéb", EncodeSpecial::None);
    let expected = [
        token(8, 0..1),
        token(3, 1..3),
        token(4, 1..3),
        token(7, 3..4),
    ];
    assert_eq!(found, expected);
    // A `▁` of its own stands for the space, or for nothing.
    let found = tokens(&tokenizer, "é é", EncodeSpecial::None);
    let ids: Vec<u32> = found.iter().map(|token| token.id).collect();
    assert_eq!(ids, [5, 3, 4, 5, 3, 4]);
    assert_eq!(found[3].bytes, 2..3);
}

/// A space before a letter is of its token, whatever the post-processor does to offsets.
#[test]
fn offsets_are_not_narrowed_to_letters() {
    let mut tokenizer = words(&["<0>", "<1>", "<2>"]);
    tokenizer["pre_tokenizer"] = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    tokenizer["model"] = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
        "vocab": { "a": 3, "b": 4, "Ġ": 5, "Ġb": 6 }, "merges": ["Ġ b"],
    });
    let tokenizer = with(tokenizer, roberta());
    let found = tokens(&tokenizer, "a b", EncodeSpecial::Both);
    let expected = [added(1, 0), token(3, 0..1), token(6, 1..3), added(2, 3)];
    assert_eq!(found, expected);
}

#[test]
fn a_post_processor_that_drops_or_repeats_a_text_is_refused() {
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    for (single, reason) in [
        (json!([]), "leaves a text out"),
        (json!([text, text]), "repeats a text"),
    ] {
        let mut processor = template(&[], &[]);
        processor["single"] = single;
        let mut tokenizer = words(&["<0>", "<1>", "<2>", "hi"]);
        tokenizer["post_processor"] = processor;
        let error = read(&[("tokenizer.json", &tokenizer)]).expect_err("it is refused");
        let error = error.to_string();
        assert!(
            error.contains(reason) && error.contains("tokenizer.json"),
            "{error}"
        );
    }
}
