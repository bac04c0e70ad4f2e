//! Checkpoints that bitsandbytes has quantised: each weight of few bits lies in several tensors,
//! which are one here.

mod config;
mod place;
mod state;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::DType;
use peft_safetensors::{Dtype, TensorPlace};

pub(crate) use self::config::take_quantised;
pub(crate) use self::place::BnbPlace;
use self::place::{Nested, Parts};
use self::state::State;
use crate::CheckpointError;
use crate::tensor_file::Place;

/// What the keys of a weight's scales end in.
const SCALES: &str = ".absmax";
/// What the key of its settings ends in, before the type.
const STATE: &str = ".quant_state.bitsandbytes__";
/// What an eight-bit layer's scales are called.
const SCB: &str = "SCB";

/// The tensors of a directory, with those of each quantised weight as one.
///
/// # Errors
///
/// A [`CheckpointError`] that names a weight whose parts are not all there, or are of a kind that
/// is not read.
pub(crate) fn joined(
    dir: &Path,
    mut tensors: BTreeMap<String, TensorPlace>,
) -> Result<BTreeMap<String, Place>, CheckpointError> {
    let keys: Vec<String> = tensors.keys().cloned().collect();
    let mut out = BTreeMap::new();
    for key in keys {
        let place = match key.strip_suffix(SCALES) {
            Some(weight) if tensors.contains_key(weight) => four(dir, weight, &mut tensors)?,
            _ => match key.strip_suffix(SCB) {
                Some(layer) if tensors.contains_key(&format!("{layer}weight")) => {
                    eight(dir, layer, &mut tensors)?
                }
                _ => continue,
            },
        };
        out.insert(place.key().to_owned(), Place::Bnb(Box::new(place)));
    }
    let rest = tensors.into_iter();
    out.extend(rest.map(|(key, place)| (key, Place::Safetensors(place))));
    Ok(out)
}

fn wrong(dir: &Path, weight: &str, reason: impl Into<String>) -> CheckpointError {
    CheckpointError::Bitsandbytes {
        dir: dir.into(),
        key: weight.into(),
        reason: reason.into(),
    }
}

/// A weight of four bits.
fn four(
    dir: &Path,
    weight: &str,
    tensors: &mut BTreeMap<String, TensorPlace>,
) -> Result<BnbPlace, CheckpointError> {
    let wrong = |reason: String| wrong(dir, weight, reason);
    let begins = format!("{weight}.");
    let mut parts: BTreeMap<String, TensorPlace> = BTreeMap::new();
    let names: Vec<String> = tensors
        .keys()
        .filter(|key| key.starts_with(&begins))
        .cloned()
        .collect();
    for name in names {
        if let Some(place) = tensors.remove(&name) {
            parts.insert(name[weight.len()..].to_owned(), place);
        }
    }
    let codes = tensors.remove(weight);
    let codes = codes.ok_or_else(|| wrong("it is not there".into()))?;
    let found = parts.iter().find(|(name, _)| name.starts_with(STATE));
    let (name, settings) = found.ok_or_else(|| wrong(format!("it has no `{STATE}nf4`")))?;
    if &name[STATE.len()..] != "nf4" {
        let kind = &name[STATE.len()..];
        return Err(wrong(format!(
            "it is of type {kind}, and nf4 alone is read"
        )));
    }
    let state = State::read(settings).map_err(wrong)?;
    let part = |name: &str, dtype: Dtype| match parts.get(name) {
        Some(place) if place.dtype() == dtype => Ok(place.clone()),
        Some(place) => Err(wrong(format!(
            "`{name}` is {:?}, expected {dtype:?}",
            place.dtype()
        ))),
        None => Err(wrong(format!("it has no `{name}`"))),
    };
    if codes.dtype() != Dtype::U8 {
        return Err(wrong(format!("it is {:?}, expected U8", codes.dtype())));
    }
    let table = part(".quant_map", Dtype::F32)?;
    let table = place::floats(&table)?;
    if table != peft_kernels::NF4_CODES {
        return Err(wrong(
            "its codes stand for other values than those of nf4".into(),
        ));
    }
    let (scales, nested) = match state.mean {
        None => (part(SCALES, Dtype::F32)?, None),
        Some(mean) => {
            let nested = Nested {
                scales: part(".nested_absmax", Dtype::F32)?,
                table: part(".nested_quant_map", Dtype::F32)?,
                mean,
            };
            (part(SCALES, Dtype::U8)?, Some(nested))
        }
    };
    Ok(BnbPlace {
        shape: state.shape,
        dtype: state.dtype,
        parts: Parts::Four {
            codes,
            scales,
            nested,
        },
    })
}

/// A weight of eight bits.
fn eight(
    dir: &Path,
    layer: &str,
    tensors: &mut BTreeMap<String, TensorPlace>,
) -> Result<BnbPlace, CheckpointError> {
    let weight = format!("{layer}weight");
    tensors.remove(&format!("{layer}weight_format"));
    let (codes, scales) = (
        tensors.remove(&weight),
        tensors.remove(&format!("{layer}{SCB}")),
    );
    let (Some(codes), Some(scales)) = (codes, scales) else {
        return Err(wrong(dir, &weight, "it is not there"));
    };
    let kinds = (codes.dtype(), scales.dtype());
    if kinds != (Dtype::I8, Dtype::F32) || codes.shape().len() != 2 {
        let found = format!("it is {:?} with scales in {:?}", kinds.0, kinds.1);
        return Err(wrong(dir, &weight, format!("{found}, expected I8 and F32")));
    }
    Ok(BnbPlace {
        shape: codes.shape().to_vec(),
        dtype: DType::F32,
        parts: Parts::Eight { codes, scales },
    })
}
