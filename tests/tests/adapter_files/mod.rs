//! Adapter directories: what is refused and how it is said, what survives being read and written,
//! and lists that PEFT takes and a model has not.

mod any_kind;
mod bases;
mod convolutions;
mod kept;
mod matching;
mod own;
mod refused;
mod statistics;

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_core::ForwardPath;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{AdapterDir, AdapterFileError, Checkpoint};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::fixture::ids;

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("goldens")
        .join(name)
}

/// A copy of a golden adapter.
fn copied(name: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for file in [CONFIG, TENSORS] {
        let from = golden("adapters").join(name).join(file);
        fs::copy(from, dir.path().join(file)).expect("it is copied");
    }
    dir
}

fn fields(dir: &Path) -> Map<String, Value> {
    let text = fs::read_to_string(dir.join(CONFIG)).expect("a config");
    serde_json::from_str(&text).expect("an object")
}

/// Set fields of a directory's config.
fn edit(dir: &Path, changes: Value) {
    let mut fields = fields(dir);
    for (field, value) in changes.as_object().expect("an object") {
        fields.insert(field.clone(), value.clone());
    }
    fs::write(dir.join(CONFIG), json!(fields).to_string()).expect("it is written");
}

fn base(name: &str, device: &Device) -> LanguageModel {
    Checkpoint::open(golden("models").join(name))
        .and_then(|checkpoint| checkpoint.load(device, DType::F32))
        .expect("the base loads")
}

fn attach(dir: &Path, model: &mut LanguageModel) -> Result<AdapterDir, AdapterFileError> {
    let adapter = AdapterDir::open(dir)?;
    adapter.attach(model, "default", ForwardPath::Factored)?;
    Ok(adapter)
}

fn logits(model: &LanguageModel) -> burn::tensor::Tensor<3> {
    let device = model.devices().remove(0);
    model.logits(model.hidden(ids(&device), None, None))
}
