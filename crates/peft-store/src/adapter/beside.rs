//! What a file holds beside the adapters themselves: what trains whole, running statistics, weights
//! of the base, and the base's digest.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::DType;
use peft_core::{
    AdapterSlot, AttachReport, Layer, TokenRowsConfig, module_paths, set_statistics, slots,
};
use serde_json::{Map, Value, json};

use super::base::{BASE_DIGEST, other_base_warning, whole};
use super::base_copies::{BaseCopies, base_tensors};
use super::files::{AdapterFiles, create, pretty, replace, write};
use super::fitted::told_apart;
use super::found::{CONFIG, TENSORS};
use super::key_forms::copied_bias;
use super::methods::WeightMethod;
use super::tensors::{NamedTensors, TensorsFile};
use super::token_rows::{load_rows, rows_beside};
use super::whole::{load_whole, running, whole_params};
use super::{AdapterFileError, AdapterInfo};

/// The release of PEFT whose file format is written.
const PEFT_VERSION: &str = "0.21.2";

/// Give what is beside adapter `name` of `model`, which is attached, the values that are left in
/// its file; PEFT puts `prefix` before a module's path.
///
/// Every tensor of the file must have found its place by then. The report says which of the base's
/// weights were replaced, and whether it is another base than the adapter's.
pub(super) fn load_beside<M: Module>(
    files: &AdapterFiles,
    mut file: TensorsFile,
    model: &mut M,
    (name, prefix): (&str, &str),
    layers: &[Layer],
    report: &mut AttachReport,
) -> Result<(), AdapterFileError> {
    let digest = file.text(BASE_DIGEST).map(str::to_owned);
    let params = whole_params(model, name, prefix);
    let running = running(model, name, prefix);
    for key in &running.counts {
        file.pass_over(key);
    }
    let keys: Vec<String> = file.places().keys().cloned().collect();
    for key in keys {
        let of = copied_bias(&key);
        let of = of.and_then(|of| params.iter().find(|param| param.key == of));
        if of.is_some_and(|param| file.has(&key, &param.shape)) {
            file.pass_over(&key);
        }
    }
    let device = layers.first().map(|layer| layer.device.clone());
    let device = device.unwrap_or_default();
    load_whole(model, name, &params, &mut file, &device)?;
    if files.text("peft_type") != Some(TokenRowsConfig::PEFT_TYPE) {
        load_rows(model, (name, prefix), &mut file, &device)?;
    }
    let mut values = BTreeMap::new();
    for (path, key, now) in running.values {
        if let Some(data) = file.take(&key, &now.shape().to_vec())? {
            values.insert(path, data);
        }
    }
    let copies = BaseCopies::take(&mut file, model, (name, prefix), layers)?;
    file.finish()?;
    set_statistics(model, name, &values)?;
    let base = (files.dir.as_path(), files.text("base_model_name_or_path"));
    let except = whole(model, name).into_iter().chain(copies.held().cloned());
    let warning = other_base_warning(model, except.collect(), digest.as_deref(), base);
    report.warnings.extend(warning);
    report.replaced = copies.put(model);
    let replaced = report.replaced.iter().map(|path| {
        format!("`{path}` of the base is replaced by the adapter's, which was trained with another")
    });
    report.warnings.extend(replaced);
    Ok(())
}

/// The tensors of a file beside the adapters' own: of what trains whole under `name`, and those of
/// the base's that `about` names. Another adapter of the name has no form in the file, but those
/// that `has_form`.
pub(super) fn tensors_beside<M: Module>(
    model: &M,
    (name, prefix): (&str, &str),
    about: &AdapterInfo,
    has_form: impl Fn(&AdapterSlot) -> bool,
) -> Result<NamedTensors, AdapterFileError> {
    let mut tensors = NamedTensors::new();
    let params = whole_params(model, name, prefix);
    let mut params = params.iter().peekable();
    for (path, slot) in slots(model) {
        if !slot.contains(name) {
            continue;
        }
        if let Some(param) = params.next_if(|param| param.path == path) {
            let data = param.read(&slot, name);
            tensors.extend(data.map(|data| (param.key.clone(), data.convert_dtype(DType::F32))));
        } else if has_form(&slot) {
        } else if let Some(rows) = rows_beside((&path, &slot), (name, prefix)) {
            tensors.push(rows);
        } else {
            return Err(AdapterFileError::UnsupportedMethod {
                adapter: name.into(),
                path,
                method: slot.method(name).unwrap_or("unknown").into(),
            });
        }
    }
    tensors.extend(running(model, name, prefix).into_tensors());
    tensors.extend(base_tensors(model, (name, prefix), about.replaced()));
    Ok(tensors)
}

/// The fields that PEFT writes for every method.
pub(super) fn common_fields<M: Module>(
    peft_type: &str,
    modules_to_save: &[String],
    model: &M,
) -> Map<String, Value> {
    let mut fields = method_fields(peft_type);
    if !modules_to_save.is_empty() {
        // By names that PEFT finds them by.
        let names = told_apart(modules_to_save, &module_paths(model));
        fields.insert("modules_to_save".into(), names.into());
    }
    fields
}

/// The fields that PEFT writes for every method, where no module trains whole.
pub(super) fn method_fields(peft_type: &str) -> Map<String, Value> {
    let fields = json!({
        "auto_mapping": null,
        "base_model_name_or_path": null,
        "inference_mode": true,
        "modules_to_save": null,
        "peft_type": peft_type,
        "peft_version": PEFT_VERSION,
        "revision": null,
        "task_type": null,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Write the two files of a directory: the tensors, with the digest of the base under adapter
/// `name`, then the config.
pub(super) fn write_directory<M: Module>(
    dir: &Path,
    (model, name): (&M, &str),
    tensors: NamedTensors,
    mut fields: Map<String, Value>,
    about: &AdapterInfo,
) -> Result<(), AdapterFileError> {
    about.complete(&mut fields);
    let json = pretty(dir, &fields)?;
    create(dir)?;
    let texts = [(BASE_DIGEST, about.base_digest(model, name))];
    write(&dir.join(TENSORS), tensors, texts)?;
    replace(&dir.join(CONFIG), &json)
}
