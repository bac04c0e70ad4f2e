//! [`FrozenWeight`]: a weight below its adapters, whatever it is stored as.

use burn::module::Param;
use burn::tensor::{DType, Int, Tensor, TensorData, module};
use peft_kernels::{PackedFormat, packed_bytes, packed_format, unpacked};

/// A weight below its adapters, as it is stored.
///
/// This is the one file that knows how weights are stored. The forward, methods, merges, digests
/// and files ask for what they need of a weight: a product, rows, or, where nothing less will do,
/// its [dense](Self::dense) value. A way to store weights that is no tensor is a variant here, with
/// a kernel for its products.
///
/// # Shapes
///
/// A linear weight is `[d_in, d_out]`, an embedding `[n_embeddings, d_model]`; a vector or a kernel
/// has its own rank `D`.
#[derive(Debug, Clone)]
pub struct FrozenWeight<const D: usize = 2>(Storage<D>);

/// How a weight is stored.
#[derive(Debug, Clone)]
enum Storage<const D: usize> {
    /// A tensor in some float precision. It may require gradients: a layer without adapters trains
    /// through its weight.
    Dense(Tensor<D>),
    /// Blocks of a few bits a value, in the memory of a tensor of the weight's shape and the dense
    /// value's type ([`Packed`](peft_kernels::Packed)). It does not train.
    Packed(Tensor<D>, PackedFormat),
}

impl<const D: usize> From<Tensor<D>> for FrozenWeight<D> {
    fn from(weight: Tensor<D>) -> Self {
        Self(match packed_format(&weight) {
            None => Storage::Dense(weight),
            Some(format) => Storage::Packed(weight, format),
        })
    }
}

impl<const D: usize> FrozenWeight<D> {
    /// What a parameter stores, below all adapters on it. Initialises a lazy parameter; copies
    /// nothing.
    pub fn of(param: &Param<Tensor<D>>) -> Self {
        param.base().into()
    }

    /// The shape of the weight.
    pub fn dims(&self) -> [usize; D] {
        match &self.0 {
            Storage::Dense(weight) | Storage::Packed(weight, _) => weight.dims(),
        }
    }

    /// The precision of the [dense](Self::dense) value.
    pub fn dtype(&self) -> DType {
        match &self.0 {
            Storage::Dense(weight) | Storage::Packed(weight, _) => weight.dtype(),
        }
    }

    /// How its values are packed, where it is no dense tensor.
    pub fn packed(&self) -> Option<PackedFormat> {
        match &self.0 {
            Storage::Dense(_) => None,
            Storage::Packed(_, format) => Some(*format),
        }
    }

    /// What is stored, for a digest: the values of a dense tensor, in their shape, or the bytes of
    /// blocks. Two weights of the same shape that store the same have the same dense value.
    pub fn stored(&self) -> TensorData {
        match &self.0 {
            Storage::Dense(weight) => weight.clone().into_data(),
            Storage::Packed(weight, _) => {
                let bytes = packed_bytes(weight).unwrap_or_default();
                let n = bytes.len();
                TensorData::new(bytes, [n])
            }
        }
    }

    /// The weight as a tensor, in the precision in which it is stored. Of a weight that is stored
    /// as a tensor this is that tensor and no copy; any other is unpacked, so ask for it only where
    /// a product will not do.
    ///
    /// # Shapes
    ///
    /// As [`dims`](Self::dims).
    pub fn dense(&self) -> Tensor<D> {
        match &self.0 {
            Storage::Dense(weight) => weight.clone(),
            Storage::Packed(weight, _) => unpacked(weight.clone()),
        }
    }

    /// As [`dense`](Self::dense), in another precision: that of an adapter's parameters, in which a
    /// method computes.
    pub fn dense_in(&self, dtype: DType) -> Tensor<D> {
        self.dense().cast(dtype)
    }

    /// A value that takes the place of this weight, in the precision in which this one is stored.
    ///
    /// # Shapes
    ///
    /// `value` and the result are as [`dims`](Self::dims).
    pub fn rounded(&self, value: Tensor<D>) -> Tensor<D> {
        value.cast(self.dtype())
    }
}

impl FrozenWeight {
    /// `x W + b`, with the gradient of `x`; that of the weight too, where it requires one.
    ///
    /// # Shapes
    ///
    /// `x` is `[.., d_in]`, `bias` `[d_out]`, the result `[.., d_out]`.
    ///
    /// # Panics
    ///
    /// If the last axis of `x` is not `d_in`.
    pub fn product<const R: usize>(&self, x: Tensor<R>, bias: Option<Tensor<1>>) -> Tensor<R> {
        match &self.0 {
            Storage::Dense(weight) | Storage::Packed(weight, _) => {
                peft_kernels::linear(x, weight.clone(), bias)
            }
        }
    }

    /// `x Wᵀ`, with the gradient of `x`: what a gradient of the outputs is to one of the inputs,
    /// and what an output layer gives that is tied to an embedding.
    ///
    /// # Shapes
    ///
    /// `x` is `[.., d_out]`, the result `[.., d_in]`.
    ///
    /// # Panics
    ///
    /// If the last axis of `x` is not `d_out`.
    pub fn transposed_product<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        match &self.0 {
            Storage::Dense(weight) | Storage::Packed(weight, _) => {
                peft_kernels::transposed_product(x, weight.clone())
            }
        }
    }

    /// The rows of an embedding; of one that is packed, all are unpacked for them.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    pub fn rows(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        match &self.0 {
            Storage::Dense(_) | Storage::Packed(..) => module::embedding(self.dense(), ids),
        }
    }
}
