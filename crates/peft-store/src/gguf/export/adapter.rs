//! [`write_gguf_adapter`]: a LoRA adapter as llama.cpp's `--lora` reads it.

use std::path::Path;

use burn::module::Module;
use peft_core::slots;
use peft_gguf::{Metadata, write};
use peft_lora::Lora;
use peft_models::LanguageModelConfig;
use serde_json::{Map, Value};

use super::config;
use super::weights::{Tensor, pairs};
use crate::CheckpointError;
use crate::gguf::Layout;
use crate::gguf::names::Names;

/// Write the LoRA adapter `name` of a model to a GGUF file, in f32; `fields` are those of the
/// base's `config.json`, and `alpha` the file's.
///
/// llama.cpp multiplies an adapter by `alpha / rank`. What a layer's own scale is of that, as with
/// a pattern or a rank that is stabilised, is multiplied into its `lora_b`.
///
/// # Errors
///
/// [`CheckpointError::NotGguf`] for adapters of other methods or on what is no linear layer of the
/// architecture; [`CheckpointError::Io`].
pub fn write_gguf_adapter<M: Module>(
    model: &M,
    base: (&LanguageModelConfig, &Map<String, Value>),
    (name, alpha): (&str, f64),
    path: &Path,
) -> Result<(), CheckpointError> {
    let not = |what: String| CheckpointError::NotGguf { what };
    let architecture = config::architecture(base.1)?;
    let (heads, kv_heads) = config::heads(base.0);
    let names = Names::of(architecture);
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", architecture);
    metadata.insert("general.type", "adapter");
    metadata.insert("adapter.type", "lora");
    metadata.insert("adapter.lora.alpha", alpha as f32);
    let mut tensors = Vec::new();
    for (at, slot) in slots(model) {
        if !slot.contains(name) {
            continue;
        }
        let lora = slot.get::<Lora>(name);
        let lora = lora.ok_or_else(|| not(format!("an adapter of another method on `{at}`")))?;
        let theirs = names.name(&at).filter(|name| {
            let outside = ["token_embd.weight", "output.weight"].contains(&name.as_str());
            name.ends_with(".weight") && !outside
        });
        let theirs = theirs.ok_or_else(|| not(format!("an adapter on `{at}`")))?;
        let values = |tensor: burn::tensor::Tensor<2>| -> Vec<f32> {
            tensor.transpose().into_data().iter::<f32>().collect()
        };
        let rank = lora.rank();
        let [d_in, d_out] = [lora.lora_a.val().dims()[0], lora.lora_b.val().dims()[1]];
        let own = lora.scale() * rank as f64 / alpha;
        if !own.is_finite() {
            return Err(not(format!("a scale of {} on `{at}`", lora.scale())));
        }
        let a = values(lora.lora_a.val());
        let b: Vec<f32> = values(lora.lora_b.val())
            .into_iter()
            .map(|x| (f64::from(x) * own) as f32)
            .collect();
        let b = match Layout::of(architecture, &theirs, heads, kv_heads) {
            Layout::Pairs { heads } => {
                let bytes: Vec<u8> = b.iter().flat_map(|x| x.to_le_bytes()).collect();
                let bytes = pairs(&bytes, heads, &[d_out, rank]);
                let values = bytes.chunks_exact(4);
                values
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect()
            }
            Layout::Same | Layout::FromOne | Layout::Transposed => b,
        };
        tensors.push((
            format!("{theirs}.lora_a"),
            Tensor::matrix(vec![rank, d_in], a),
        ));
        tensors.push((
            format!("{theirs}.lora_b"),
            Tensor::matrix(vec![d_out, rank], b),
        ));
    }
    if tensors.is_empty() {
        return Err(not(format!("nothing: no layer has an adapter `{name}`")));
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    write(path, &metadata, tensors).map_err(|source| CheckpointError::Io {
        action: "write",
        path: path.into(),
        source,
    })
}
