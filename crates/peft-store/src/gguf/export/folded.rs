//! [`with_gguf_adapter`]: what llama.cpp computes with an adapter file.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use peft_core::{MapParams, ParamPlace, map_params};
use peft_gguf::{Contents, Value as Said};
use peft_models::LanguageModelConfig;
use serde_json::{Map, Value};

use super::config;
use crate::CheckpointError;
use crate::gguf::names::Names;
use crate::gguf::{GgufPlace, Layout};

/// The model with `alpha / rank · B A` of each pair in a GGUF adapter file added to the weight that
/// the pair names; `fields` are those of the model's `config.json`.
///
/// # Errors
///
/// [`CheckpointError::NotGguf`] for a file that is no LoRA adapter for this model;
/// [`CheckpointError::Gguf`].
pub fn with_gguf_adapter<M: Module>(
    model: M,
    (config, fields): (&LanguageModelConfig, &Map<String, Value>),
    path: &Path,
) -> Result<M, CheckpointError> {
    let opened = peft_gguf::open(path)?;
    let architecture = config::architecture(fields)?;
    let mut added = Added {
        deltas: deltas(&opened, architecture, config::heads(config))?,
        unfit: Vec::new(),
    };
    let model = map_params(model, &mut added);
    added.unfit.extend(added.deltas.into_keys());
    match added.unfit.first() {
        None => Ok(model),
        Some(first) => Err(not(format!("a pair for `{first}`, which does not fit it"))),
    }
}

fn not(what: String) -> CheckpointError {
    CheckpointError::NotGguf { what }
}

/// `alpha / rank · (B A)ᵀ` as values of a shape `[d_in, d_out]`.
struct Delta {
    shape: [usize; 2],
    values: Vec<f32>,
}

/// What a file adds to each weight, by the weight's path.
fn deltas(
    opened: &Contents,
    architecture: &str,
    (heads, kv_heads): (usize, usize),
) -> Result<BTreeMap<String, Delta>, CheckpointError> {
    let said = |key: &str| opened.metadata.get(key);
    for (key, expected) in [
        ("general.type", "adapter"),
        ("adapter.type", "lora"),
        ("general.architecture", architecture),
    ] {
        if said(key).and_then(Said::as_str) != Some(expected) {
            return Err(not(format!("a file whose `{key}` is not `{expected}`")));
        }
    }
    let alpha = said("adapter.lora.alpha").and_then(Said::as_f64);
    let alpha = alpha.ok_or_else(|| not("a file without `adapter.lora.alpha`".into()))?;
    let names = Names::of(architecture);
    let tensors = opened.tensors.iter();
    let tensors: BTreeMap<_, _> = tensors.map(|place| (place.key(), place)).collect();
    let mut deltas = BTreeMap::new();
    for (key, a) in &tensors {
        let name = key.strip_suffix(".lora_a").or(key.strip_suffix(".lora_b"));
        let name = name.ok_or_else(|| not(format!("an adapter's tensor `{key}`")))?;
        if key.ends_with(".lora_b") && tensors.contains_key(format!("{name}.lora_a").as_str()) {
            continue;
        }
        let b = tensors.get(format!("{name}.lora_b").as_str());
        let at = names.key(name);
        let (Some(b), Some(at)) = (b, at) else {
            return Err(not(format!("half of a pair, `{key}`")));
        };
        let layout = match Layout::of(architecture, name, heads, kv_heads) {
            Layout::Pairs { heads } => Layout::Pairs { heads },
            Layout::Same | Layout::FromOne | Layout::Transposed => Layout::Same,
        };
        let unfit = |why: String| not(format!("a pair for `{at}`: {why}"));
        let a = GgufPlace::new((*a).clone(), at.clone(), Layout::Same).map_err(unfit)?;
        let b = GgufPlace::new((*b).clone(), at.clone(), layout).map_err(unfit)?;
        let (&[rank, d_in], &[d_out, inner]) = (a.shape(), b.shape()) else {
            return Err(unfit("no matrices".into()));
        };
        if rank != inner || rank == 0 {
            return Err(unfit(format!("ranks {rank} and {inner}")));
        }
        let (a, b) = (elements(&a)?, elements(&b)?);
        let scale = (alpha / rank as f64) as f32;
        let mut values = vec![0.0; d_in * d_out];
        for (i, row) in values.chunks_exact_mut(d_out).enumerate() {
            for (value, b) in row.iter_mut().zip(b.chunks_exact(rank)) {
                let sum: f32 = (0..rank).map(|r| b[r] * a[r * d_in + i]).sum();
                *value = scale * sum;
            }
        }
        let shape = [d_in, d_out];
        deltas.insert(at, Delta { shape, values });
    }
    Ok(deltas)
}

/// The elements of a matrix in f32, in the order of a checkpoint.
fn elements(place: &GgufPlace) -> Result<Vec<f32>, CheckpointError> {
    let mut values = Vec::new();
    let mut bytes = Vec::new();
    place.chunks(|piece| {
        bytes.extend_from_slice(piece);
        true
    })?;
    let shape = [bytes.len() / place.format().size()];
    let data = TensorData::from_bytes_vec(bytes, shape, place.format());
    values.extend(data.iter::<f32>());
    Ok(values)
}

/// Adds deltas, and keeps what does not fit.
struct Added {
    deltas: BTreeMap<String, Delta>,
    unfit: Vec<String>,
}

impl MapParams for Added {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let Some(Delta { shape, values }) = self.deltas.remove(&at.path()) else {
            return param;
        };
        param.map(|weight| {
            if weight.dims()[..] != shape {
                self.unfit.push(at.path());
                return weight;
            }
            let delta = Tensor::<2>::from_data(TensorData::new(values, shape), &weight.device());
            let dims = weight.dims();
            let dtype = weight.dtype();
            weight + delta.cast(dtype).reshape(dims)
        })
    }
}
