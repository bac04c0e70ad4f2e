//! [`Quantise`]: what a model's linear layers are held as; [`Held`]: what they are.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use peft_core::{FrozenWeight, ParamPlace, VisitParams, visit_params};
use peft_kernels::PackedFormat;

/// What the weights of linear layers in a model's blocks are held as. Embeddings, norms, biases and
/// all that is in no block, such as the output layer or a head, are in the model's dtype, but for
/// what [`Checkpoint::with_quantised_vocabulary`](crate::Checkpoint::with_quantised_vocabulary)
/// adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantise {
    /// Dense, in the model's dtype.
    #[default]
    Dense,
    /// Packed where the file has them packed, as they lie there; dense elsewhere, and on devices
    /// that multiply no packed weights.
    AsStored,
    /// Packed in this format, each when it is read.
    To(PackedFormat),
}

/// Paths of what has a row for each token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vocabulary {
    pub(crate) embedding: &'static str,
    pub(crate) head: &'static str,
}

impl Vocabulary {
    pub(crate) fn has(of: Option<Self>, path: &str) -> bool {
        of.is_some_and(|of| path == of.embedding || path == of.head)
    }
}

/// Whether a parameter is the weight of a block's linear layer, by its path: blocks have numbers.
pub(crate) fn is_of_block(path: &str) -> bool {
    path.split('.').any(|part| part.parse::<usize>().is_ok())
}

/// What the parameters of a model are held as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// How many weights are packed in each format, and their bytes.
    pub packed: BTreeMap<PackedFormat, (usize, usize)>,
    /// How many parameters are dense.
    pub dense: usize,
    /// Their bytes.
    pub dense_bytes: usize,
}

impl Held {
    /// Those of a model, without what is lazy: nothing is initialised.
    pub fn of<M: Module>(model: &M) -> Self {
        let mut held = Self::default();
        visit_params(model, &mut held);
        held
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        let packed = self.packed.values().map(|(_, bytes)| bytes);
        packed.fold(self.dense_bytes, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// One more tensor; sizes that no number holds count as the largest.
    pub(crate) fn add(&mut self, shape: &[usize], format: Option<PackedFormat>, dtype: DType) {
        let values = shape
            .iter()
            .fold(1, |all: usize, side| all.saturating_mul(*side));
        match format {
            Some(format) => {
                let (count, bytes) = self.packed.entry(format).or_default();
                *count += 1;
                *bytes = bytes.saturating_add(format.bytes(values).unwrap_or(usize::MAX));
            }
            None => {
                let bytes = values.saturating_mul(dtype.size());
                self.dense += 1;
                self.dense_bytes = self.dense_bytes.saturating_add(bytes);
            }
        }
    }
}

impl VisitParams for Held {
    fn visit<const D: usize>(&mut self, _: &ParamPlace, param: &Param<Tensor<D>>) {
        if !param.is_initialized() {
            return;
        }
        let weight = FrozenWeight::of(param);
        self.add(&weight.dims(), weight.packed(), weight.dtype());
    }
}
