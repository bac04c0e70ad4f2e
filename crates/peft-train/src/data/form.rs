//! [`form`]: what a row is, by its keys.

use serde_json::{Map, Value};

use super::RowKind;

/// The forms of a row by their keys.
pub(super) const KEYS: [(RowKind, &[&str]); 6] = [
    (RowKind::Instruction, &["instruction", "output"]),
    (RowKind::Labelled, &["text", "label"]),
    (RowKind::Text, &["text"]),
    (RowKind::Completion, &["prompt", "completion"]),
    (RowKind::Chat, &["messages"]),
    (RowKind::Tagged, &["tokens", "tags"]),
];
/// What a conversation may have beside its messages.
pub(super) const OF_CHAT: [&str; 2] = ["tools", "chat_template_kwargs"];
/// What an instruction may have beside its answer.
pub(super) const OF_INSTRUCTION: [&str; 2] = ["input", "system"];
/// What a label may have beside its text.
pub(super) const OF_LABELLED: [&str; 1] = ["text_pair"];
/// What rows may have beside the keys of their form.
pub(super) const OPTIONAL: [&str; 5] = [
    "tools",
    "chat_template_kwargs",
    "input",
    "system",
    "text_pair",
];
/// Words of other formats, and what they are here.
const ELSEWHERE: [(&str, &str); 11] = [
    ("conversation", "the key of a conversation is `messages`"),
    (
        "response",
        "the key of what is to be learnt is `completion`",
    ),
    ("answer", "the key of what is to be learnt is `completion`"),
    ("question", "the key of what is given is `prompt`"),
    (
        "chosen",
        "`chosen` and `rejected` are of preference data; here a row has one `completion`",
    ),
    ("sentence", "the key of a text is `text`"),
    ("content", "the key of a text is `text`"),
    ("labels", "the key of a text's class is `label`"),
    ("ner_tags", "the key of the words' tags is `tags`"),
    ("pos_tags", "the key of the words' tags is `tags`"),
    ("words", "the key of words is `tokens`"),
];
/// All forms, for messages.
pub(super) const FORMS: &str = "{\"text\"}, {\"prompt\", \"completion\"}, {\"messages\"}, {\"instruction\", \"output\"}, {\"text\", \"label\"} or {\"tokens\", \"tags\"}";

/// The one form that a row's keys make whole, of those that have all of the keys that are asked
/// for.
pub(super) fn form(
    map: &Map<String, Value>,
    asked: &[&str],
) -> Result<(RowKind, &'static [&'static str]), String> {
    let whole = |keys: &[&str]| {
        let there = keys.iter().all(|key| map.contains_key(*key));
        there && asked.iter().all(|key| keys.contains(key))
    };
    let found: Vec<_> = KEYS.iter().filter(|(_, keys)| whole(keys)).collect();
    let richer = |kind: &RowKind| matches!(kind, RowKind::Labelled | RowKind::Instruction);
    // A class's text is one, and Alpaca's rows have all of theirs once more as `text`.
    let without_text = found.first().is_some_and(|(kind, _)| richer(kind));
    let found: Vec<_> = found
        .into_iter()
        .filter(|(kind, _)| !(without_text && *kind == RowKind::Text))
        .collect();
    match found.as_slice() {
        [(kind, keys)] => Ok((*kind, keys)),
        [] => Err(no_form(map)),
        [(one, _), (other, _), ..] => Err(format!(
            "is {} and {} at once; leave the keys of one out, or say by --columns which are meant",
            one.keys(),
            other.keys()
        )),
    }
}

/// Why a row has no form: a key of another format, a misspelt one, or one that is missing.
fn no_form(map: &Map<String, Value>) -> String {
    let known: Vec<String> = KEYS[..]
        .iter()
        .flat_map(|(_, keys)| *keys)
        .map(|key| (*key).to_owned())
        .collect();
    let unknown: Vec<&String> = map.keys().filter(|key| !known.contains(key)).collect();
    let elsewhere = |key: &&String| ELSEWHERE.iter().find(|(word, _)| word == key);
    if let Some((_, hint)) = unknown.iter().find_map(elsewhere) {
        return format!(
            "{hint}; --columns KEY=COLUMN reads a column as another (a row is {FORMS})"
        );
    }
    let missing: Vec<String> = known
        .iter()
        .filter(|key| !map.contains_key(*key))
        .cloned()
        .collect();
    let near = |key: &&String| Some(((*key).clone(), peft_core::nearest(key, &missing)?));
    if let Some((key, near)) = unknown.iter().find_map(near) {
        return format!("unknown key `{key}`, did you mean `{near}`? (a row is {FORMS})");
    }
    let keys: Vec<String> = map.keys().map(|key| format!("`{key}`")).collect();
    format!(
        "has the keys {}; a row is {FORMS}, and --columns KEY=COLUMN reads a column as another",
        keys.join(", ")
    )
}
