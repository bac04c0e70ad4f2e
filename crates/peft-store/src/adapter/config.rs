//! [`AdapterConfig`]: the methods' configs in the names of `adapter_config.json`.

use std::path::Path;

#[cfg(feature = "inputs")]
use peft_core::Transformer;
use peft_core::{
    AttachReport, Choice, ForwardPath, LayerRange, Names, PeftError, Placement, Targets,
};
#[cfg(feature = "ia3")]
use peft_ia3::Ia3Config;
#[cfg(feature = "lora")]
use peft_lora::LoraConfig;
#[cfg(feature = "prefix")]
use peft_prefix::{PrefixConfig, Prefixed};
#[cfg(feature = "ptuning")]
use peft_ptuning::{PTuningConfig, PromptTuningConfig, Prompted};
use serde_json::{Map, Value, json};

use super::AdapterFileError;
use super::fields::Fields;
use super::methods;
use crate::own::OWN;

/// The release of PEFT whose file format is written.
const PEFT_VERSION: &str = "0.21.2";

/// The methods of this build, as PEFT names them.
const METHODS: &[&str] = &[
    #[cfg(feature = "lora")]
    "LORA",
    #[cfg(feature = "ia3")]
    "IA3",
    #[cfg(feature = "ptuning")]
    "PROMPT_TUNING",
    #[cfg(feature = "ptuning")]
    "P_TUNING",
    #[cfg(feature = "prefix")]
    "PREFIX_TUNING",
];

/// The name of prefix tuning.
#[cfg(feature = "prefix")]
const PREFIX_TUNING: &str = "prefix-tuning";

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
    #[cfg(feature = "ptuning")]
    /// Prompt tuning.
    PromptTuning(PromptTuningConfig),
    #[cfg(feature = "ptuning")]
    /// P-Tuning.
    PTuning(PTuningConfig),
    #[cfg(feature = "prefix")]
    /// Prefix tuning.
    Prefix(PrefixConfig),
}

impl AdapterConfig {
    /// Where the adapters go, of a method that adapts weights.
    pub fn placement(&self) -> Option<&Placement> {
        match self {
            #[cfg(feature = "lora")]
            Self::Lora(config) => Some(&config.placement),
            #[cfg(feature = "ia3")]
            Self::Ia3(config) => Some(&config.placement),
            #[cfg(feature = "ptuning")]
            Self::PromptTuning(_) | Self::PTuning(_) => None,
            #[cfg(feature = "prefix")]
            Self::Prefix(_) => None,
        }
    }

    /// Where the adapters go, to change it, of a method that adapts weights.
    pub fn placement_mut(&mut self) -> Option<&mut Placement> {
        match self {
            #[cfg(feature = "lora")]
            Self::Lora(config) => Some(&mut config.placement),
            #[cfg(feature = "ia3")]
            Self::Ia3(config) => Some(&mut config.placement),
            #[cfg(feature = "ptuning")]
            Self::PromptTuning(_) | Self::PTuning(_) => None,
            #[cfg(feature = "prefix")]
            Self::Prefix(_) => None,
        }
    }

    /// The modules, by suffix, that train whole.
    pub fn modules_to_save(&self) -> &[String] {
        match self {
            #[cfg(feature = "lora")]
            Self::Lora(config) => &config.placement.modules_to_save,
            #[cfg(feature = "ia3")]
            Self::Ia3(config) => &config.placement.modules_to_save,
            #[cfg(feature = "ptuning")]
            Self::PromptTuning(config) => &config.modules_to_save,
            #[cfg(feature = "ptuning")]
            Self::PTuning(config) => &config.modules_to_save,
            #[cfg(feature = "prefix")]
            Self::Prefix(config) => &config.modules_to_save,
        }
    }

    /// The method's name.
    pub fn method(&self) -> &'static str {
        match self {
            #[cfg(feature = "lora")]
            Self::Lora(_) => "lora",
            #[cfg(feature = "ia3")]
            Self::Ia3(_) => "ia3",
            #[cfg(feature = "ptuning")]
            Self::PromptTuning(_) => PromptTuningConfig::METHOD,
            #[cfg(feature = "ptuning")]
            Self::PTuning(_) => PTuningConfig::METHOD,
            #[cfg(feature = "prefix")]
            Self::Prefix(_) => PREFIX_TUNING,
        }
    }

    /// What PEFT puts before a module's path: an adapter of weights wraps the model once more.
    pub(super) fn prefix(&self) -> &'static str {
        match self.placement() {
            Some(_) => "base_model.model.",
            None => "base_model.",
        }
    }

    /// Attach fresh adapters of this config to a model's weights.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; [`PeftError::AttachesElsewhere`] for a method that adapts what a model reads.
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
            #[cfg(feature = "ptuning")]
            Self::PromptTuning(_) | Self::PTuning(_) => {
                let _ = (model, name);
                Err(self.elsewhere())
            }
            #[cfg(feature = "prefix")]
            Self::Prefix(_) => {
                let _ = (model, name);
                Err(self.elsewhere())
            }
        }
    }

    /// Put a fresh soft prompt of this config before a model.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; [`PeftError::AttachesElsewhere`] for another method.
    #[cfg(feature = "ptuning")]
    pub fn attach_prompt<M: Transformer>(
        &self,
        model: &mut Prompted<M>,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        match self {
            Self::PromptTuning(config) => config.attach(model, name),
            Self::PTuning(config) => config.attach(model, name),
            #[cfg(any(feature = "lora", feature = "ia3", feature = "prefix"))]
            _ => Err(self.elsewhere()),
        }
    }

    /// Put a fresh prefix of this config before a model.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; [`PeftError::AttachesElsewhere`] for another method.
    #[cfg(feature = "prefix")]
    pub fn attach_prefix<M: Transformer>(
        &self,
        model: &mut Prefixed<M>,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        match self {
            Self::Prefix(config) => config.attach(model, name),
            #[cfg(any(feature = "lora", feature = "ia3", feature = "ptuning"))]
            _ => Err(self.elsewhere()),
        }
    }

    /// The error of attaching to what the method does not act on.
    pub(super) fn elsewhere(&self) -> PeftError {
        PeftError::AttachesElsewhere {
            method: self.method(),
            place: match self {
                #[cfg(feature = "ptuning")]
                Self::PromptTuning(_) | Self::PTuning(_) => {
                    "what a model reads, and not to its weights; put the model in a `Prompted`, for `attach_prompt` and `save_prompt`"
                }
                #[cfg(feature = "prefix")]
                Self::Prefix(_) => {
                    "what a model reads, and not to its weights; put the model in a `Prefixed`, for `attach_prefix` and `save_prefix`"
                }
                #[cfg(any(feature = "lora", feature = "ia3"))]
                _ => "a model's weights, and not to what it reads, for `attach` and `save_adapter`",
            },
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
            #[cfg(feature = "ptuning")]
            Some("PROMPT_TUNING") => {
                methods::ptuning::prompt_from_fields(&fields).map(Self::PromptTuning)
            }
            #[cfg(feature = "ptuning")]
            Some("P_TUNING") => methods::ptuning::encoder_from_fields(&fields).map(Self::PTuning),
            #[cfg(feature = "prefix")]
            Some("PREFIX_TUNING") => methods::prefix::from_fields(&fields).map(Self::Prefix),
            Some(OWN) => Err(fields.unsupported(
                "peft_type",
                &format!(
                    "{}; an adapter of a method of one's own is read by the program that has the method, with `OwnDir`",
                    METHODS.join(", ")
                ),
            )),
            Some(_) => Err(fields.unsupported("peft_type", &METHODS.join(", "))),
            None => Err(fields.wrong("peft_type", "the name of a method, such as LORA")),
        }
    }

    /// The fields of the config that PEFT writes for every method of its kind. `adapted` are the paths of the adapted layers.
    pub(super) fn to_fields(&self, adapted: &[String]) -> Map<String, Value> {
        let mut fields = json!({
            "auto_mapping": null,
            "base_model_name_or_path": null,
            "inference_mode": true,
            "modules_to_save": some_list(self.modules_to_save()),
            "peft_version": PEFT_VERSION,
            "revision": null,
            "task_type": null,
        });
        if let Some(placement) = self.placement() {
            let targets = &placement.targets;
            fields["exclude_modules"] = json!(targets.exclude().map(names_value));
            fields["fan_in_fan_out"] = json!(false);
            fields["target_modules"] = target_modules(targets, adapted);
        }
        let specific = match self {
            #[cfg(feature = "lora")]
            Self::Lora(config) => methods::lora::to_fields(config, adapted),
            #[cfg(feature = "ia3")]
            Self::Ia3(config) => {
                methods::ia3::to_fields(config, adapted, &fields["target_modules"])
            }
            #[cfg(feature = "ptuning")]
            Self::PromptTuning(config) => methods::ptuning::prompt_to_fields(config),
            #[cfg(feature = "ptuning")]
            Self::PTuning(config) => methods::ptuning::encoder_to_fields(config),
            #[cfg(feature = "prefix")]
            Self::Prefix(config) => methods::prefix::to_fields(config),
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
        None => {
            let expected = "a list of module names; PEFT takes its own for some families of models, and so does `AdapterDir::open_for`";
            return Err(fields.wrong("target_modules", expected));
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
    placement.modules_to_save = fields.strings("modules_to_save")?;
    Ok(placement)
}

fn some_list(names: &[String]) -> Option<Value> {
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
