//! IA3 in PEFT's files.

use burn::tensor::{DType, Tensor};
use peft_core::{AdapterSlot, LayerRange, Names};
use peft_ia3::{Ia3, Ia3Config, Ia3Side};
use serde_json::{Value, json};

use super::super::AdapterFileError;
use super::super::config::{names_value, placement_from, sorted};
use super::super::fields::Fields;
use super::Part;

/// The config that a file's fields give.
pub(in super::super) fn from_fields(fields: &Fields<'_>) -> Result<Ia3Config, AdapterFileError> {
    Ok(Ia3Config {
        feedforward: match fields.names("feedforward_modules")? {
            Some(Names::Suffixes(names)) if names.is_empty() => None,
            names => names,
        },
        placement: placement_from(fields)?,
    })
}

/// The fields of a config on the layers `adapted`; `targets` is what the file would have for `target_modules`.
///
/// An IA3's file has no layer indices, and PEFT takes only feed-forward modules that are literally among the targets. Where that does not say which
/// layers are adapted, and how, their paths do.
pub(in super::super) fn to_fields(
    config: &Ia3Config,
    adapted: &[String],
    targets: &Value,
) -> Value {
    let mut fields = json!({
        "peft_type": "IA3",
        "feedforward_modules": config.feedforward.as_ref().map_or(json!([]), names_value),
        "init_ia3_weights": true,
    });
    let among_targets = match (&config.feedforward, targets.as_array()) {
        (Some(Names::Suffixes(entries)), Some(targets)) => {
            entries.iter().all(|entry| targets.contains(&json!(entry)))
        }
        _ => true,
    };
    if *config.placement.targets.range() != LayerRange::All || !among_targets {
        let feedforward = |path: &&String| {
            let names = config.feedforward.as_ref();
            names.is_some_and(|names| names.has(path))
        };
        let inputs: Vec<String> = adapted.iter().filter(feedforward).cloned().collect();
        fields["target_modules"] = sorted(adapted);
        fields["feedforward_modules"] = sorted(&inputs);
        fields["exclude_modules"] = Value::Null;
    }
    fields
}

/// The tensor of the IA3 in `slot`, if that is what it holds: a column for the outputs, a row for the inputs.
pub(in super::super) fn parts(slot: &AdapterSlot, name: &str) -> Option<Vec<Part>> {
    let ia3 = slot.get::<Ia3>(name)?;
    let width = ia3.scaling.lazy_shape()[0];
    Some(vec![Part {
        suffix: "ia3_l".into(),
        shape: match ia3.side() {
            Ia3Side::Output { .. } => vec![width, 1],
            Ia3Side::Input => vec![1, width],
        },
        read: |slot, name| Some(slot.get::<Ia3>(name)?.scaling.val().into_data()),
        write: |slot, name, data, device| {
            if let Some(side) = slot.get::<Ia3>(name).map(Ia3::side) {
                let width = data.shape().num_elements();
                let scaling = Tensor::<2>::from_data(data, (device, DType::F32)).reshape([width]);
                slot.set(name, Ia3::new(scaling, side));
            }
        },
    }])
}
