//! Prefix tuning in PEFT's files, and its projection as the state of PEFT's `PrefixEncoder`, which
//! PEFT trains and does not save.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{AttachReport, PeftError};
use peft_model::Transformer;
use peft_prefix::{Prefix, PrefixConfig, PrefixInit, PrefixProjection, PrefixShape, Prefixed};
use serde_json::{Map, Value, json};

use super::super::AdapterFileError;
use super::super::tensors::{NamedTensors, TensorsFile};
use super::{InputMethod, StoredInput, insert, virtual_tokens};
use crate::fields::{FieldError, Fields};
use crate::params::in_out;

/// The keys of what the projection reads, and of its two layers.
const EMBEDDING: &str = "embedding.weight";
const DOWN: &str = "transform.0";
const UP: &str = "transform.2";

impl InputMethod for PrefixConfig {
    type Input = Prefix;
    const PEFT_TYPE: &'static str = "PREFIX_TUNING";
    const NAME: &'static str = "prefix-tuning";

    /// What the prefix began as is not in the file.
    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let projection = match fields.flag("prefix_projection")? {
            false => None,
            true => match fields.count_or("encoder_hidden_size", 0)? {
                0 => return Err(fields.wrong("encoder_hidden_size", "a whole number above 0")),
                hidden => Some(hidden),
            },
        };
        Ok(Self {
            n_virtual_tokens: virtual_tokens(fields)?,
            projection,
            init: PrefixInit::Random,
            whole_modules: fields.strings("modules_to_save")?,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>) {
        let own = json!({
            "encoder_hidden_size": self.projection,
            "init_weights": null,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": self.n_virtual_tokens,
            "prefix_projection": self.projection.is_some(),
        });
        insert(fields, own);
    }

    fn modules_to_save(&self) -> &[String] {
        &self.whole_modules
    }

    fn n_virtual_tokens(&self) -> usize {
        self.n_virtual_tokens
    }

    fn attach<M: Transformer>(
        &self,
        model: &mut Prefixed<M>,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn restore<M: Transformer>(
        &self,
        model: &M,
        open: impl FnOnce() -> Result<Option<TensorsFile>, AdapterFileError>,
        device: &Device,
    ) -> Result<Option<Prefix>, AdapterFileError> {
        let Some(hidden) = self.projection else {
            return Ok(None);
        };
        let (n, shape) = (self.n_virtual_tokens, PrefixShape::of(model));
        let file = open()?;
        file.map(|file| restored(n, hidden, shape, file, device))
            .transpose()
    }

    fn sized_as(&self, _input: &Prefix, _d_model: usize) -> Result<Self, AdapterFileError> {
        Ok(self.clone())
    }
}

impl StoredInput for Prefix {
    const ENCODER: &'static str = "prefix_encoder.safetensors";

    fn width<M: Transformer>(model: &M) -> usize {
        PrefixShape::of(model).flat_width()
    }

    fn of_vectors<M: Transformer>(vectors: Tensor<2>, model: &M) -> Result<Self, PeftError> {
        Self::new(vectors, None, PrefixShape::of(model))
    }

    fn vectors(&self) -> Tensor<2> {
        self.flat()
    }

    fn encoder(&self) -> Option<NamedTensors> {
        state(self)
    }

    fn place<M: Transformer>(
        self,
        model: &mut Prefixed<M>,
        name: &str,
        whole: &[String],
        _method: &'static str,
    ) -> Result<AttachReport, PeftError> {
        self.attach(model, name, whole)
    }

    /// PEFT's sizes are those of the keys where queries share them.
    fn write_sizes<M: Transformer>(
        &self,
        fields: &mut Map<String, Value>,
        _model: &M,
        _n_heads: Option<&Value>,
    ) {
        let shape = self.shape();
        let own = json!({
            "num_layers": shape.n_layers,
            "token_dim": shape.width(),
            "num_attention_heads": shape.n_kv_heads,
        });
        insert(fields, own);
    }
}

/// The tensors of a projection, and of what goes into it.
fn state(prefix: &Prefix) -> Option<NamedTensors> {
    let projection = prefix.projection.as_ref()?;
    let embedding = prefix.embedding.val().into_data();
    let mut tensors = vec![(EMBEDDING.to_owned(), embedding)];
    for (name, layer) in [(DOWN, &projection.down), (UP, &projection.up)] {
        let weight = layer.weight.val().transpose().into_data();
        tensors.push((format!("{name}.weight"), weight));
        if let Some(bias) = &layer.bias {
            tensors.push((format!("{name}.bias"), bias.val().into_data()));
        }
    }
    Some(tensors)
}

/// A prefix from such tensors, all of which must be there, of these shapes, and no others.
fn restored(
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
