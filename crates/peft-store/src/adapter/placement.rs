//! Which layers, in PEFT's fields: what the configs of all methods on weights have in common.

use peft_core::{Choice, ForwardPath, LayerRange, Names, Placement, Targets, TrainBias};
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

/// Which of the fields that choose layers PEFT's config of a method has.
pub(super) struct LayerFields {
    /// `exclude_modules`.
    pub(super) exclude: bool,
    /// `layers_to_transform` and `layers_pattern`.
    pub(super) layers: bool,
    /// `fan_in_fan_out`.
    pub(super) fan_in_fan_out: bool,
}

impl LayerFields {
    pub(super) const ALL: Self = Self {
        exclude: true,
        layers: true,
        fan_in_fan_out: true,
    };
    /// All but `fan_in_fan_out`.
    pub(super) const CHOICE: Self = Self {
        fan_in_fan_out: false,
        ..Self::ALL
    };
}

/// Put the targets of a placement into the fields of a file; `adapted` are the paths of the layers,
/// which stand for themselves where a method has no field for what chose them.
pub(super) fn write_placement(
    fields: &mut Map<String, Value>,
    placement: &Placement,
    adapted: &[&str],
    has: &LayerFields,
) {
    let targets = &placement.targets;
    let within = *targets.range() != LayerRange::All;
    let excluding = targets.exclude().is_some();
    let unsaid = (within && !has.layers) || (excluding && !has.exclude);
    if has.exclude {
        let exclude = targets.exclude().filter(|_| !unsaid).map(names_value);
        fields.insert("exclude_modules".into(), json!(exclude));
    }
    if has.layers {
        let within = within && !unsaid;
        let layers = within.then(|| {
            let indices = adapted.iter().filter_map(|path| targets.layer_index(path));
            let mut indices: Vec<usize> = indices.collect();
            indices.sort_unstable();
            indices.dedup();
            indices
        });
        // The first that matches counts.
        let after = Some(targets.index_after()).filter(|after| within && !after.is_empty());
        fields.insert("layers_pattern".into(), json!(after));
        fields.insert("layers_to_transform".into(), json!(layers));
    }
    // `all-linear` is written as the names it stood for, as PEFT does.
    let last = |path: &&str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let names = match targets.choice() {
        _ if unsaid => sorted(adapted.iter().copied()),
        Choice::Names(names) => names_value(names),
        Choice::AllLinear => {
            let names: Vec<String> = adapted.iter().map(last).collect();
            sorted(names.iter().map(String::as_str))
        }
    };
    fields.insert(TARGETS.into(), names);
}

/// Which biases train, `only` being what the field says of those of adapted layers.
pub(super) fn read_bias(fields: &Fields<'_>, only: Option<&str>) -> Result<TrainBias, FieldError> {
    match fields.string("bias")? {
        None | Some("none") => Ok(TrainBias::None),
        Some("all") => Ok(TrainBias::All),
        bias if bias == only => Ok(TrainBias::Adapted),
        Some(_) => Err(match only {
            Some(only) => fields.wrong("bias", format!("`none`, `all` or `{only}`")),
            None => fields.unsupported("bias", "`none` or `all`"),
        }),
    }
}

/// The field of what [`read_bias`] reads.
pub(super) fn bias_value(bias: TrainBias, only: &str) -> Value {
    json!(match bias {
        TrainBias::None => "none",
        TrainBias::All => "all",
        TrainBias::Adapted => only,
    })
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
