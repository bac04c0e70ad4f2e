//! One file a method: how its config and its tensors lie in PEFT's files.

mod adalora;
mod delora;
mod gralora;
mod ia3;
mod lora;
mod low_rank;
mod lycoris;
mod oft;
mod p_tuning;
mod prefix;
mod prompt;
mod prompt_encoder;
mod prompt_tuning;
mod shira;
mod spectral;
mod token_rows;
mod vblora;
mod vera;

pub(super) use self::lora::factors;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use peft_core::{Adapter, AttachReport, PeftError, Placed};
use peft_model::{InputAdapter, Transformer, WithInput};
use serde_json::{Map, Value};

use super::AdapterFileError;
use super::layer_form::LayerForm;
use super::placement::LayerFields;
use super::tensors::{LayerTensors, NamedTensors, TensorsFile};
use crate::fields::{FieldError, Fields};

/// A method that adapts weights: `impl` it for the method's config.
pub(super) trait WeightMethod: Placed {
    /// What the method puts on a layer.
    type Adapter: Adapter;

    /// PEFT's name of the method, `peft_type`.
    const PEFT_TYPE: &'static str;

    /// What its tensors are called in a key, behind the layer's path: `lora_A` of
    /// `q_proj.lora_A.weight`. In the state of a whole model the adapter's name follows.
    const TENSORS: &'static [&'static str];

    /// Which fields on layers PEFT's config of the method has.
    const LAYER_FIELDS: LayerFields = LayerFields::ALL;

    /// The config that a file's fields say. [`read_placement`](super::placement::read_placement)
    /// reads what all methods have.
    fn read(fields: &Fields<'_>) -> Result<Self, FieldError>;

    /// Put what is the method's own into the fields of a file, which have PEFT's name of it and its
    /// placement; `adapted` are the adapters that are written.
    fn write(&self, fields: &mut Map<String, Value>, adapted: &[LayerAdapter<'_, Self::Adapter>]);

    /// The lists of layers that PEFT takes where a config of a base of this family, its
    /// `model_type`, has none: field by field. Most methods have LoRA's.
    fn default_targets(family: &str) -> DefaultTargets {
        lora_targets(family)
    }

    /// Leave out of the method's own settings what is for layers that a model has not; `layers` are
    /// the paths of all that can be adapted.
    fn keep_what_matches(&mut self, layers: &[String]) {
        let _ = layers;
    }

    /// A rank that the config asks for on one of these layers, and that no tensor of the file has:
    /// told by its field, before the layers are asked one by one.
    fn excessive_rank(&self, adapted: &[String], file: &TensorsFile) -> Option<ExcessiveRank> {
        let _ = (adapted, file);
        None
    }

    /// Attach fresh adapters.
    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError>;

    /// Attach adapters made of a file's tensors. A layer whose tensors are not there or do not fit
    /// is an error, and the next one is asked all the same.
    fn attach_from<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        file: &mut LayerTensors<'_>,
    ) -> Result<AttachReport, PeftError>;

    /// The tensors of one adapter in the file's layout, by what follows the layer's path in their
    /// keys; `on` is the layer that it is on.
    fn tensors(adapter: &Self::Adapter, on: &LayerForm) -> Vec<(&'static str, TensorData)>;

    /// The tensors that all adapters of a model share, a [`SharedMatrix`](peft_core::SharedMatrix)
    /// or [`SharedParam`](peft_core::SharedParam) each, of any one of them, by their names.
    fn shared_tensors(adapter: &Self::Adapter) -> Vec<(&'static str, TensorData)> {
        let _ = adapter;
        Vec::new()
    }
}

/// Fields with the lists of layers that PEFT has for them.
pub(super) type DefaultTargets = Vec<(&'static str, &'static [&'static str])>;

/// LoRA's.
fn lora_targets(family: &str) -> DefaultTargets {
    let targets: &'static [&'static str] = match family {
        "llama" | "mistral" | "qwen2" | "qwen3" | "gemma2" | "gemma3_text" => &["q_proj", "v_proj"],
        "gpt2" => &["c_attn"],
        "bert" | "roberta" | "xlm-roberta" => &["query", "value"],
        _ => return Vec::new(),
    };
    vec![("target_modules", targets)]
}

/// An adapter that is written, and the path of the layer that it is on.
pub(super) struct LayerAdapter<'a, A> {
    pub(super) path: &'a str,
    pub(super) adapter: &'a A,
}

/// A rank that no tensor of a file has.
pub(super) struct ExcessiveRank {
    pub(super) field: &'static str,
    pub(super) rank: usize,
    /// The largest that a tensor has.
    pub(super) largest: usize,
}

/// A method that adapts what a model reads: `impl` it for the method's config.
pub(super) trait InputMethod: Sized {
    /// What the method puts before a model.
    type Input: StoredInput;

    /// PEFT's name of the method, `peft_type`.
    const PEFT_TYPE: &'static str;

    /// The method's name.
    const NAME: &'static str;

    /// The config that a file's fields say.
    fn read(fields: &Fields<'_>) -> Result<Self, FieldError>;

    /// Put what is the method's own into the fields of a file.
    fn write(&self, fields: &mut Map<String, Value>);

    /// The modules, by suffix, that train whole.
    fn modules_to_save(&self) -> &[String];

    /// How many positions it takes from a text.
    fn n_virtual_tokens(&self) -> usize;

    /// Put a fresh one before a model.
    fn attach<M: Transformer>(
        &self,
        model: &mut WithInput<M, Self::Input>,
        name: &str,
    ) -> Result<AttachReport, PeftError>;

    /// Of what the vectors are trained through, as the file that `open` gives has it; none where
    /// the config has no such thing or there is no file.
    fn restore<M: Transformer>(
        &self,
        model: &M,
        open: impl FnOnce() -> Result<Option<TensorsFile>, AdapterFileError>,
        device: &Device,
    ) -> Result<Option<Self::Input>, AdapterFileError>;

    /// The config with the sizes of what is written, which may not be those that a caller says.
    fn sized_as(&self, input: &Self::Input, d_model: usize) -> Result<Self, AdapterFileError>;
}

/// What is put before a model, in files: the same for all methods that put the same there.
pub(super) trait StoredInput: InputAdapter {
    /// The file of ours that holds what the vectors are trained through; PEFT neither writes nor
    /// reads it.
    const ENCODER: &'static str;

    /// How wide the vectors are that act in this model.
    fn width<M: Transformer>(model: &M) -> usize;

    /// Of the vectors that act, alone.
    fn of_vectors<M: Transformer>(vectors: Tensor<2>, model: &M) -> Result<Self, PeftError>;

    /// The vectors that act, `[n_virtual_tokens, width]`.
    fn vectors(&self) -> Tensor<2>;

    /// What the vectors are trained through; none where they train themselves.
    fn encoder(&self) -> Option<NamedTensors>;

    /// Put it before a model, and let the modules `whole` train whole under `name`.
    fn place<M: Transformer>(
        self,
        model: &mut WithInput<M, Self>,
        name: &str,
        whole: &[String],
        method: &'static str,
    ) -> Result<AttachReport, PeftError>;

    /// Put the sizes of the model that PEFT wants into the fields of a file. `n_heads` is how many
    /// attention heads it has, where a caller knows it.
    fn write_sizes<M: Transformer>(
        &self,
        fields: &mut Map<String, Value>,
        model: &M,
        n_heads: Option<&Value>,
    );
}

/// How many positions a soft prompt or a prefix has.
fn virtual_tokens(fields: &Fields<'_>) -> Result<usize, FieldError> {
    if !matches!(fields.count_or("num_transformer_submodules", 1)?, 1) {
        return Err(fields.unsupported("num_transformer_submodules", "1"));
    }
    match fields.count_or("num_virtual_tokens", 0)? {
        0 => Err(fields.wrong("num_virtual_tokens", "a whole number above 0")),
        n => Ok(n),
    }
}

/// Put the fields of `own`, an object, into those of a file.
fn insert(fields: &mut Map<String, Value>, own: Value) {
    if let Value::Object(mut own) = own {
        fields.append(&mut own);
    }
}
