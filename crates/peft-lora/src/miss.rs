//! [`Miss`]: one block of rows for every run of inputs, `W' = W + (D; D; …)`.
//!
//! Inputs that lie `r` apart are added up and multiplied by `D`: one product of half of LoRA's
//! size.
//! *MiSS: Balancing LoRA Performance and Efficiency with Simple Shard Sharing*, Kang et al. 2024,
//! [arXiv:2409.15371](https://arxiv.org/abs/2409.15371).

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, Targets, attach_each, dropped_input,
};
use serde::{Deserialize, Serialize};

/// MiSS on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MissConfig {
    /// The rank `r`, at least 1 and at most the inputs of each layer.
    pub rank: usize,
    /// How many columns of `D` there are, which stand for all by turns; they divide the outputs of
    /// each layer. Default: all.
    pub columns: Option<usize>,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for MissConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl MissConfig {
    /// Of this rank on every linear layer.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            columns: None,
            dropout: 0.0,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// How many columns of `D` there are.
    pub fn with_columns(mut self, columns: Option<usize>) -> Self {
        self.columns = columns;
        self
    }

    /// Dropout on the adapter's input; needs [`ForwardPath::Factored`](crate::ForwardPath).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [_, d_out]: [usize; 2]) -> AdapterCost {
        AdapterCost {
            parameters: self.rank.saturating_mul(self.columns.unwrap_or(d_out)),
            products: self.rank.saturating_mul(d_out),
            fixed: 0,
            kept: self.rank,
            keeps_input: false,
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
        self.attach_with(model, name, |layer, shape| Ok(layer.zeros(shape)))
    }

    /// As [`attach`](Self::attach), with the block `D`, `[rank, columns]`, that `build` gives for a
    /// layer: of a file, for instance. It is asked for every layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, [usize; 2]) -> Result<Tensor<2>, PeftError>,
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
        attach_each(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layer| {
                let [d_in, d_out] = layer.shape;
                if self.rank == 0 || self.rank > d_in {
                    let field = format!("rank of `{}`", layer.path);
                    return Err(wrong(
                        field,
                        self.rank.to_string(),
                        "at least 1 and at most the layer's inputs",
                    ));
                }
                let columns = self.columns.unwrap_or(d_out);
                if columns == 0 || !d_out.is_multiple_of(columns) {
                    let field = format!("columns of `{}`, which has {d_out} outputs,", layer.path);
                    return Err(wrong(field, columns.to_string(), "a divisor of them"));
                }
                Ok(Miss {
                    block: Param::from_tensor(build(layer, [self.rank, columns])?),
                    d_in,
                    d_out,
                    dropout: DropoutConfig::new(self.dropout).init(),
                })
            },
        )
    }
}

/// A block of rows beside a frozen weight, which all runs of its inputs share.
#[derive(Module, Debug)]
pub struct Miss {
    /// `D`, `[rank, columns]`; zero at first.
    pub block: Param<Tensor<2>>,
    d_in: usize,
    d_out: usize,
    dropout: Dropout,
}

impl Miss {
    /// `D` with all its columns, `[rank, d_out]`.
    fn columns(&self) -> Tensor<2> {
        let block = self.block.val();
        let [_, columns] = block.dims();
        block.repeat_dim(1, self.d_out / columns)
    }
}

impl Adapter for Miss {
    const NAME: &'static str = "miss";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let columns = self.columns();
        let [rank, _] = columns.dims();
        let runs = columns.repeat_dim(0, self.d_in.div_ceil(rank));
        let delta = runs.narrow(0, 0, self.d_in);
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
        let x = self.dropout.forward(x.into_rows().cast(self.block.dtype()));
        let ([rows, d_in], columns) = (x.dims(), self.columns());
        let [rank, _] = columns.dims();
        let (runs, rest) = (d_in / rank, d_in % rank);
        let whole = x.clone().narrow(1, 0, runs * rank);
        let sum = whole.reshape([rows, runs, rank]).sum_dim(1);
        let sum = sum.reshape([rows, rank]);
        let sum = match rest {
            0 => sum,
            // A run that is cut short adds to the first of its places.
            rest => {
                let last = x.narrow(1, d_in - rest, rest);
                let first = sum.clone().narrow(1, 0, rest) + last;
                Tensor::cat(vec![first, sum.narrow(1, rest, rank - rest)], 1)
            }
        };
        let delta = peft_kernels::linear(sum, columns, None);
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
