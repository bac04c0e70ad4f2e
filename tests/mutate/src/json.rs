//! Changes of JSON that stays JSON: values in place of others, keys taken away or there twice.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use crate::bytes::NUMBERS;

/// Stands for what [`text`] writes in its place, since a [`Value`] cannot hold it.
const NUMBER: &str = "\u{1}number";
const DEEP: &str = "\u{1}deep";

/// One or two changes, as text. `donors` are other files whose parts may come in.
pub(crate) fn change(rng: &mut StdRng, mut file: Value, donors: &[Value]) -> String {
    for _ in 0..rng.random_range(1..3) {
        let mut places = Vec::new();
        paths(&file, &mut Vec::new(), &mut places);
        let Some(place) = places.choose(rng) else {
            break;
        };
        let donor = donors.choose(rng).unwrap_or(&Value::Null);
        let target = at(&mut file, place);
        let new = match rng.random_range(0..4) {
            0 => odd(rng, donor),
            _ => alike(rng, target, donor),
        };
        match (rng.random_range(0..4), target) {
            (0, Value::Array(list)) if !list.is_empty() => {
                list.extend(list.choose(rng).cloned());
            }
            (1, Value::Object(map)) if !map.is_empty() => {
                let keys: Vec<String> = map.keys().cloned().collect();
                keys.choose(rng).map(|key| map.remove(key));
            }
            (_, target) => *target = new,
        }
    }
    text(rng, &file)
}

/// The file, with what no [`Value`] holds: numbers that are none, depth, a key that is there twice.
fn text(rng: &mut StdRng, file: &Value) -> String {
    let mut text = file.to_string();
    let number = NUMBERS.choose(rng).copied().unwrap_or_default();
    text = text.replace(&json!(NUMBER).to_string(), number);
    let depth = [100, 200, 20_000].choose(rng).copied().unwrap_or_default();
    let deep = "[".repeat(depth) + &"]".repeat(depth);
    text = text.replace(&json!(DEEP).to_string(), &deep);
    if rng.random_range(0..20) == 0
        && let Value::Object(map) = file
        && let Some((key, _)) = map.iter().nth(rng.random_range(0..map.len().max(1)))
    {
        text.insert_str(1, &format!("{}:{number},", json!(key)));
    }
    text
}

/// Values that files are broken with.
fn odd(rng: &mut StdRng, donor: &Value) -> Value {
    match rng.random_range(0..16) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(0),
        3 => json!(u32::MAX),
        4 => json!(u64::MAX),
        5 => json!(1.5e300),
        6 => json!(""),
        7 => json!("\u{0}▁\u{fffd}<0xFF>"),
        8 => json!([]),
        9 => json!({}),
        10 => json!(true),
        11 => json!("(a|a)*(?!b)"),
        12 => json!("a".repeat(3000)),
        13 => json!(NUMBER),
        14 => json!(DEEP),
        _ => {
            let mut places = Vec::new();
            paths(donor, &mut Vec::new(), &mut places);
            places
                .choose(rng)
                .map_or(Value::Null, |place| at(&mut donor.clone(), place).clone())
        }
    }
}

/// A value that may stand where another does.
fn alike(rng: &mut StdRng, value: &Value, donor: &Value) -> Value {
    const TEXTS: [&str; 14] = [
        "", "a", "▁", "##", "<s>", "</s>", "hi", "<0x61>", "\u{301}", "Ġ", " ", "../a", "F16",
        "llama",
    ];
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(_) => match rng.random_range(0..3) {
            0 => json!(NUMBER),
            1 => json!(100_000),
            _ => json!(rng.random_range(0..9)),
        },
        Value::String(_) => json!(TEXTS.choose(rng)),
        Value::Null | Value::Array(_) | Value::Object(_) => odd(rng, donor),
    }
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// The places in a file.
fn paths(value: &Value, here: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    out.push(here.clone());
    let mut below = |step: Step, value: &Value| {
        here.push(step);
        paths(value, here, out);
        here.pop();
    };
    match value {
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                below(Step::Index(i), value);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                below(Step::Key(key.clone()), value);
            }
        }
        _ => {}
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Index(i) => &mut value[*i],
    })
}
