//! The layers of an adapter whose config names none, by its tensors.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::config::is_tensor;
use super::placement::TARGETS;

/// Put the layers that these keys are of in the place of a list that is missing or null.
pub(super) fn complete_by_keys<'a>(
    fields: &mut Map<String, Value>,
    keys: impl Iterator<Item = &'a String>,
) {
    let layer = |key: &'a String| {
        let mut layer = None;
        for segment in key.split('.') {
            if is_tensor(segment) {
                return layer;
            }
            layer = Some(segment);
        }
        None
    };
    let layers: BTreeSet<&str> = keys.filter_map(layer).collect();
    if let (None | Some(Value::Null), false) = (fields.get(TARGETS), layers.is_empty()) {
        fields.insert(TARGETS.into(), json!(layers));
    }
}
