//! Chat templates: compiled, and rendered for a conversation and what the goldens' templates use.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use peft_jinja::Template;
use peft_jinja::limits::MAX_TEXT;
use serde_json::{Map, Value, json};

static CONTEXT: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let golden = include_str!("../../tests/goldens/jinja.json");
    let mut golden: Value = serde_json::from_str(golden).expect("JSON");
    let context = &mut golden["context"];
    for (name, value) in [
        ("add_generation_prompt", json!(true)),
        ("bos_token", json!("<s>")),
        ("eos_token", json!("</s>")),
        ("tools", json!([{ "name": "f", "parameters": {} }])),
        ("documents", Value::Null),
    ] {
        context[name] = value;
    }
    context.as_object().cloned().expect("a mapping")
});

fuzz_target!(|data: &[u8]| {
    let Ok(Ok(template)) = std::str::from_utf8(data).map(Template::new) else {
        return;
    };
    let Ok(rendered) = template.render(&CONTEXT) else {
        return;
    };
    assert!(rendered.text.len() <= MAX_TEXT);
    for range in &rendered.generated {
        assert!(rendered.text.get(range.clone()).is_some(), "{range:?}");
    }
});
