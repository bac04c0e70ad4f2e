//! What a model reads beside its text, in directories: one tensor that PEFT reads, and a file of
//! ours with what it is trained through.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{AttachReport, PeftError, Summary, layers, module_paths};
use peft_model::{Transformer, WithInput};
use peft_safetensors::TensorPlace;

use super::beside::{common_fields, load_beside, tensors_beside, write_directory};
use super::files::{AdapterFiles, create, io, write};
use super::fitted::fitted_modules;
use super::found::TENSORS;
use super::heads::with_heads;
use super::methods::{InputMethod, StoredInput};
use super::tensors::{TensorsFile, WRAPPED};
use super::whole::check_whole;
use super::{AdapterFileError, AdapterInfo};

/// The key of what acts, whatever it is trained through.
const EMBEDDINGS: &str = "prompt_embeddings";

/// How far apart, relative to the largest, what an encoder makes and what is stored beside it may
/// be: in f32 as written, or rounded since.
const SAME: f32 = 1e-4;
const ROUNDED: f32 = 1e-2;

/// Put what a directory holds before `model`; the modules that train whole do so under `name`.
pub(super) fn attach_input<I: InputMethod, M: Transformer>(
    files: &AdapterFiles,
    config: &I,
    model: &mut WithInput<M, I::Input>,
    name: &str,
) -> Result<AttachReport, AdapterFileError> {
    let inner = &model.model;
    let mut file = files.tensors()?;
    let device = model.devices().into_iter().next().unwrap_or_default();
    let is_f32 = |place: &TensorPlace| place.dtype() == safetensors::Dtype::F32;
    let limit = match file.places().values().all(is_f32) {
        true => SAME,
        false => ROUNDED,
    };
    let shape = [config.n_virtual_tokens(), I::Input::width(inner)];
    let acts = file.need(EMBEDDINGS, &shape)?;
    let encoder = files.dir.join(I::Input::ENCODER);
    let open = || match encoder.exists() {
        true => TensorsFile::open(&encoder).map(Some),
        false => Ok(None),
    };
    let input = match config.restore(inner, open, &device)? {
        Some(input) => {
            let made = input.valid().vectors().into_data();
            if !near(&made, &acts, limit) {
                return Err(AdapterFileError::EncoderDiffers {
                    encoder,
                    vectors: files.dir.join(TENSORS),
                });
            }
            input
        }
        None => I::Input::of_vectors(Tensor::from_data(acts, (&device, DType::F32)), inner)?,
    };

    let mut file = file.with_forms(WRAPPED, &[]);
    let mut modules = config.modules_to_save().to_vec();
    with_heads(files, &file, &[], &mut modules);
    let whole = fitted_modules(&modules, &module_paths(inner));
    check_whole(&mut file, inner, &whole, WRAPPED)?;
    let layers = layers(inner);
    let mut changed = model.clone();
    let mut report = input.place(&mut changed, name, &whole, I::NAME)?;
    let at = (name, WRAPPED);
    load_beside(files, file, &mut changed.model, at, &layers, &mut report)?;
    report.summary = Summary::of(&changed);
    *model = changed;
    Ok(report)
}

/// Whether what an encoder makes is what acts, up to `limit` of the largest.
fn near(made: &TensorData, acts: &TensorData, limit: f32) -> bool {
    let largest = acts.iter::<f32>().fold(0.0, |m: f32, v| m.max(v.abs()));
    let limit = largest * limit;
    let near = |(a, b): (f32, f32)| (a - b).abs() <= limit;
    made.iter::<f32>().zip(acts.iter::<f32>()).all(near)
}

/// Write what is before `model`, and the modules that train whole under `name`, as a directory;
/// without anything that the vectors are trained through, an old file of it goes.
pub(super) fn save_input<I: InputMethod, M: Transformer>(
    model: &WithInput<M, I::Input>,
    name: &str,
    config: &I,
    about: &AdapterInfo,
    dir: &Path,
) -> Result<(), AdapterFileError> {
    // Without autodiff nothing drops out.
    let input = model.input.as_ref().ok_or(PeftError::NoAdapter)?.valid();
    let model = &model.model;
    let config = config.sized_as(&input, model.d_model())?;
    let mut fields = common_fields(I::PEFT_TYPE, config.modules_to_save(), model);
    config.write(&mut fields);
    input.write_sizes(&mut fields, model, about.kept("num_attention_heads"));
    // PEFT puts vectors before a text by the task alone: without one it would leave them out.
    if !about.knows_task() {
        return Err(AdapterFileError::NoTask { method: I::NAME });
    }
    let mut tensors = tensors_beside(model, (name, WRAPPED), about, |_| false)?;
    tensors.push((EMBEDDINGS.to_owned(), input.vectors().into_data()));

    create(dir)?;
    let path = dir.join(I::Input::ENCODER);
    match input.encoder() {
        Some(encoder) => write(&path, encoder, [])?,
        None if path.exists() => {
            fs::remove_file(&path).map_err(|source| io("remove", &path, source))?;
        }
        None => {}
    }
    write_directory(dir, (model, name), tensors, fields, about)
}
