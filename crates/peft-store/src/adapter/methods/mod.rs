//! One file a method: its fields in `adapter_config.json`, its tensors in `adapter_model.safetensors`.

#[cfg(feature = "ia3")]
pub(super) mod ia3;
#[cfg(feature = "lora")]
pub(super) mod lora;
#[cfg(feature = "prefix")]
pub(super) mod prefix;
#[cfg(feature = "ptuning")]
pub(super) mod ptuning;

use burn::tensor::{Device, TensorData};
use peft_core::{AdapterSlot, LayerKind};

#[cfg(feature = "inputs")]
use super::{AdapterFileError, fields::Fields};

/// A tensor of an adapter: where it is in a file, and how it is read from a slot and put into it. Data and shape are in the file's layout, torch's.
pub(super) struct Part {
    /// What follows the module's path in the key.
    pub(super) suffix: String,
    pub(super) shape: Vec<usize>,
    pub(super) read: fn(&AdapterSlot, &str) -> Option<TensorData>,
    pub(super) write: fn(&mut AdapterSlot, &str, TensorData, &Device),
}

/// The tensors of adapter `name` in `slot`, on a layer of this kind; none where no method here has it.
pub(super) fn parts(
    #[cfg_attr(not(any(feature = "lora", feature = "ia3")), allow(unused_variables))]
    slot: &AdapterSlot,
    #[cfg_attr(not(any(feature = "lora", feature = "ia3")), allow(unused_variables))] name: &str,
    #[cfg_attr(not(feature = "lora"), allow(unused_variables))] kind: Option<LayerKind>,
) -> Option<Vec<Part>> {
    #[cfg(feature = "lora")]
    if let Some(parts) = lora::parts(slot, name, kind) {
        return Some(parts);
    }
    #[cfg(feature = "ia3")]
    if let Some(parts) = ia3::parts(slot, name) {
        return Some(parts);
    }
    None
}

/// How many positions a soft prompt or a prefix has.
#[cfg(feature = "inputs")]
fn virtual_tokens(fields: &Fields<'_>) -> Result<usize, AdapterFileError> {
    if !matches!(fields.count("num_transformer_submodules", 1)?, 1) {
        return Err(fields.unsupported("num_transformer_submodules", "1"));
    }
    match fields.count("num_virtual_tokens", 0)? {
        0 => Err(fields.wrong("num_virtual_tokens", "a whole number above 0")),
        n => Ok(n),
    }
}
