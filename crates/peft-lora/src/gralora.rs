//! [`Gralora`]: a low-rank product for each of `k · k` blocks of the weight.
//!
//! Block `(n, m)` is `s A[n, ·, m-th part of the rank] B[m, n-th part, ·]`: as many values as LoRA
//! of the same rank, and `k` times its rank. *GraLoRA: Granular Low-Rank Adaptation for
//! Parameter-Efficient Fine-Tuning*, Jung et al. 2025,
//! [arXiv:2505.20355](https://arxiv.org/abs/2505.20355).

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, Targets, attach_each, dropped_input,
};
use serde::{Deserialize, Serialize};

/// GraLoRA on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraloraConfig {
    /// The rank `r` of the blocks together, a multiple of `blocks`.
    pub rank: usize,
    /// `α`, finite; the scale is `α / (r + hybrid_rank)`.
    pub alpha: f64,
    /// How many blocks `k` there are along each side; they divide both sides of each layer.
    /// Default: 2.
    pub blocks: usize,
    /// The rank of a LoRA of the whole weight beside them; none if 0, which is the default.
    pub hybrid_rank: usize,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for GraloraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

/// What an adapter is made of: `A`, `[k, d_in / k, rank]`, `B`, `[k, rank, d_out / k]`, and of the
/// LoRA beside them `A`, `[d_in, hybrid_rank]`, and `B`, `[hybrid_rank, d_out]`.
pub type GraloraParts = ([Tensor<3>; 2], Option<[Tensor<2>; 2]>);

impl GraloraConfig {
    /// Of this rank and alpha on every linear layer.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            rank,
            alpha,
            blocks: 2,
            hybrid_rank: 0,
            dropout: 0.0,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// How many blocks there are along each side.
    pub fn with_blocks(mut self, blocks: usize) -> Self {
        self.blocks = blocks;
        self
    }

    /// The rank of a LoRA beside them.
    pub fn with_hybrid_rank(mut self, rank: usize) -> Self {
        self.hybrid_rank = rank;
        self
    }

    /// Dropout on the adapter's input; needs [`ForwardPath::Factored`](crate::ForwardPath).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        let rank = self.rank.saturating_add(self.hybrid_rank);
        let values = rank.saturating_mul(d_in.saturating_add(d_out));
        let hidden = self.rank.saturating_mul(self.blocks);
        AdapterCost {
            parameters: values,
            products: values,
            fixed: 0,
            kept: hidden.saturating_add(self.hybrid_rank),
            keeps_input: true,
            formed: 0,
            forming: 0,
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer| {
            let ([d_in, d_out], k, rank) = (layer.shape, self.blocks, self.rank);
            let a = (0..k).map(|_| layer.kaiming([d_in / k, rank])).collect();
            let beside = (self.hybrid_rank > 0).then(|| {
                let rank = self.hybrid_rank;
                [layer.kaiming([d_in, rank]), layer.zeros([rank, d_out])]
            });
            Ok((
                [Tensor::stack(a, 0), layer.zeros([k, rank, d_out / k])],
                beside,
            ))
        })
    }

    /// As [`attach`](Self::attach), with the parts that `build` gives for a layer: of a file, for
    /// instance. It is asked for every layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer) -> Result<GraloraParts, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let wrong = |field: String, value: String, expected| PeftError::InvalidSetting {
            field,
            value,
            expected,
        };
        if !(0.0..1.0).contains(&self.dropout) {
            let dropout = self.dropout.to_string();
            return Err(wrong("dropout".into(), dropout, "at least 0 and below 1"));
        }
        if !(self.alpha as f32).is_finite() {
            let alpha = format!("{:e}", self.alpha);
            return Err(wrong("alpha".into(), alpha, "finite in f32"));
        }
        let k = self.blocks;
        if k == 0 || !self.rank.is_multiple_of(k) {
            let field = format!("rank of a GraLoRA of {k} blocks along each side");
            return Err(wrong(
                field,
                self.rank.to_string(),
                "a multiple of at least one",
            ));
        }
        let linear = [LayerKind::Linear];
        attach_each(model, name, &self.placement, &linear, |layer| {
            layer.check_rank(self.rank)?;
            if self.hybrid_rank > 0 {
                layer.check_rank(self.hybrid_rank)?;
            }
            if !layer.shape.into_iter().all(|side| side.is_multiple_of(k)) {
                let field = format!("blocks of `{}`, which is {:?},", layer.path, layer.shape);
                return Err(wrong(field, k.to_string(), "a divisor of both sides"));
            }
            let ([a, b], beside) = build(layer)?;
            let (general_a, general_b) = beside.map(|[a, b]| (a, b)).unzip();
            Ok(Gralora {
                a: Param::from_tensor(a),
                b: Param::from_tensor(b),
                general_a: general_a.map(Param::from_tensor),
                general_b: general_b.map(Param::from_tensor),
                scale: self.alpha / (self.rank + self.hybrid_rank) as f64,
                dropout: DropoutConfig::new(self.dropout).init(),
            })
        })
    }
}

/// Low-rank products of blocks beside a frozen weight.
#[derive(Module, Debug)]
pub struct Gralora {
    /// `A`, `[k, d_in / k, rank]`.
    pub a: Param<Tensor<3>>,
    /// `B`, `[k, rank, d_out / k]`; zero at first.
    pub b: Param<Tensor<3>>,
    /// `A` of the LoRA beside them, `[d_in, hybrid_rank]`.
    pub general_a: Option<Param<Tensor<2>>>,
    /// Its `B`, `[hybrid_rank, d_out]`; zero at first.
    pub general_b: Option<Param<Tensor<2>>>,
    scale: f64,
    dropout: Dropout,
}

impl Gralora {
    /// The blocks, `[d_in, d_out]`.
    fn blocks(&self) -> Tensor<2> {
        let (a, b) = (self.a.val(), self.b.val());
        let ([k, inputs, rank], [_, _, outputs]) = (a.dims(), b.dims());
        let part = rank / k;
        let a = a.reshape([k, inputs, k, part]).permute([0, 2, 1, 3]);
        let b = b.reshape([k, k, part, outputs]).permute([1, 0, 2, 3]);
        let blocks = a.matmul(b).permute([0, 2, 1, 3]); // [n, inputs, m, outputs]
        blocks.reshape([k * inputs, k * outputs])
    }

    /// The rows through the blocks, `[rows, d_out]`.
    fn through_blocks(&self, x: Tensor<2>) -> Tensor<2> {
        let (a, b) = (self.a.val(), self.b.val());
        let ([k, inputs, rank], [_, _, outputs]) = (a.dims(), b.dims());
        let ([rows, _], part) = (x.dims(), rank / k);
        let x = x.reshape([rows, k, inputs]).swap_dims(0, 1);
        // What one run of inputs gives is dealt out to all runs of outputs.
        let hidden = peft_kernels::matmul(x, a).reshape([k, rows, k, part]);
        let hidden = hidden.permute([2, 1, 0, 3]).reshape([k, rows, rank]);
        let y = peft_kernels::matmul(hidden, b).swap_dims(0, 1);
        y.reshape([rows, k * outputs])
    }
}

impl Adapter for Gralora {
    const NAME: &'static str = "gralora";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let mut delta = self.blocks();
        if let (Some(a), Some(b)) = (&self.general_a, &self.general_b) {
            delta = delta + a.val().matmul(b.val());
        }
        let delta = delta.mul_scalar(self.scale);
        base.dense_in(delta.dtype()) + delta.reshape(base.dims())
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        dropped_input(&self.dropout, training)
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = self.dropout.forward(x.into_rows().cast(self.a.dtype()));
        let mut delta = self.through_blocks(x.clone());
        if let (Some(a), Some(b)) = (&self.general_a, &self.general_b) {
            let hidden = peft_kernels::linear(x, a.val(), None);
            delta = delta + peft_kernels::linear(hidden, b.val(), None);
        }
        let dtype = y.dtype();
        y + delta.mul_scalar(self.scale).cast(dtype)
    }
}
