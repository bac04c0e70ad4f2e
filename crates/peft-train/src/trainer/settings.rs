//! What decides the course of a run beside the model, and in what two runs differ.

use peft_layerwise::Strategy;
use serde_json::{Map, Value, json};

use super::{Optimizer, TrainConfig};
use crate::{Examples, TrainExample};
use peft_core::AdapterSchedule;

/// The settings that may differ between a run and the one that goes on from it: they decide nothing
/// that is trained, or how long it goes on.
const FREE: [&str; 5] = [
    "eval_every",
    "eval_first",
    "epochs",
    "max_steps",
    "patience",
];

/// The settings of a run, digests of its rows, what it minimises, what trains when, and what else
/// the caller says.
pub(super) fn settings<E: TrainExample>(
    config: &TrainConfig,
    examples: Examples<'_, E>,
    objective: &str,
    strategy: &dyn Strategy,
    schedule: Option<&dyn AdapterSchedule>,
    context: &Map<String, Value>,
) -> Map<String, Value> {
    let mut settings = of_rows(config, examples);
    settings.insert("objective".into(), json!(objective));
    settings.insert("strategy".into(), strategy.settings());
    let schedule = schedule.map_or(Value::Null, AdapterSchedule::settings);
    settings.insert("adapter schedule".into(), schedule);
    settings.extend(context.clone());
    settings
}

/// What is known before there is a model.
pub(super) fn of_rows<E: TrainExample>(
    config: &TrainConfig,
    examples: Examples<'_, E>,
) -> Map<String, Value> {
    let mut settings = match json!(config) {
        Value::Object(settings) => settings,
        _ => Map::new(),
    };
    let digest = examples.digest().to_string();
    settings.insert("digest of the rows".into(), json!(digest));
    settings
}

/// All in which `now` is another run than `then`, each as a clause. A switch that `then` does not
/// name, since it is newer, was off, and the optimizer AdamW.
pub(super) fn differences(then: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, now) in now {
        if !FREE.contains(&name.as_str()) {
            let unnamed = match (name.as_str(), now) {
                ("optimizer", _) => json!(Optimizer::AdamW),
                (_, Value::Bool(_)) => Value::Bool(false),
                _ => Value::Null,
            };
            compare(name, then.get(name).unwrap_or(&unnamed), now, &mut found);
        }
    }
    found
}

/// Down to the innermost setting.
fn compare(name: &str, then: &Value, now: &Value, found: &mut Vec<String>) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            let gone = then.keys().filter(|key| !now.contains_key(*key));
            for key in now.keys().chain(gone) {
                let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                compare(&format!("{name}.{key}"), &of(then), &of(now), found);
            }
        }
        _ if then != now => found.push(format!("`{name}` was {then}, but is {now} now")),
        _ => {}
    }
}
