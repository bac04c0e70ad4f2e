//! [`FrozenWeight`]: a weight below its adapters, whatever it is stored as.

use std::ops::Range;

use burn::module::Param;
use burn::tensor::{DType, Int, Tensor, TensorData, module};
use peft_kernels::{
    PackedFormat, is_same_tensor, packed_bytes, packed_format, packed_rows_format, unpacked,
    unpacked_columns, unpacked_rows,
};

use crate::Digest;

/// About how many values of a dense weight are copied at once.
const STORED_PART: usize = 1 << 22;

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
    /// The transpose of such a weight, of an embedding `[n_embeddings, d_model]`: each row is
    /// unpacked by itself, and the layer that is tied to it multiplies by the blocks.
    PackedRows(Tensor<D>, PackedFormat),
}

impl<const D: usize> From<Tensor<D>> for FrozenWeight<D> {
    fn from(weight: Tensor<D>) -> Self {
        Self(
            match (packed_format(&weight), packed_rows_format(&weight)) {
                (Some(format), _) => Storage::Packed(weight, format),
                (None, Some(format)) => Storage::PackedRows(weight, format),
                (None, None) => Storage::Dense(weight),
            },
        )
    }
}

impl<const D: usize> FrozenWeight<D> {
    /// What a parameter stores, below all adapters on it. Initialises a lazy parameter; copies
    /// nothing.
    pub fn of(param: &Param<Tensor<D>>) -> Self {
        param.base().into()
    }

    /// The tensor that holds it.
    fn tensor(&self) -> &Tensor<D> {
        let (Storage::Dense(weight) | Storage::Packed(weight, _) | Storage::PackedRows(weight, _)) =
            &self.0;
        weight
    }

    /// The shape of the weight.
    pub fn dims(&self) -> [usize; D] {
        self.tensor().dims()
    }

    /// The precision of the [dense](Self::dense) value.
    pub fn dtype(&self) -> DType {
        self.tensor().dtype()
    }

    /// How its values are packed, where it is no dense tensor.
    pub fn packed(&self) -> Option<PackedFormat> {
        match &self.0 {
            Storage::Dense(_) => None,
            Storage::Packed(_, format) | Storage::PackedRows(_, format) => Some(*format),
        }
    }

    /// What is stored, for a digest: the bytes of blocks, or the values of a dense tensor, of a
    /// large one some rows at a time, so that there is no second one. Two weights of the same shape
    /// that store the same have the same dense value.
    pub fn stored(&self) -> impl Iterator<Item = TensorData> + '_ {
        let [all, of_row] = match &self.0 {
            Storage::Dense(weight) => {
                let dims = weight.dims();
                [dims[0], dims[1..].iter().product()]
            }
            Storage::Packed(..) | Storage::PackedRows(..) => [1, 1],
        };
        // Of whole words in any precision.
        let rows = (STORED_PART / of_row.max(1)).next_multiple_of(8).max(8);
        (0..all).step_by(rows).map(move |first| match &self.0 {
            Storage::Dense(weight) if all <= rows => weight.clone().into_data(),
            Storage::Dense(weight) => {
                let part = weight.clone().narrow(0, first, rows.min(all - first));
                part.into_data()
            }
            Storage::Packed(weight, _) => bytes(weight),
            Storage::PackedRows(weight, _) => bytes(&turned(weight)),
        })
    }

    /// Take [what is stored](Self::stored) into a digest, as bytes.
    pub fn add_to(&self, digest: &mut Digest) {
        let values = self.dims().iter().product::<usize>();
        let length = match self.packed() {
            Some(format) => format.bytes(values).unwrap_or(0),
            None => values * self.dtype().size(),
        };
        digest.add(length as u64);
        self.stored()
            .for_each(|part| digest.add_words(part.as_bytes()));
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
            Storage::PackedRows(weight, _) => turned(&unpacked(turned(weight))),
        }
    }

    /// A weight of rows, `[d_out, …]`, as the matrix that multiplies these rows' other axes in one,
    /// `[…, d_out]`: a convolution's, by which each window is multiplied. It is a tensor.
    pub fn as_matrix(&self) -> FrozenWeight {
        let dims = self.dims();
        let rest = dims[1..].iter().product();
        FrozenWeight::from(self.dense().reshape([dims[0], rest]).transpose())
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

/// The other way round.
fn turned<const D: usize>(weight: &Tensor<D>) -> Tensor<D> {
    weight.clone().swap_dims(D - 2, D - 1)
}

/// The blocks of a packed weight.
fn bytes<const D: usize>(weight: &Tensor<D>) -> TensorData {
    let bytes = packed_bytes(weight).unwrap_or_default();
    let n = bytes.len();
    TensorData::new(bytes, [n])
}

/// Columns, or rows, of a dense value that are looked at together.
const RUN: usize = 64;

impl FrozenWeight {
    /// The same weight as a constant: what is made of it is in no graph.
    pub fn without_autodiff(&self) -> Self {
        self.tensor().clone().without_autodiff().into()
    }

    /// Whether both are known to be one weight in one place of memory, so that what was made of the
    /// one, and is kept with it, holds for the other. On `flex` it is known.
    pub fn is_same(&self, other: &Self) -> bool {
        is_same_tensor(self.tensor(), other.tensor())
    }

    /// `Σ W²` of each column, `[d_out]`, in `dtype` and without a gradient. No dense value is
    /// formed of a packed weight, but a few columns at a time.
    pub fn column_squares(&self, dtype: DType) -> Tensor<1> {
        let [d_in, d_out] = self.dims();
        let of = |part: Tensor<2>| part.cast(dtype).square().sum_dim(0); // [1, n]
        let runs = |side: usize| (0..side).step_by(RUN).map(move |at| at..side.min(at + RUN));
        let squares = match &self.0 {
            Storage::Dense(_) | Storage::PackedRows(..) => {
                let weight = self.dense().without_autodiff();
                let rows = |run: Range<usize>| of(weight.clone().narrow(0, run.start, run.len()));
                let none = Tensor::zeros([1, d_out], (&weight.device(), dtype));
                runs(d_in).map(rows).fold(none, |sum, part| sum + part)
            }
            Storage::Packed(weight, _) => {
                let columns = |run: Range<usize>| {
                    let columns: Vec<usize> = run.collect();
                    of(unpacked_columns(weight, &columns))
                };
                Tensor::cat(runs(d_out).map(columns).collect(), 1)
            }
        };
        squares.reshape([d_out])
    }

    /// Some columns of the dense value, `[d_in, n]`, without a gradient.
    ///
    /// # Panics
    ///
    /// If there is no such column.
    pub fn columns(&self, columns: &[usize]) -> Tensor<2> {
        match &self.0 {
            Storage::Dense(weight) | Storage::Packed(weight, _) => {
                unpacked_columns(weight, columns)
            }
            Storage::PackedRows(..) => unpacked_columns(&self.dense(), columns),
        }
    }

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
            Storage::PackedRows(weight, _) => {
                let product = peft_kernels::transposed_product(x, turned(weight));
                match bias {
                    Some(bias) => product + bias.unsqueeze(),
                    None => product,
                }
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
            Storage::PackedRows(weight, _) => peft_kernels::linear(x, turned(weight), None),
        }
    }

    /// The rows of an embedding; of one that is packed by columns, all are unpacked for them.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    pub fn rows(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        match &self.0 {
            Storage::Dense(_) | Storage::Packed(..) => module::embedding(self.dense(), ids),
            Storage::PackedRows(weight, _) => {
                let [batch, positions] = ids.dims();
                let ids = ids.into_data();
                let ids: Vec<usize> = ids.iter::<i64>().map(|id| id as usize).collect();
                let rows = unpacked_rows(weight, &ids);
                let width = rows.dims()[1];
                rows.reshape([batch, positions, width])
            }
        }
    }
}
