//! Which layers, in PEFT's fields: what the configs of all methods on weights have in common.

use peft_core::{Choice, ForwardPath, LayerRange, Names, Placement, Targets};
use serde_json::{Map, Value, json};

use crate::fields::{FieldError, Fields};

/// The field that names the layers.
pub(super) const TARGETS: &str = "target_modules";

/// The placement that a file's fields say; the model is read factored.
pub(super) fn read_placement(fields: &Fields<'_>) -> Result<Placement, FieldError> {
    let targets = match fields.names(TARGETS)? {
        None => {
            let expected = "a list of module names; PEFT takes its own for some families of models, and so does `AdapterDir::open_for`";
            return Err(fields.wrong(TARGETS, expected));
        }
        Some(Names::Regex(word)) if word.eq_ignore_ascii_case("all-linear") => {
            Targets::all_linear()
        }
        Some(names) => Targets::new(Choice::Names(names)),
    };
    let targets = match fields.names("exclude_modules")? {
        None => targets,
        Some(names) => targets.excluding_names(names),
    };
    // PEFT takes an empty list for none.
    let indices = fields.indices("layers_to_transform")?;
    let targets = match indices.filter(|indices| !indices.is_empty()) {
        None => targets,
        Some(indices) => targets
            .within(LayerRange::Indices(indices))
            .indexed_after(fields.strings("layers_pattern")?),
    };
    let mut placement = Placement::new(targets);
    placement.path = ForwardPath::Factored;
    placement.whole_modules = fields.strings("modules_to_save")?;
    Ok(placement)
}

/// Put the targets of a placement into the fields of a file; `adapted` are the paths of the layers.
pub(super) fn write_placement<'a>(
    fields: &mut Map<String, Value>,
    placement: &Placement,
    adapted: impl Iterator<Item = &'a str>,
) {
    let targets = &placement.targets;
    let exclude = json!(targets.exclude().map(names_value));
    fields.insert("exclude_modules".into(), exclude);
    // `all-linear` is written as the names it stood for, as PEFT does.
    let last = |path: &'a str| path.rsplit('.').next().unwrap_or(path);
    let names = match targets.choice() {
        Choice::Names(names) => names_value(names),
        Choice::AllLinear => sorted(adapted.map(last)),
    };
    fields.insert(TARGETS.into(), names);
}

/// Names as a list of a file: sorted, each once.
pub(super) fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    json!(names)
}

pub(super) fn names_value(names: &Names) -> Value {
    match names {
        Names::Regex(pattern) => json!(pattern),
        Names::Suffixes(names) => sorted(names.iter().map(String::as_str)),
    }
}
