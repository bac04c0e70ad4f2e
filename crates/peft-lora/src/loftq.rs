//! [`LoraConfig::attach_to_packed`]: factors that begin with what packing has left out, `s A B ≈
//! W − Q(W)`. *LoftQ: LoRA-Fine-Tuning-Aware Quantization for Large Language Models*, Li et al.
//! 2023, [arXiv:2310.08659](https://arxiv.org/abs/2310.08659).

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use peft_core::{AttachReport, Layer, PeftError};

use crate::{Lora, LoraConfig, LowRank, Size};

impl LoraConfig {
    /// As [`attach`](Self::attach) to a model whose layers are packed in few bits: the factors
    /// begin as the nearest to what packing has left out of the weights, which `dense` gives by
    /// layer, `[d_in, d_out]`. See [`LoraInit::Loftq`](crate::LoraInit::Loftq).
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched: those of `dense`,
    /// [`PeftError::InvalidSetting`] for a layer that is not packed, [`PeftError::NonFinite`].
    pub fn attach_to_packed<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut dense: impl FnMut(&Layer) -> Result<Tensor<2>, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, rank, scale| {
            let base = layer.frozen_weight().without_autodiff();
            if base.packed().is_none() {
                return Err(PeftError::InvalidSetting {
                    field: format!("init of `{}`", layer.path),
                    value: "LoftQ".into(),
                    expected: "another one on a layer that is not packed: it begins with what four or eight bits leave out of a weight",
                });
            }
            let left = dense(layer)?.cast(DType::F32) - base.dense_in(DType::F32);
            let found = LowRank::of(left, Size::Rank(rank));
            let found = found.ok_or_else(|| PeftError::NonFinite {
                path: layer.weight_path(),
            })?;
            let on = |factor: Tensor<2>| {
                Tensor::from_data(factor.into_data(), (&layer.device, DType::F32))
            };
            // A layer that is smaller than the rank has fewer.
            let missing = rank - found.singular_values.len();
            let [d_in, d_out] = layer.shape;
            let zeros = |shape: [usize; 2]| Tensor::zeros(shape, (&layer.device, DType::F32));
            let a = Tensor::cat(vec![on(found.a), zeros([d_in, missing])], 1);
            let b = Tensor::cat(vec![on(found.b), zeros([missing, d_out])], 0);
            let lora = Lora::new(a, b.div_scalar(scale), scale, self.dropout);
            self.dressed(lora, layer)
        })
    }
}
