//! Prefix tuning in PEFT's files, and its projection as the state of PEFT's `PrefixEncoder`, which PEFT trains and does not save.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_prefix::{Prefix, PrefixConfig, PrefixInit, PrefixProjection, PrefixShape};
use serde_json::{Value, json};

use super::super::AdapterFileError;
use super::super::fields::Fields;
use super::super::save::Named;
use super::super::tensors::TensorsFile;
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
    mut file: TensorsFile,
    device: &Device,
) -> Result<Prefix, AdapterFileError> {
    let (width, flat) = (shape.width(), shape.flat_width());
    let inputs = [n_virtual_tokens, width];
    let layers = [(DOWN, width, hidden), (UP, hidden, flat)];
    let mut wanted = vec![(EMBEDDING.to_owned(), inputs.to_vec())];
    for (name, d_in, d_out) in layers {
        wanted.push((format!("{name}.weight"), vec![d_out, d_in]));
        wanted.push((format!("{name}.bias"), vec![d_out]));
    }
    file.expect(&wanted)?;
    let mut made = Vec::new();
    for (name, d_in, d_out) in layers {
        let weight = file.take(&format!("{name}.weight"), &[d_out, d_in])?;
        let bias = file.take(&format!("{name}.bias"), &[d_out])?;
        made.extend(
            weight
                .zip(bias)
                .map(|(weight, bias)| linear(weight, bias, device)),
        );
    }
    let inputs = file.take(EMBEDDING, &inputs)?;
    let inputs = file.last(inputs)?;
    let projection = match <[Linear; 2]>::try_from(made) {
        Ok([down, up]) => Some(PrefixProjection { down, up }),
        Err(_) => None,
    };
    let inputs = Tensor::from_data(inputs, (device, DType::F32));
    Ok(Prefix::new(inputs, projection, shape)?)
}

fn linear(weight: TensorData, bias: TensorData, device: &Device) -> Linear {
    let to = (device, DType::F32);
    Linear {
        weight: Param::from_tensor(in_out(weight, to)),
        bias: Some(Param::from_tensor(Tensor::from_data(bias, to))),
    }
}
