//! Directions of the gradient of the weight. *LoRA-GA: Low-Rank Adaptation with Gradient
//! Approximation*, Wang et al. 2024, [arXiv:2407.05000](https://arxiv.org/abs/2407.05000).

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use nalgebra::DMatrix;
use peft_core::{
    Adapter, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind, PeftError, slots,
};

use super::{StartFromRows, probe};
use crate::low_rank::leading;
use crate::{LoraConfig, LoraInit};

/// `γ` of the length that `B` begins with.
const STABLE_GAMMA: f64 = 16.0;
/// The name of the probes in the copy of the model that is looked at.
const PROBE: &str = "gradients";

impl StartFromRows {
    /// Factors of the gradient of each weight, so that the first step of `s A B` goes where that of
    /// the whole weight would ([`LoraInit::LoraGa`]). With `G = Σ σᵢ vᵢ uᵢᵀ` of the gradient
    /// `[d_in, d_out]`, from the largest `σ` on,
    ///
    /// ```text
    /// A = [v₁ … v_r]          B = d_out^¼ / √γ · [σ_{r+1} u_{r+1} … σ_{2r} u_{2r}]ᵀ,   γ = 16
    /// ```
    ///
    /// which is PEFT's default of `direction` and `scale`. Of each direction the largest element
    /// is positive in `vᵢ`: a decomposition leaves it open, and `A` and `B` have different ones.
    ///
    /// `loss` is that of one batch of rows, whose number it is told, by the model that it is given,
    /// which is one with gradients; the gradients of all batches have the same weight. A layer
    /// without a gradient begins as LoRA does. All gradients are in memory at once, in f32, as
    /// large as the weights that are adapted, and so is a matrix of zeros of each.
    ///
    /// # Errors
    ///
    /// A [`PeftError`]: those of `config`'s layers; [`PeftError::InvalidSetting`] where twice the
    /// rank is more than the smaller side of a layer, or no batch is given;
    /// [`PeftError::NonFinite`].
    pub fn lora_ga<M: Module>(
        config: &LoraConfig,
        model: &M,
        batches: usize,
        mut loss: impl FnMut(&M, usize) -> Tensor<1>,
    ) -> Result<Self, PeftError> {
        if batches == 0 {
            return Err(PeftError::InvalidSetting {
                field: "the number of batches".into(),
                value: "0".into(),
                expected: "at least 1",
            });
        }
        let config = config.clone().with_init(LoraInit::LoraGa);
        let (probed, layers) =
            probe::probed(&config, model, PROBE, |_, layer| GradientProbe::of(layer))?;
        let sizes = config.sizes_of(&layers)?;
        let mut linear = (layers.iter().zip(&sizes)).filter(|(of, _)| of.kind == LayerKind::Linear);
        let small = linear.find(|(of, (rank, _))| 2 * rank > of.shape[0].min(of.shape[1]));
        if let Some((layer, (rank, _))) = small {
            return Err(PeftError::InvalidSetting {
                field: format!("rank of `{}`", layer.path),
                value: rank.to_string(),
                expected: "at most half of the smaller side of the layer, of whose gradient it takes twice as many directions",
            });
        }
        let mut sums: BTreeMap<String, Tensor<2>> = BTreeMap::new();
        for batch in 0..batches {
            let grads = loss(&probed, batch).backward();
            for (path, slot) in slots(&probed) {
                let probe = slot.get::<GradientProbe>(PROBE);
                let change = probe.and_then(|probe| probe.change.as_ref());
                if let Some(grad) = change.and_then(|change| change.val().grad(&grads)) {
                    let sum = match sums.remove(&path) {
                        Some(sum) => sum + grad,
                        None => grad,
                    };
                    sums.insert(path, sum);
                }
            }
        }
        let mut factors = BTreeMap::new();
        for (layer, (rank, _)) in layers.iter().zip(sizes) {
            if layer.kind == LayerKind::Embedding {
                continue;
            }
            let gradient = sums.remove(&layer.weight_path());
            let mean = gradient.map(|sum| sum.div_scalar(batches as f64));
            let found = match mean {
                Some(mean) => directions(mean, rank).ok_or_else(|| PeftError::NonFinite {
                    path: format!("the gradient of {}", layer.weight_path()),
                })?,
                None => None,
            };
            let found = match found {
                Some([a, b]) => [a, b].map(|(values, shape)| {
                    let data = TensorData::new(values, shape);
                    Tensor::from_data(data, (&layer.device, DType::F32))
                }),
                None => LoraInit::KaimingUniform.factors(layer, rank, 1.0)?,
            };
            factors.insert(layer.path.clone(), found);
        }
        Ok(Self {
            config,
            factors,
            settled: true,
        })
    }
}

type Values = (Vec<f32>, [usize; 2]);

/// `A` and `B` of a gradient: none where it is zero, nothing at all where it is not finite.
fn directions(gradient: Tensor<2>, rank: usize) -> Option<Option<[Values; 2]>> {
    let [d_in, d_out] = gradient.dims();
    let values: Vec<f64> = gradient.into_data().iter::<f64>().collect();
    if values.iter().any(|x| !x.is_finite()) {
        return None;
    }
    if values.iter().all(|x| *x == 0.0) {
        return Some(None);
    }
    let matrix = DMatrix::from_row_iterator(d_in, d_out, values);
    let (mut v, s, mut u) = leading(&matrix, 2 * rank)?;
    for k in 0..2 * rank {
        let largest = v.column(k).iamax();
        if v[(largest, k)] < 0.0 {
            v.column_mut(k).neg_mut();
            u.column_mut(k).neg_mut();
        }
    }
    let length = (d_out as f64).powf(0.25) / STABLE_GAMMA.sqrt();
    let mut a = Vec::with_capacity(d_in * rank);
    for i in 0..d_in {
        a.extend((0..rank).map(|k| v[(i, k)] as f32));
    }
    let mut b = Vec::with_capacity(rank * d_out);
    for (of_u, s) in u.column_iter().zip(&s).skip(rank).take(rank) {
        b.extend(of_u.iter().map(|x| (x * s * length) as f32));
    }
    Some(Some([(a, [d_in, rank]), (b, [rank, d_out])]))
}

/// Stands on a layer the gradient of whose weight is sought: that of a change, which is zero.
#[derive(Module, Debug)]
struct GradientProbe {
    /// `[d_in, d_out]` on a linear layer.
    change: Option<Param<Tensor<2>>>,
}

impl GradientProbe {
    fn of(layer: &Layer) -> Self {
        let zeros = || Tensor::zeros(layer.shape, (&layer.device, DType::F32));
        let linear = layer.kind == LayerKind::Linear;
        Self {
            change: linear.then(|| Param::from_tensor(zeros())),
        }
    }
}

impl Adapter for GradientProbe {
    const NAME: &'static str = "gradient-probe";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let Some(change) = &self.change else {
            return base.dense();
        };
        base.dense_in(DType::F32) + change.val().reshape(base.dims())
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let Some(change) = &self.change else {
            return y;
        };
        let dtype = y.dtype();
        y + peft_kernels::linear(x.into_rows().cast(DType::F32), change.val(), None).cast(dtype)
    }
}
