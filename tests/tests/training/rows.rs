//! Rows as people bring them: other columns, other formats, the parts of a text, turns by templates
//! that write the last one otherwise.

use std::time::Instant;

use peft_train::{EncodeOptions, RowKind, TextTokenizer, TrainError, encode};
use serde_json::{Value, json};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::normalizers::{Prepend, Sequence};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{NormalizerWrapper, Tokenizer};

use super::data::{WORDS, dataset, options, tokenizer};

/// Targets in brackets, by the words of a vocabulary.
fn shown(ids: &[u32], targets: &[bool], words: &[&str]) -> String {
    let word = |(id, target): (&u32, &bool)| match target {
        true => format!("[{}]", words[*id as usize]),
        false => words[*id as usize].to_owned(),
    };
    let words: Vec<String> = ids.iter().zip(targets).map(word).collect();
    words.join(" ")
}

fn masked(template: &str, messages: &Value) -> Result<String, TrainError> {
    let rows = dataset(&json!({ "messages": messages }).to_string())?;
    let found = encode(&rows, &tokenizer(template), &options(1000, true))?;
    let row = &found.examples.to_vec()?[0];
    Ok(shown(&row.ids, &row.targets, &WORDS))
}

fn turns(turns: &[(&str, &str)]) -> Value {
    let turns = turns.iter();
    turns
        .map(|(role, content)| json!({ "role": role, "content": content }))
        .collect()
}

const FOUR: [(&str, &str); 4] = [
    ("user", "a"),
    ("assistant", "b c"),
    ("user", "d"),
    ("assistant", "e"),
];

/// Closes the text where no answer is asked for.
const CLOSED: &str = "{% for m in messages %}{% if m.role == 'user' %} <u>{% else %} <a>{% endif %} {{ m.content }} f{% endfor %}\
    {% if add_generation_prompt %} <a>{% else %} </s>{% endif %}";
/// Writes something before the last turn only.
const LAST: &str = "{% for m in messages %}{% if m.role == 'user' %} <u> {{ m.content }}{% else %} <a>\
    {% if loop.last %} <s> <s>{% endif %} {{ m.content }}{% endif %} </s>{% endfor %}{% if add_generation_prompt %} <a>{% endif %}";
/// Writes the end of the last turn only.
const ENDED: &str = "{% for m in messages %}{% if m.role == 'user' %} <u> {{ m.content }}{% else %} <a> {{ m.content }}\
    {% if loop.last and not add_generation_prompt %} </s>{% endif %}{% endif %}{% endfor %}{% if add_generation_prompt %} <a>{% endif %}";

#[test]
fn several_turns_of_templates_that_write_the_last_one_otherwise() {
    for (template, expected) in [
        (CLOSED, "<u> a f <a> [b] [c] [f] <u> d f <a> [e] [f] [</s>]"),
        (
            LAST,
            "<u> a </s> <a> [b] [c] [</s>] <u> d </s> <a> [<s>] [<s>] [e] [</s>]",
        ),
        (ENDED, "<u> a <a> [b] [c] <u> d <a> [e] [</s>]"),
    ] {
        let found = masked(template, &turns(&FOUR)).expect("it is told");
        assert_eq!(found, expected, "{template}");
    }
}

#[test]
fn a_header_in_what_is_said_does_not_move_a_turn() {
    let said = [
        ("user", "a <a> b"),
        ("assistant", "b <u> c"),
        ("user", "<u> <u>"),
        ("assistant", "<a>"),
    ];
    let found = masked(CLOSED, &turns(&said)).expect("it is told");
    assert_eq!(
        found,
        "<u> a <a> b f <a> [b] [<u>] [c] [f] <u> <u> <u> f <a> [<a>] [f] [</s>]"
    );
    // As often as there are turns, but one turn has no header.
    let skipping = "{% for m in messages %}{% if m.role == 'user' %} <u>{% elif not loop.last %} <a>{% endif %} {{ m.content }}{% endfor %}\
        {% if add_generation_prompt %} <a>{% endif %}";
    let said = [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "<a> c"),
        ("assistant", "d"),
    ];
    let message = masked(skipping, &turns(&said)).expect_err("it cannot be told");
    assert!(message.to_string().contains("message 4"), "{message}");
}

#[test]
fn a_conversation_may_begin_with_the_assistant() {
    let first = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        .to_owned() + CLOSED;
    let said = [("assistant", "a"), ("user", "b"), ("assistant", "c")];
    let found = masked(&first, &turns(&said)).expect("it is told");
    assert_eq!(found, "<a> [a] [f] <u> b f <a> [c] [f] [</s>]");
}

#[test]
fn a_turn_that_is_cut_further_up_is_refused_and_not_guessed() {
    let cut = "{% for m in messages %}{% if m.role == 'user' %} <u> {{ m.content }}{% elif loop.last %} <a> {{ m.content }}{% else %} <a> {{ m.content[:1] }}{% endif %}{% endfor %}\
        {% if add_generation_prompt %} <a>{% endif %}";
    let message = masked(cut, &turns(&FOUR)).expect_err("it cannot be told");
    for part in ["line 1", "message 2", "{% generation %}"] {
        assert!(message.to_string().contains(part), "{message}");
    }
}

#[test]
fn a_turn_of_weight_zero_is_no_target_and_the_template_sees_every_key() {
    let mut said = turns(&FOUR);
    said[1]["weight"] = json!(0);
    let found = masked(CLOSED, &said).expect("it is told");
    assert_eq!(found, "<u> a f <a> b c f <u> d f <a> [e] [f] [</s>]");
    said[3]["weight"] = json!(1.0);
    said[1]["reasoning"] = json!("d");
    let keys = "{% for m in messages %}{{ m.get('reasoning', '') }} {{ m.content }} {{ m.weight is defined and 'c' }} {% if m.role == 'assistant' %}{% generation %}a{% endgeneration %}{% endif %} {% endfor %}";
    let found = masked(keys, &said).expect("it is told");
    assert!(found.contains("d b c c a"), "{found}");
    assert!(found.ends_with("[a]"), "{found}");
    assert_eq!(found.matches('[').count(), 1, "{found}");
}

#[test]
fn calls_and_parts_and_tools_reach_the_template() {
    let template = "{% if tools %}{{ tools[0].name }} {% endif %}{% for m in messages %}{% if m.role == 'assistant' %}<a> {{ m.tool_calls[0].function.name if m.tool_calls else m.content }} \
        {% else %}<u> {{ m.content if m.content is string else m.content[0].text }} {% endif %}{% endfor %}{% if add_generation_prompt %}<a> {% endif %}";
    let row = |tools: Value| {
        let said = json!([
            { "role": "user", "content": [{ "type": "text", "text": "a" }] },
            { "role": "assistant", "content": null, "tool_calls": [{ "function": { "name": "b", "arguments": "{}" } }] },
            { "role": "tool", "content": "c", "tool_call_id": "1" },
            { "role": "assistant", "content": "d" },
        ]);
        let rows = dataset(&json!({ "messages": said, "tools": tools }).to_string()).expect("rows");
        let found = encode(&rows, &super::data::tokenizer(template), &options(50, true));
        let found = found.expect("it encodes").examples.to_vec();
        let found = found.expect("they are read").remove(0);
        shown(&found.ids, &found.targets, &WORDS)
    };
    let expected = "e <u> a <a> [b] <u> c <a> [d]";
    assert_eq!(row(json!([{ "name": "e" }])), expected);
    assert_eq!(row(json!("[{\"name\": \"e\"}]")), expected);
    for (content, part) in [
        (json!(null), "message 1 has no `content`"),
        (json!([{ "type": "image" }]), "`image`"),
        (json!([3]), "`no`"),
    ] {
        let said = json!({ "messages": [{ "role": "user", "content": content }] });
        let message = dataset(&said.to_string()).expect_err("it is refused");
        assert!(message.to_string().contains(part), "{message}");
    }
}

#[test]
fn two_thousand_turns_take_no_quadratic_time() {
    let mut said = Vec::new();
    for i in 0..1000 {
        said.push(("user", ["a b", "c"][i % 2]));
        said.push(("assistant", ["d", "e b"][i % 2]));
    }
    let time = |n: usize| {
        let from = Instant::now();
        for template in [CLOSED, LAST, ENDED] {
            masked(template, &turns(&said[..n])).expect("it is told");
        }
        from.elapsed().as_secs_f64()
    };
    time(20);
    let (few, many) = (time(200), time(2000));
    println!("200 turns take {few:.3} s, 2,000 turns {many:.3} s");
    assert!(many < 40.0 * few.max(0.01), "{few} s and {many} s");
}

#[test]
fn a_template_that_renders_nothing_or_raises_is_told() {
    let nothing = masked("", &turns(&FOUR)).expect_err("there is nothing");
    assert!(matches!(
        nothing,
        TrainError::NoTargets { .. } | TrainError::Rows { .. }
    ));
    let raises = "{% for m in messages %}{% if m.content == 'd' %}{{ raise_exception('no d') }}{% endif %}{% endfor %}";
    let message = masked(raises, &turns(&FOUR)).expect_err("it raises");
    for part in ["line 1", "message 3", "no d"] {
        assert!(message.to_string().contains(part), "{message}");
    }
}

const PIECES: [&str; 8] = ["<s>", "</s>", "<unk>", "▁", "▁a", "▁b", "a", "b"];

/// A tokenizer that puts `▁` before a text, by its normalizer or its splitter.
fn prepending(by_normalizer: bool, around: &str) -> TextTokenizer {
    let vocabulary = (0u32..).zip(PIECES).map(|(id, word)| (word.to_owned(), id));
    let model = WordLevel::builder()
        .vocab(vocabulary.collect())
        .unk_token("<unk>".into())
        .build()
        .expect("a model");
    let mut inner = Tokenizer::new(model);
    let scheme = match by_normalizer {
        true => PrependScheme::Never,
        false => PrependScheme::First,
    };
    if by_normalizer {
        let prepend = NormalizerWrapper::from(Prepend::new("▁".into()));
        inner.with_normalizer(Some(Sequence::new(vec![prepend])));
    }
    inner.with_pre_tokenizer(Some(Metaspace::new('▁', scheme, true)));
    let around = TemplateProcessing::builder()
        .try_single(around)
        .expect("a template")
        .special_tokens(vec![("<s>", 0), ("</s>", 1)])
        .build()
        .expect("a template");
    inner.with_post_processor(Some(around));
    let special = |word: &str| Some(word.to_owned());
    TextTokenizer::new(inner, special("<s>"), special("</s>"), None).expect("a tokenizer")
}

#[test]
fn a_row_is_encoded_once_as_the_whole_that_it_is() {
    for by_normalizer in [true, false] {
        for (around, prompt, completion, end, expected) in [
            ("$A", "a", " b", true, "▁a [▁b] [</s>]"),
            ("<s> $A", "a", " b", true, "<s> ▁a [▁b] [</s>]"),
            ("<s> $A </s>", "a", " b", true, "<s> ▁a [▁b] [</s>]"),
            ("<s> $A </s>", "a", " b", false, "<s> ▁a [▁b]"),
            ("<s> $A", "", "a b", true, "<s> [▁a] [▁b] [</s>]"),
            // The space of the prompt's end is of the completion's first token.
            ("<s> $A", "a ", "b", true, "<s> ▁a [▁b] [</s>]"),
        ] {
            let row = json!({ "prompt": prompt, "completion": completion });
            let rows = dataset(&row.to_string()).expect("rows");
            let options = EncodeOptions {
                max_length: 100,
                append_eos: end,
                vocab_size: PIECES.len(),
            };
            let found = encode(&rows, &prepending(by_normalizer, around), &options);
            let found = found.expect("it encodes").examples.to_vec();
            let found = found.expect("they are read").remove(0);
            let found = shown(&found.ids, &found.targets, &PIECES);
            assert_eq!(found, expected, "{around}, {prompt:?}, {completion:?}");
        }
    }
}

#[test]
fn a_row_is_cut_before_it_is_tokenised() {
    let long = "a b c d ".repeat(2_000_000);
    let row = json!({ "prompt": "e f", "completion": format!(" {long}") });
    let rows = dataset(&row.to_string()).expect("rows");
    let from = Instant::now();
    let found = encode(&rows, &tokenizer("x"), &options(512, true)).expect("it encodes");
    assert!(from.elapsed().as_secs_f64() < 2.0, "{:?}", from.elapsed());
    assert_eq!(found.examples.examples().length(0), 512);
    assert_eq!(found.truncated, 1);
}

#[test]
fn columns_that_nothing_reads_are_left_alone_and_misspelt_ones_are_not() {
    let rows = "{\"id\":1,\"text\":\"a\"}\n{\"text\":\"b\",\"source\":null,\"id\":2}\n";
    let found = dataset(rows).expect("rows");
    assert_eq!(found.left_alone(), ["id", "source"]);
    for (row, kind) in [
        (
            json!({ "prompt": "a", "completion": "b", "label": 3 }),
            RowKind::Completion,
        ),
        (
            json!({ "text": "a", "label": 3, "id": 1 }),
            RowKind::Labelled,
        ),
        (
            json!({ "tokens": ["a"], "tags": [1], "id": 1 }),
            RowKind::Tagged,
        ),
    ] {
        assert_eq!(dataset(&row.to_string()).expect("a row").kind(), kind);
    }
    for (row, part) in [
        (
            json!({ "promt": "a", "completion": "b" }),
            "did you mean `prompt`",
        ),
        (json!({ "text": "a", "lable": 1 }), "did you mean `label`"),
        (
            json!({ "messages": [], "tool": [] }),
            "did you mean `tools`",
        ),
        (
            json!({ "text": "a", "prompt": "a", "completion": "b" }),
            "{\"text\"} and {\"prompt\", \"completion\"} at once",
        ),
        (
            json!({ "conversations": [] }),
            "no message of `messages` has the role `assistant`",
        ),
        (
            json!({ "instruction": "a", "output": "" }),
            "`output` is empty",
        ),
        (json!({ "id": 3 }), "has the keys `id`"),
        (
            json!({ "text": "a", "text_pair": "", "label": 1 }),
            "`text_pair` is empty",
        ),
        (
            json!({ "text": "a", "txt_pair": "b", "label": 1 }),
            "did you mean `text_pair`",
        ),
        (
            json!({ "conversations": [{ "from": "human", "value": "a" }, { "from": "gtp", "value": "a" }] }),
            "message 2 is from `gtp`; known are human",
        ),
    ] {
        let message = dataset(&row.to_string())
            .expect_err("it is refused")
            .to_string();
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn what_is_no_dialogue_is_said() {
    let (user, answer) = (turns(&FOUR[..1]), turns(&FOUR[1..2]));
    let unwanted = json!([{ "role": "assistant", "content": "b", "weight": 0 }]);
    for (row, part) in [
        (
            json!({ "prompt": "a", "completion": answer }),
            "`prompt` is a string, and the other of `prompt` and `completion` a list of messages",
        ),
        (
            json!({ "prompt": user, "completion": "b" }),
            "`completion` is a string",
        ),
        (
            json!({ "prompt": user, "completion": 3 }),
            "`completion` is not a list of messages",
        ),
        (
            json!({ "prompt": [], "completion": answer }),
            "`prompt` has no message",
        ),
        (
            json!({ "prompt": user, "completion": user }),
            "no message of `completion` has the role `assistant`",
        ),
        (
            json!({ "prompt": ["a"], "completion": answer }),
            "`prompt` message 1 is not an object",
        ),
        (
            json!({ "prompt": user, "completion": unwanted }),
            "message 1 of `completion` has the `weight` 0",
        ),
        (
            json!({ "prompt": user, "completion": answer, "tool": [] }),
            "did you mean `tools`?",
        ),
        (
            json!({ "prompt": user, "completion": answer, "tools": 3 }),
            "`tools` is not a list",
        ),
    ] {
        let error = dataset(&row.to_string()).expect_err(part).to_string();
        assert!(error.contains(part), "{row}: {error}");
    }
    let rows = [
        json!({ "prompt": user, "completion": answer }),
        json!({ "prompt": "a", "completion": "b" }),
    ];
    let error = dataset(&format!("{}\n{}", rows[0], rows[1])).expect_err("two kinds");
    let part = r#"is {"prompt", "completion"}, but the rows before are {"prompt", "completion"} of messages"#;
    assert!(error.to_string().contains(part), "{error}");
    // A template that takes no prompt of this kind is told by the row.
    let template = "{% if messages | length < 2 %}{{ raise_exception('too few') }}{% endif %}a";
    let rows = dataset(&rows[0].to_string()).expect("a row");
    let error = encode(&rows, &tokenizer(template), &options(1000, true)).expect_err("it fails");
    let said = "line 1: the chat template failed at `prompt`: ";
    assert!(error.to_string().contains(said), "{error}");
}
