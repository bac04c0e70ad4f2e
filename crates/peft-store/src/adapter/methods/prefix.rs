//! Prefix tuning in PEFT's files, and its projection as the state of PEFT's `PrefixEncoder`, which PEFT trains and does not save.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_prefix::{Prefix, PrefixConfig, PrefixInit, PrefixProjection, PrefixShape};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::super::fields::Fields;
use super::super::save::Named;
use super::super::tensors::read_shaped;
use super::super::{AdapterFileError, TensorProblem};
use super::virtual_tokens;
use crate::params::in_out;

/// The keys of what the projection reads, and of its two layers.
const EMBEDDING: &str = "embedding.weight";
const DOWN: &str = "transform.0";
const UP: &str = "transform.2";

/// The config that a file's fields give. What the prefix began as is not in the file.
pub(in super::super) fn from_fields(fields: &Fields<'_>) -> Result<PrefixConfig, AdapterFileError> {
    let projection = match fields.bool("prefix_projection")? {
        false => None,
        true => match fields.count("encoder_hidden_size", 0)? {
            0 => return Err(fields.wrong("encoder_hidden_size", "a whole number above 0")),
            hidden => Some(hidden),
        },
    };
    Ok(PrefixConfig {
        n_virtual_tokens: virtual_tokens(fields)?,
        projection,
        init: PrefixInit::Random,
        modules_to_save: fields.strings("modules_to_save")?,
    })
}

/// The fields of prefix tuning.
pub(in super::super) fn to_fields(config: &PrefixConfig) -> Value {
    json!({
        "peft_type": "PREFIX_TUNING",
        "encoder_hidden_size": config.projection,
        "init_weights": null,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": config.n_virtual_tokens,
        "prefix_projection": config.projection.is_some(),
    })
}

/// The tensors of a projection with their shapes, and of what goes into it.
pub(in super::super) fn state(prefix: &Prefix) -> Option<Named> {
    let projection = prefix.projection.as_ref()?;
    let mut tensors = Named::new();
    let mut put = |key: String, shape: Vec<usize>, data| tensors.push((key, shape, data));
    let embedding = prefix.embedding.val();
    put(
        EMBEDDING.into(),
        embedding.dims().to_vec(),
        embedding.into_data(),
    );
    for (name, layer) in [(DOWN, &projection.down), (UP, &projection.up)] {
        let weight = layer.weight.val().transpose();
        put(
            format!("{name}.weight"),
            weight.dims().to_vec(),
            weight.into_data(),
        );
        if let Some(bias) = &layer.bias {
            let bias = bias.val();
            put(
                format!("{name}.bias"),
                bias.dims().to_vec(),
                bias.into_data(),
            );
        }
    }
    Some(tensors)
}

/// A prefix from such tensors, all of which must be there, of these shapes, and no others.
pub(in super::super) fn restored(
    n_virtual_tokens: usize,
    hidden: usize,
    shape: PrefixShape,
    tensors: &SafeTensors<'_>,
    device: &Device,
) -> Result<Prefix, Vec<TensorProblem>> {
    let mut problems = Vec::new();
    let mut known: Vec<String> = Vec::new();
    let mut read = |key: String, shape: &[usize]| {
        let data = read_shaped(&key, shape, tensors);
        known.push(key);
        data.map_err(|problem| problems.push(problem)).ok()
    };
    let embedding = read(EMBEDDING.into(), &[n_virtual_tokens, shape.width()]);
    let mut layer = |name: &str, d_in: usize, d_out: usize| {
        let weight = read(format!("{name}.weight"), &[d_out, d_in]);
        let bias = read(format!("{name}.bias"), &[d_out]);
        Some(linear(weight?, bias?, device))
    };
    let down = layer(DOWN, shape.width(), hidden);
    let up = layer(UP, hidden, shape.flat_width());
    for key in tensors
        .names()
        .into_iter()
        .filter(|key| !known.iter().any(|k| k == key))
    {
        problems.push(TensorProblem::Unexpected { key: key.into() });
    }
    match (embedding, down, up) {
        (Some(embedding), Some(down), Some(up)) if problems.is_empty() => {
            let embedding = Tensor::from_data(embedding, (device, DType::F32));
            let projection = Some(PrefixProjection { down, up });
            Prefix::new(embedding, projection, shape).map_err(|_| problems)
        }
        _ => Err(problems),
    }
}

fn linear(weight: TensorData, bias: TensorData, device: &Device) -> Linear {
    let to = (device, DType::F32);
    Linear {
        weight: Param::from_tensor(in_out(weight, to)),
        bias: Some(Param::from_tensor(Tensor::from_data(bias, to))),
    }
}
