//! Soft prompts in files, whatever they are trained through.

use burn::tensor::Tensor;
use peft_core::{AttachReport, PeftError};
use peft_model::Transformer;
use peft_ptuning::{Prompted, SoftPrompt};
use serde_json::{Map, Value, json};

use super::super::tensors::NamedTensors;
use super::prompt_encoder::state;
use super::{StoredInput, insert};

impl StoredInput for SoftPrompt {
    const ENCODER: &'static str = "prompt_encoder.safetensors";

    fn width<M: Transformer>(model: &M) -> usize {
        model.d_model()
    }

    fn of_vectors<M: Transformer>(vectors: Tensor<2>, _model: &M) -> Result<Self, PeftError> {
        Ok(Self::new(vectors))
    }

    fn vectors(&self) -> Tensor<2> {
        Self::vectors(self)
    }

    fn encoder(&self) -> Option<NamedTensors> {
        state(self)
    }

    fn place<M: Transformer>(
        self,
        model: &mut Prompted<M>,
        name: &str,
        whole: &[String],
        method: &'static str,
    ) -> Result<AttachReport, PeftError> {
        let limit = model.model.max_positions();
        self.attach(model, name, whole, method, limit)
    }

    /// PEFT fills in a size that is null from the model's config; the number of heads is told by
    /// the width of all where they are as many as the keys', and else by whoever knows the config.
    fn write_sizes<M: Transformer>(
        &self,
        fields: &mut Map<String, Value>,
        model: &M,
        n_heads: Option<&Value>,
    ) {
        let (n_kv_heads, head_dim) = model.kv_shape();
        let as_keys = (n_kv_heads * head_dim == model.d_model()).then_some(n_kv_heads);
        let own = json!({
            "num_layers": model.n_blocks(),
            "token_dim": model.d_model(),
            "num_attention_heads": n_heads.cloned().unwrap_or_else(|| json!(as_keys)),
        });
        insert(fields, own);
    }
}
