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
            Self::Ia3(config) => {
                methods::ia3::to_fields(config, adapted, &fields["target_modules"])
            }
        };
        let mut map = Map::new();
        for object in [&mut fields, &mut { specific }] {
            map.append(object.as_object_mut().unwrap_or(&mut Map::new()));
        }
        map
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
    placement.modules_to_save = fields.strings("modules_to_save")?;
    Ok(placement)
}

pub(super) fn some_list(names: &[String]) -> Option<Value> {
    (!names.is_empty()).then(|| sorted(names))
}

pub(super) fn sorted(names: &[String]) -> Value {
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
