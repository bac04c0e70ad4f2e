//! What Jinja2 gives by `tests/goldens/make_jinja.py`, compared with what this gives. Where they
//! differ, a line says why.

use std::sync::Arc;

use peft_jinja::{JinjaError, Rendering, Template};
use serde_json::{Map, Value};

const GOLDENS: &str = include_str!("../../../tests/goldens/jinja.json");

/// Beginnings of what differs, with the reason.
const DIFFERS: &[(&str, &str)] = &[
    ("(-8) ** 0.5", "there are no complex numbers"),
    ("neg ** f", "there are no complex numbers"),
    (
        "('<'|safe) + '<'",
        "text is not marked as safe, since nothing is escaped",
    ),
    ("self", "blocks are not called by name"),
    ("users|pprint", "pprint has no more than a line"),
    ("dict is lower", "a function is told by another name"),
];

fn render(source: &str, context: &Map<String, Value>) -> Result<Rendering, JinjaError> {
    let now = Arc::new(|format: &str| Ok(format.replace("%%", "%")));
    let template = Template::new(source)?.with_function("strftime_now", now);
    template.render(context)
}

/// Compares a section, given how a case becomes a source, and lists what differs.
fn compare(section: &str, least: usize, source: impl Fn(&str) -> String) {
    let goldens: Value = serde_json::from_str(GOLDENS).expect("goldens are JSON");
    let context = goldens["context"].as_object().expect("a context");
    let cases = goldens[section].as_object().expect("cases");
    assert!(cases.len() >= least, "{} {section}", cases.len());
    let mut wrong = Vec::new();
    let mut excused = 0;
    for (case, expected) in cases {
        let found = render(&source(case), context);
        let (text, spans) = match expected {
            Value::Array(pair) => (&pair[0], Some(&pair[1])),
            text => (text, None),
        };
        let same = match (&found, text) {
            (Ok(found), Value::String(text)) => {
                found.text == *text && spans.is_none_or(|spans| *spans == in_chars(found))
            }
            (Err(_), Value::Null) => true,
            _ => false,
        };
        let named = DIFFERS.iter().any(|(start, _)| case.starts_with(start));
        match (same, named) {
            (true, true) => excused += 1,
            (false, false) => {
                wrong.push(format!("{case:?}\n  Jinja2 {expected}\n  here   {found:?}"))
            }
            _ => {}
        }
    }
    assert!(
        wrong.is_empty() && excused == 0,
        "{} of {} differ, {excused} agree although they are named as differing:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Spans in characters, as Python has them.
fn in_chars(rendered: &Rendering) -> Value {
    let at = |byte: usize| rendered.text[..byte].chars().count();
    let spans = rendered.generated.iter();
    spans
        .map(|span| vec![at(span.start), at(span.end)])
        .collect()
}

#[test]
fn expressions_give_what_jinja2_gives() {
    compare("expressions", 600, |case| format!("{{{{ {case} }}}}"));
}

#[test]
fn values_through_filters_tests_and_operators_give_what_jinja2_gives() {
    compare("products", 4_000, |case| format!("{{{{ [{case}] }}}}"));
}

#[test]
fn templates_give_what_jinja2_gives() {
    compare("templates", 150, str::to_owned);
}
