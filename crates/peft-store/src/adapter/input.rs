//! What a model reads beside its text, in files: one tensor that PEFT reads, and a file of ours with what it is trained through.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{
    AttachReport, FromEmbeddings, InputAdapter, PeftError, Summary, WithInput, layers, module_paths,
};
use serde_json::{Map, Value};

use super::base::BASE_DIGEST;
use super::base_copies::base_tensors;
use super::directory::{CONFIG, TENSORS};
use super::fitted::fitted_modules;
use super::keys::{entries, named_tensors};
use super::save::{Named, io, pretty, replace, write};
use super::tensors::TensorsFile;
use super::{About, AdapterConfig, AdapterDir, AdapterFileError};

/// The key of what acts, whatever it is trained through.
const EMBEDDINGS: &str = "prompt_embeddings";

/// How far apart, relative to the largest, what an encoder makes and what is stored beside it may be: in f32 as written, or rounded since.
const SAME: f32 = 1e-4;
const ROUNDED: f32 = 1e-2;

impl AdapterDir {
    /// What acts, of the shape that the model needs.
    pub(super) fn embeddings(&self, shape: [usize; 2]) -> Result<TensorData, AdapterFileError> {
        self.tensors()?.only(EMBEDDINGS, &shape)
    }

    /// What `read` makes of the file of ours; none where there is no such file, as in a directory that PEFT wrote.
    pub(super) fn trained_through<T>(
        &self,
        file: &str,
        read: impl FnOnce(TensorsFile) -> Result<T, AdapterFileError>,
    ) -> Result<Option<T>, AdapterFileError> {
        let path = self.dir.join(file);
        match path.exists() {
            true => read(TensorsFile::open(&path)?).map(Some),
            false => Ok(None),
        }
    }

    /// What the file of ours makes is what acts, or one of the two files is not of this adapter.
    pub(super) fn check_same(
        &self,
        file: &str,
        made: &TensorData,
        acts: &TensorData,
    ) -> Result<(), AdapterFileError> {
        let largest = acts.iter::<f32>().fold(0.0, |m: f32, v| m.max(v.abs()));
        let tensors = self.tensors()?;
        let mut places = tensors.places().values();
        let stored = places.all(|place| place.dtype() == safetensors::Dtype::F32);
        let limit = largest * if stored { SAME } else { ROUNDED };
        let near = |(a, b): (f32, f32)| (a - b).abs() <= limit;
        if made.iter::<f32>().zip(acts.iter::<f32>()).all(near) {
            return Ok(());
        }
        Err(AdapterFileError::EncoderDiffers {
            encoder: self.dir.join(file),
            vectors: self.dir.join(TENSORS),
        })
    }

    /// Attach by `attach`, which gets the modules that train whole, and give these the file's weights.
    pub(super) fn attach_input<M: FromEmbeddings, A: InputAdapter>(
        &self,
        model: &mut WithInput<M, A>,
        name: &str,
        attach: impl FnOnce(&mut WithInput<M, A>, &[String]) -> Result<AttachReport, PeftError>,
    ) -> Result<AttachReport, AdapterFileError> {
        let whole = fitted_modules(&self.modules_to_save()?, &module_paths(&model.model));
        self.check_whole(&model.model, &whole)?;
        let mut adapted = model.clone();
        let mut report = attach(&mut adapted, &whole)?;
        let layers = layers(&model.model);
        let read: &[&str] = &[EMBEDDINGS];
        self.load_into(&mut adapted.model, name, (&layers, read), &mut report)?;
        report.summary = Summary::of(&adapted);
        *model = adapted;
        Ok(report)
    }
}

/// PEFT puts vectors before a text by the task alone: without one it would leave them out.
pub(super) fn told_task(config: &AdapterConfig, about: &About) -> Result<(), AdapterFileError> {
    match about.knows_task() {
        true => Ok(()),
        false => Err(AdapterFileError::NoTask {
            method: config.method(),
        }),
    }
}

/// Write what acts, the modules of `model` that train whole under `name`, the base's weights that
/// were replaced, and the file of ours; without tensors of ours, an old file of them goes.
pub(super) fn save_input<M: Module>(
    model: &M,
    name: &str,
    config: &AdapterConfig,
    acts: TensorData,
    (file, through): (&str, Option<Named>),
    (fields, about): (&Map<String, Value>, &About),
    dir: &Path,
) -> Result<(), AdapterFileError> {
    let mut tensors = vec![(EMBEDDINGS.to_owned(), acts.shape().to_vec(), acts)];
    let entries = entries(model, name, config.prefix())?;
    tensors.extend(named_tensors(model, name, &entries, config.prefix()));
    tensors.extend(base_tensors(
        model,
        (name, config.prefix()),
        about.replaced(),
    ));
    let json = pretty(dir, fields)?;

    fs::create_dir_all(dir).map_err(|source| io("create", dir, source))?;
    let path = dir.join(file);
    match through {
        Some(through) => write(&path, through, [])?,
        None if path.exists() => {
            fs::remove_file(&path).map_err(|source| io("remove", &path, source))?;
        }
        None => {}
    }
    let texts = [(BASE_DIGEST, about.base_digest(model, name))];
    write(&dir.join(TENSORS), tensors, texts)?;
    replace(&dir.join(CONFIG), &json)
}
