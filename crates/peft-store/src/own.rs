//! [`save_own`] and [`OwnDir`]: adapters of methods that are one's own, in directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Tensor;
use peft_core::{parameters, set_shared_matrices, set_statistics, shared_matrices, statistics};
use peft_safetensors::{TensorPlace, Writes, open};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::adapter::{
    AdapterInfo, BASE_DIGEST, CONFIG, OWN, TENSORS, create, io, other_base_warning, own_method,
    pretty, read_fields, replace, whole,
};
use crate::fields::Fields;
use crate::quantise::Quantise;
use crate::tensor_file::{
    StoredTensor, load_tensors, problems, read_f32, tensors_at, write_tensors,
};
use crate::{AdapterFileError, TensorProblem};

/// Write adapter `name` of `model`, of whatever method, and what the model reads beside its text,
/// to a directory that [`OwnDir`] reads.
///
/// All their float parameters are written, each under its path in the model without the adapter's
/// name, in the precision that it has; so are running statistics of what trains whole with it, and
/// each matrix that its layers share once, under its own name.
/// `settings` are what attaches such an adapter again: its config, for instance. Each file is
/// written beside its place and renamed.
///
/// A method of PEFT's is saved by [`save_adapter`](crate::save_adapter), which PEFT reads.
///
/// # Errors
///
/// An [`AdapterFileError`]: [`PeftError::NoAdapter`](peft_core::PeftError::NoAdapter) where there
/// is nothing of the name, settings that are no JSON, or files that cannot be written.
pub fn save_own<M: Module>(
    model: &M,
    name: &str,
    method: &str,
    settings: &impl Serialize,
    about: &AdapterInfo,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    let dir = dir.as_ref();
    let paths = paths(model, name);
    if paths.is_empty() {
        return Err(peft_core::PeftError::NoAdapter.into());
    }
    let config = dir.join(CONFIG);
    let settings = serde_json::to_value(settings).map_err(|source| AdapterFileError::Json {
        path: config.clone(),
        source,
    })?;
    let fields = json!({
        "peft_type": OWN,
        "method": method,
        "settings": settings,
        "base_model_name_or_path": null,
        "task_type": null,
    });
    let mut fields = fields.as_object().cloned().unwrap_or_default();
    about.complete(&mut fields);
    let fields = pretty(dir, &fields)?;

    let own = tensors_at(
        model,
        paths.keys().map(|path| (path.clone(), false)).collect(),
    );
    let own = own
        .into_iter()
        .map(|(path, tensor)| (paths[&path].clone(), tensor));
    let running = statistics(model, name).into_iter();
    let shared = shared_matrices(model, name).into_iter();
    let shared = shared.map(|(key, shared)| (shared_key(&key), shared.value().into_data()));
    let others = running.chain(shared);
    let others = others.map(|(path, data)| (path, StoredTensor::of(data)));
    let texts = [(BASE_DIGEST, about.base_digest(model, name))];
    create(dir)?;
    let tensors = dir.join(TENSORS);
    write_tensors(&tensors, own.chain(others), texts)
        .map_err(|source| io("write", &tensors, source))?;
    replace(&config, &fields)
}

/// The parameters of adapter `name` and of what the model reads beside its text, by path, each with
/// the key that it has in a file.
fn paths<M: Module>(model: &M, name: &str) -> BTreeMap<String, String> {
    let own = parameters(model).into_iter();
    let own = own.filter(|param| param.in_input_adapter || param.adapter.as_deref() == Some(name));
    let named = format!(".adapters.{name}.");
    own.map(|param| {
        let key = param.path.replacen(&named, ".adapters.", 1);
        (param.path, key)
    })
    .collect()
}

/// The key of a matrix that belongs to no layer.
fn shared_key(name: &str) -> String {
    format!("shared.{name}")
}

/// A directory of an adapter of one's own method, whose config has been read.
///
/// ```no_run
/// # use peft_store::{AdapterFileError, OwnDir};
/// # #[derive(serde::Deserialize)]
/// # struct MyConfig;
/// # impl MyConfig {
/// #     fn attach<M>(&self, model: &mut M, name: &str) {}
/// # }
/// # fn load(mut model: burn::nn::Linear) -> Result<(), AdapterFileError> {
/// let dir = OwnDir::open("adapter")?;
/// let config: MyConfig = dir.settings()?;
/// config.attach(&mut model, "default");
/// dir.load(&mut model, "default")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OwnDir {
    dir: PathBuf,
    method: String,
    fields: Map<String, Value>,
}

impl OwnDir {
    /// Read the config of a directory.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`] that names the file, and the field where there is one.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, AdapterFileError> {
        let (path, fields) = read_fields(dir.as_ref())?;
        Self::of_fields(path, fields)
    }

    /// Of the fields of a config file.
    pub(crate) fn of_fields(
        path: PathBuf,
        fields: Map<String, Value>,
    ) -> Result<Self, AdapterFileError> {
        let of = Fields::new(&path, &fields);
        if of.text("peft_type") != Some(OWN) {
            let supported = format!("{OWN}; `AdapterDir` reads those of PEFT");
            return Err(of.unsupported("peft_type", supported).into());
        }
        let Some(method) = of.text("method").map(str::to_owned) else {
            return Err(of.wrong("method", "a string").into());
        };
        let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Self {
            dir,
            method,
            fields,
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All fields of the config.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The error of a program that has not the method.
    pub fn unknown_method(&self) -> AdapterFileError {
        own_method(&Fields::new(&self.dir.join(CONFIG), &self.fields)).into()
    }

    /// The shapes of the tensors in the file, by key.
    ///
    /// # Errors
    ///
    /// Where the tensors' file cannot be read.
    pub fn tensor_shapes(&self) -> Result<Vec<(String, Vec<usize>)>, AdapterFileError> {
        let tensors = open(&self.dir.join(TENSORS))?.tensors.into_iter();
        let shapes = tensors.map(|(key, place)| (key, place.shape().to_vec()));
        Ok(shapes.collect())
    }

    /// The method's name, as it was given.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// What attaches such an adapter again, as it was given.
    ///
    /// # Errors
    ///
    /// [`AdapterFileError::Json`] where they are no `T`.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, AdapterFileError> {
        let settings = self.fields.get("settings").cloned().unwrap_or_default();
        serde_json::from_value(settings).map_err(|source| AdapterFileError::Json {
            path: self.dir.join(CONFIG),
            source,
        })
    }

    /// Give adapter `name` of `model`, which is attached, and what it reads beside its text, the
    /// file's values; whether the base is another than the adapter was trained on, as a warning.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched: a tensor that is missing, has no place,
    /// or is of another shape, or not finite, all of them named.
    pub fn load<M: Module>(
        &self,
        model: &mut M,
        name: &str,
    ) -> Result<Option<String>, AdapterFileError> {
        let file = self.dir.join(TENSORS);
        let opened = open(&file)?;
        let mut places = opened.tensors;
        let paths = paths(model, name);
        let running = statistics(model, name);
        let held = paths.keys().map(|path| (path.clone(), false)).collect();
        let held = tensors_at(model, held).into_iter();
        let held = held.map(|(path, tensor)| (paths[&path].clone(), tensor.shape().to_vec()));
        let kept = running.iter();
        let kept = kept.map(|(path, data)| (path.clone(), data.shape().to_vec()));
        let shared = shared_matrices(model, name);
        let of_all = shared.iter();
        let of_all = of_all.map(|(key, shared)| (shared_key(key), shared.value().dims().to_vec()));
        let expected: BTreeMap<String, Vec<usize>> = held.chain(kept).chain(of_all).collect();

        let mut problems = problems(&places, &expected)?;
        let missing = expected.keys().filter(|key| !places.contains_key(*key));
        problems.extend(missing.map(TensorProblem::missing));
        if !problems.is_empty() {
            let path = file;
            return Err(AdapterFileError::Tensors { path, problems });
        }
        let mut values = BTreeMap::new();
        for path in running.into_keys() {
            if let Some(place) = places.remove(&path) {
                values.insert(path, read_f32(&place)?);
            }
        }
        let mut matrices = BTreeMap::new();
        for (key, shared) in shared {
            if let Some(place) = places.remove(&shared_key(&key)) {
                let now = shared.value();
                let on = (&now.device(), now.dtype());
                matrices.insert(key, Tensor::from_data(read_f32(&place)?, on));
            }
        }
        let by_path = paths.into_iter();
        let by_path: BTreeMap<String, TensorPlace> = by_path
            .filter_map(|(path, key)| Some((path, places.remove(&key)?)))
            .collect();
        let mut loaded = load_tensors(model.clone(), by_path, None, Quantise::Dense, None)?;
        set_statistics(&mut loaded, name, &values)?;
        set_shared_matrices(&mut loaded, name, matrices)?;
        *model = loaded;
        let base = self.fields.get("base_model_name_or_path");
        let base = base.and_then(Value::as_str);
        let digest = opened.texts.get(BASE_DIGEST).map(String::as_str);
        let except = whole(model, name);
        Ok(other_base_warning(model, except, digest, (&self.dir, base)))
    }
}
