//! [`AdapterConfig`]: the methods' configs in the names of `adapter_config.json`.

use std::path::Path;

use peft_core::{
    AttachReport, Choice, ForwardPath, LayerRange, Names, Patterns, PeftError, Placement, Targets,
    TrainBias,
};
use peft_ia3::Ia3Config;
use peft_lora::{LoraConfig, LoraInit, LoraScaling};
use serde_json::{Map, Value, json};

use super::AdapterFileError;
use super::fields::{Fields, as_count};

/// The release of PEFT whose file format is written.
const PEFT_VERSION: &str = "0.21.2";

/// The output layer, which PEFT's `all-linear` leaves out.
const OUTPUT_LAYER: &str = "lm_head";

/// A method with its config.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AdapterConfig {
    /// LoRA.
    Lora(LoraConfig),
    /// IA3.
    Ia3(Ia3Config),
}

impl AdapterConfig {
    /// Where the adapters go.
    pub fn placement(&self) -> &Placement {
        match self {
            Self::Lora(config) => &config.placement,
            Self::Ia3(config) => &config.placement,
        }
    }

    /// Where the adapters go, to change it.
    pub fn placement_mut(&mut self) -> &mut Placement {
        match self {
            Self::Lora(config) => &mut config.placement,
            Self::Ia3(config) => &mut config.placement,
        }
    }

    /// The method's name.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Lora(_) => "lora",
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
            Self::Lora(config) => config.attach(model, name),
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
            Some("LORA") => lora_from(&fields).map(Self::Lora),
            Some("IA3") => ia3_from(&fields).map(Self::Ia3),
            Some(_) => Err(fields.unsupported("peft_type", "LORA, IA3")),
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
            Self::Lora(config) => lora_fields(config, adapted),
            Self::Ia3(config) => json!({
                "peft_type": "IA3",
                "feedforward_modules": config.feedforward.as_ref().map_or(json!([]), names_value),
                "init_ia3_weights": true,
            }),
        };
        let mut map = Map::new();
        for object in [&mut fields, &mut { specific }] {
            map.append(object.as_object_mut().unwrap_or(&mut Map::new()));
        }
        map
    }
}

fn placement_from(fields: &Fields<'_>) -> Result<Placement, AdapterFileError> {
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

/// Fields that change what LoRA computes and have no counterpart here; each must be absent, null, false or empty.
const LORA_UNSUPPORTED: [&str; 15] = [
    "alora_invocation_tokens",
    "arrow_config",
    "ensure_weight_tying",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
    "use_kappatune",
];

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn lora_from(fields: &Fields<'_>) -> Result<LoraConfig, AdapterFileError> {
    for field in LORA_UNSUPPORTED {
        if !is_default(fields.get(field)) {
            return Err(fields.unsupported(field, "null"));
        }
    }
    let mut placement = placement_from(fields)?;
    placement.train_bias = match fields.string("bias")? {
        None | Some("none") => TrainBias::None,
        Some("all") => TrainBias::All,
        Some("lora_only") => TrainBias::Adapted,
        Some(_) => return Err(fields.wrong("bias", "`none`, `all` or `lora_only`")),
    };
    let init = match fields.get("init_lora_weights") {
        Value::Null | Value::Bool(_) => LoraInit::KaimingUniform,
        Value::String(init) if init == "gaussian" => LoraInit::Gaussian,
        // These start the factors from something else, and leave the base alone.
        Value::String(init) if ["orthogonal", "eva", "mica"].contains(&init.as_str()) => {
            LoraInit::KaimingUniform
        }
        // The others subtract their first product from the base weights, which a plain load would not.
        Value::String(_) => {
            return Err(fields.unsupported(
                "init_lora_weights",
                "true, false, gaussian, orthogonal, eva, mica",
            ));
        }
        _ => return Err(fields.wrong("init_lora_weights", "true, false or a string")),
    };
    let scaling = match fields.bool("use_rslora")? {
        true => LoraScaling::RankStabilised,
        false => LoraScaling::Standard,
    };
    Ok(LoraConfig {
        rank: fields.count("r", 8)?,
        alpha: fields.number("lora_alpha", 8.0)?,
        scaling,
        dropout: fields.number("lora_dropout", 0.0)?,
        init,
        rank_pattern: Patterns::new(fields.patterns("rank_pattern", as_count)?),
        alpha_pattern: Patterns::new(fields.patterns("alpha_pattern", Value::as_f64)?),
        placement,
    })
}

fn ia3_from(fields: &Fields<'_>) -> Result<Ia3Config, AdapterFileError> {
    Ok(Ia3Config {
        feedforward: match fields.names("feedforward_modules")? {
            Some(Names::Suffixes(names)) if names.is_empty() => None,
            names => names,
        },
        placement: placement_from(fields)?,
    })
}

fn lora_fields(config: &LoraConfig, adapted: &[String]) -> Value {
    let targets = &config.placement.targets;
    let layers = (*targets.range() != LayerRange::All).then(|| {
        let mut indices: Vec<usize> = adapted
            .iter()
            .filter_map(|path| targets.layer_index(path))
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    });
    json!({
        "peft_type": "LORA",
        "alora_invocation_tokens": null,
        "alpha_pattern": config.alpha_pattern.iter().map(|(at, alpha)| (at.to_owned(), number(*alpha))).collect::<Map<_, _>>(),
        "arrow_config": null,
        "bias": match config.placement.train_bias {
            TrainBias::All => "all",
            TrainBias::Adapted => "lora_only",
            TrainBias::None => "none",
        },
        "corda_config": null,
        "ensure_weight_tying": false,
        "eva_config": null,
        "init_lora_weights": match config.init {
            LoraInit::KaimingUniform => json!(true),
            LoraInit::Gaussian => json!("gaussian"),
        },
        "kasa_config": null,
        "layer_replication": null,
        "layers_pattern": layers.as_ref().and_then(|_| some_list(targets.index_after())),
        "layers_to_transform": layers,
        "loftq_config": {},
        "lora_alpha": number(config.alpha),
        "lora_bias": false,
        "lora_dropout": config.dropout,
        "lora_ga_config": null,
        "megatron_config": null,
        "megatron_core": "megatron.core",
        "monteclora_config": null,
        "qalora_group_size": 16,
        "r": config.rank,
        "rank_pattern": config.rank_pattern.iter().map(|(at, rank)| (at.to_owned(), json!(rank))).collect::<Map<_, _>>(),
        "target_parameters": null,
        "trainable_token_indices": null,
        "use_bdlora": null,
        "use_dora": false,
        "use_qalora": false,
        "use_rslora": config.scaling == LoraScaling::RankStabilised,
        "velora_config": null,
    })
}

/// PEFT declares alpha as an integer; whole numbers are written as such.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

fn some_list(names: &[String]) -> Option<Value> {
    (!names.is_empty()).then(|| sorted(names))
}

fn sorted(names: &[String]) -> Value {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    json!(names)
}

fn names_value(names: &Names) -> Value {
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
