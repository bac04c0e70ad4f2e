//! [`save_adapter`]: an adapter directory, written.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{LayerKind, layers, module_paths, slots};
use serde_json::{Map, Value};

use super::base::BASE_DIGEST;
use super::base_copies::base_tensors;
use super::directory::{CONFIG, TENSORS};
use super::fitted::told_apart;
use super::keys::{entries, named_tensors};
use super::{About, AdapterConfig, AdapterFileError};
use crate::params::stored_params;
use crate::tensor_file::{Stored, write_tensors};

/// Write adapter `name` of `model` as an adapter directory that PEFT loads.
///
/// `config` is what the adapter was attached with, `about` what else readers are told. Each file is
/// written beside its place and renamed.
///
/// ```no_run
/// # use peft_store::{About, AdapterConfig, AdapterFileError, save_adapter};
/// # fn save(model: burn::nn::Linear, config: AdapterConfig) -> Result<(), AdapterFileError> {
/// save_adapter(&model, "default", &config, &About::new(), "adapter")
/// # }
/// ```
///
/// # Errors
///
/// An [`AdapterFileError`]; files that were there before are then as they were, or already replaced as a whole.
pub fn save_adapter<M: Module>(
    model: &M,
    name: &str,
    config: &AdapterConfig,
    about: &About,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    let dir = dir.as_ref();
    if config.placement().is_none() {
        return Err(config.elsewhere().into());
    }
    let slots: HashMap<String, _> = slots(model).into_iter().collect();
    let entries = entries(model, name, config.prefix())?;
    let kinds: HashMap<String, LayerKind> = layers(model)
        .into_iter()
        .map(|layer| (layer.path, layer.kind))
        .collect();
    let stored: HashMap<String, bool> = stored_params(model)
        .into_iter()
        .map(|param| (param.path, param.transposed))
        .collect();
    let adapted: Vec<String> = entries
        .iter()
        .filter(|entry| slots[&entry.slot].method(name) == Some(config.method()))
        .filter_map(|entry| entry.slot.strip_suffix(".weight").map(str::to_owned))
        .collect();

    let mut tensors = named_tensors(model, name, &entries, config.prefix());
    tensors.extend(base_tensors(
        model,
        (name, config.prefix()),
        about.replaced(),
    ));
    let mut written = config.to_fields(&adapted);
    name_modules(&mut written, config, model);
    let straight = |path: &String| {
        let weight = format!("{path}.weight");
        let linear = kinds.get(path) == Some(&LayerKind::Linear);
        linear && stored.get(&weight) == Some(&false)
    };
    written.insert("fan_in_fan_out".into(), adapted.iter().any(straight).into());
    about.complete(&mut written);
    let json = pretty(dir, &written)?;
    fs::create_dir_all(dir).map_err(|source| io("create", dir, source))?;
    let texts = [(BASE_DIGEST, about.base_digest(model, name))];
    write(&dir.join(TENSORS), tensors, texts)?;
    replace(&dir.join(CONFIG), &json)
}

/// The modules that are saved whole, by names that PEFT finds them by.
pub(super) fn name_modules<M: Module>(
    written: &mut Map<String, Value>,
    config: &AdapterConfig,
    model: &M,
) {
    if !config.modules_to_save().is_empty() {
        let names = told_apart(config.modules_to_save(), &module_paths(model));
        written.insert("modules_to_save".into(), names.into());
    }
}

/// A config as the bytes of its file.
pub(crate) fn pretty(dir: &Path, fields: &Map<String, Value>) -> Result<Vec<u8>, AdapterFileError> {
    let mut json = serde_json::to_vec_pretty(fields).map_err(|source| AdapterFileError::Json {
        path: dir.join(CONFIG),
        source,
    })?;
    json.push(b'\n');
    Ok(json)
}

/// Tensors by key, with the shapes that they have in a file.
pub(super) type Named = Vec<(String, Vec<usize>, TensorData)>;

/// Write tensors, each in the precision that it has, and texts beside their place, then rename them
/// into it.
pub(super) fn write<'a>(
    path: &Path,
    tensors: Named,
    texts: impl IntoIterator<Item = (&'a str, String)>,
) -> Result<(), AdapterFileError> {
    let tensors = tensors.into_iter();
    let tensors = tensors.map(|(key, shape, data)| (key, Stored::of(shape, data)));
    write_tensors(path, tensors, texts).map_err(|source| io("write", path, source))
}

/// Write a file beside its place, then rename it into it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), AdapterFileError> {
    peft_files::replace(path, bytes).map_err(|source| io("write", path, source))
}

pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> AdapterFileError {
    AdapterFileError::Io {
        action,
        path: path.into(),
        source,
    }
}
