//! [`AdapterConfig`]: the methods' configs in the names of `adapter_config.json`.

use std::path::Path;

use peft_core::{
    AttachReport, Choice, ForwardPath, LayerRange, Names, PeftError, Placement, Targets,
};
#[cfg(feature = "ia3")]
use peft_ia3::Ia3Config;
#[cfg(feature = "lora")]
use peft_lora::LoraConfig;
use serde_json::{Map, Value, json};

use super::AdapterFileError;
use super::fields::Fields;
use super::methods;

/// The release of PEFT whose file format is written.
const PEFT_VERSION: &str = "0.21.2";

/// The methods of this build, as PEFT names them.
const METHODS: &str = if !cfg!(feature = "ia3") {
    "LORA"
} else if !cfg!(feature = "lora") {
    "IA3"
} else {
    "LORA, IA3"
};

/// The output layer, which PEFT's `all-linear` leaves out.
const OUTPUT_LAYER: &str = "lm_head";

/// A method with its config.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AdapterConfig {
    #[cfg(feature = "lora")]
    /// LoRA.
    Lora(LoraConfig),
    #[cfg(feature = "ia3")]
    /// IA3.
    Ia3(Ia3Config),
}

impl AdapterConfig {
    /// Where the adapters go.
    pub fn placement(&self) -> &Placement {
        match self {
            #[cfg(feature = "lora")]
            Self::Lora(config) => &config.placement,
            #[cfg(feature = "ia3")]
            Self::Ia3(config) => &config.placement,
        }
    }

    /// Where the adapters go, to change it.
    pub fn placement_mut(&mut self) -> &mut Placement {
        match self {
            #[cfg(feature = "lora")]
            Self::Lora(config) => &mut config.placement,
            #[cfg(feature = "ia3")]
            Self::Ia3(config) => &mut config.placement,
        }
    }

    /// The method's name.
    pub fn method(&self) -> &'static str {
        match self {
            #[cfg(feature = "lora")]
            Self::Lora(_) => "lora",
            #[cfg(feature = "ia3")]
            Self::Ia3(_) => "ia3",
        }
    }

    /// Attach fresh adapters of this config.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: burn::module::Module>(
        &self,
        model: &mut M,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        match self {
            #[cfg(feature = "lora")]
            Self::Lora(config) => config.attach(model, name),
            #[cfg(feature = "ia3")]
            Self::Ia3(config) => config.attach(model, name),
        }
    }

    /// Read the fields of an `adapter_config.json`.
    pub(super) fn from_fields(
        path: &Path,
        map: &Map<String, Value>,
    ) -> Result<Self, AdapterFileError> {
        let fields = Fields { path, map };
        match fields.string("peft_type")? {
            #[cfg(feature = "lora")]
            Some("LORA") => methods::lora::from_fields(&fields).map(Self::Lora),
            #[cfg(feature = "ia3")]
            Some("IA3") => methods::ia3::from_fields(&fields).map(Self::Ia3),
            Some(_) => Err(fields.unsupported("peft_type", METHODS)),
            None => Err(fields.wrong("peft_type", "the name of a method, such as LORA")),
        }
    }

    /// All fields of the config as PEFT writes them. `adapted` are the paths of the adapted layers.
    pub(super) fn to_fields(&self, adapted: &[String]) -> Map<String, Value> {
        let placement = self.placement();
        let targets = &placement.targets;
        let mut fields = json!({
            "auto_mapping": null,
            "base_model_name_or_path": null,
            "exclude_modules": targets.exclude().map(names_value),
            "fan_in_fan_out": false,
            "inference_mode": true,
            "modules_to_save": some_list(&placement.modules_to_save),
            "peft_version": PEFT_VERSION,
            "revision": null,
            "target_modules": target_modules(targets, adapted),
            "task_type": "CAUSAL_LM",
        });
        let specific = match self {
            #[cfg(feature = "lora")]
            Self::Lora(config) => methods::lora::to_fields(config, adapted),
            #[cfg(feature = "ia3")]
            Self::Ia3(config) => methods::ia3::to_fields(config),
        };
        let mut map = Map::new();
        for object in [&mut fields, &mut { specific }] {
            map.append(object.as_object_mut().unwrap_or(&mut Map::new()));
        }
        map
    }
}

pub(super) fn placement_from(fields: &Fields<'_>) -> Result<Placement, AdapterFileError> {
    let targets = match fields.names("target_modules")? {
        None => return Err(fields.wrong("target_modules", "a list of module names")),
        Some(Names::Regex(word)) if word.eq_ignore_ascii_case("all-linear") => {
            Targets::all_linear()
        }
        Some(names) => Targets::new(Choice::Names(names)),
    };
    let targets = match fields.names("exclude_modules")? {
        None => targets,
        Some(names) => targets.excluding_names(names),
    };
    let targets = match fields.indices("layers_to_transform")? {
        None => targets,
        Some(indices) => targets
            .within(LayerRange::Indices(indices))
            .indexed_after(fields.strings("layers_pattern")?),
    };
    let mut placement = Placement::new(targets);
    placement.path = ForwardPath::Factored;
    placement.modules_to_save = fields.strings("modules_to_save")?;
    Ok(placement)
}

pub(super) fn some_list(names: &[String]) -> Option<Value> {
    (!names.is_empty()).then(|| sorted(names))
}

fn sorted(names: &[String]) -> Value {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    json!(names)
}

pub(super) fn names_value(names: &Names) -> Value {
    match names {
        Names::Regex(pattern) => json!(pattern),
        Names::Suffixes(names) => sorted(names),
    }
}

/// `all-linear` is written as the names it stood for, as PEFT does.
fn target_modules(targets: &Targets, adapted: &[String]) -> Value {
    match targets.choice() {
        Choice::Names(names) => names_value(names),
        Choice::AllLinear => {
            let last = |path: &String| path.rsplit('.').next().unwrap_or(path).to_owned();
            sorted(&adapted.iter().map(last).collect::<Vec<_>>())
        }
    }
}

/// Leave out what this model does not have.
///
/// PEFT takes lists written for several architectures: an entry that matches nothing is passed over. What counts is that the file's tensors fit,
/// which is checked afterwards, tensor by tensor.
pub(super) fn fitted(
    config: &AdapterConfig,
    layers: &[String],
    modules: &[String],
) -> AdapterConfig {
    let mut config = config.clone();
    let fit = |names: &Names, paths: &[String]| match names {
        Names::Regex(_) => names.clone(),
        Names::Suffixes(entries) => Names::Suffixes(
            entries
                .iter()
                .filter(|entry| paths.iter().any(|path| ends_with(path, entry)))
                .cloned()
                .collect(),
        ),
    };
    let placement = config.placement_mut();
    let old = placement.targets.clone();
    let mut targets = match old.choice() {
        Choice::AllLinear => Targets::all_linear(),
        Choice::Names(names) => {
            let fitted = fit(names, modules);
            match &fitted {
                // Nothing fits: keep the list, so that attaching reports it.
                Names::Suffixes(entries) if entries.is_empty() => {
                    Targets::new(Choice::Names(names.clone()))
                }
                _ => Targets::new(Choice::Names(fitted)),
            }
        }
    };
    let exclude = match (old.exclude(), old.choice()) {
        (Some(names), _) => Some(fit(names, modules)),
        (None, Choice::AllLinear) => Some(fit(&Names::suffixes([OUTPUT_LAYER]), modules)),
        (None, Choice::Names(_)) => None,
    };
    if let Some(names) = exclude {
        targets = targets.excluding_names(names);
    }
    placement.targets = targets
        .within(old.range().clone())
        .indexed_after(old.index_after().to_vec());
    #[cfg(feature = "lora")]
    if let AdapterConfig::Lora(lora) = &mut config {
        let paths: Vec<&str> = layers.iter().map(String::as_str).collect();
        lora.rank_pattern = lora.rank_pattern.matching_any(&paths);
        lora.alpha_pattern = lora.alpha_pattern.matching_any(&paths);
    }
    config
}

fn ends_with(path: &str, entry: &str) -> bool {
    path.strip_suffix(entry)
        .is_some_and(|head| head.is_empty() || head.ends_with('.'))
}
