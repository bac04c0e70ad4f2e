//! [`Packed`]: a weight as blocks of quantised values, each of a few bits.
//!
//! A weight `[d_in, d_out]` is held as its columns, one after the other: the order of a checkpoint
//! that has it `[d_out, d_in]`, row by row. Blocks are runs of that order, whatever `d_in` is.
//!
//! As a tensor ([`Packed::into_tensor`]) it has the weight's shape and the type of its dense value,
//! and memory of one allocation: a head that [`packed_format`] tells it by, then the blocks. To
//! every operation of Burn's it is a matrix of NaN, so that nothing computes with it by mistake;
//! [`linear`](crate::linear) and [`transposed_product`](crate::transposed_product) read its blocks.

mod blocks;
mod bnb;
mod format;
mod ggml;
mod int8;
mod nf4;
mod nf4_double;
mod packer;

pub(crate) use self::blocks::{Blocks, WithBlocks, read, with_blocks};
pub use self::format::PackedFormat;
pub use self::int8::int8_values;
pub use self::nf4::NF4_CODES;
pub use self::packer::Packer;

use burn::tensor::{DType, Device, Tensor, TensorData};

/// What cannot be packed, or held packed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackedError {
    /// Bytes, or values, of another number than the shape asks for.
    #[error("{found} {what} for a weight of {dims:?} in {format}, which has {expected}")]
    Length {
        /// `bytes`, `values`, `scales` ...
        what: &'static str,
        /// The format.
        format: PackedFormat,
        /// Of the weight, `[d_in, d_out]`.
        dims: [usize; 2],
        /// How many there should be; a weight that is too large for any has none.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A format that is read and not made.
    #[error("{0} is read and not made; {made} are", made = PackedFormat::made())]
    NotMade(PackedFormat),
    /// A device that multiplies no packed weights.
    #[error(
        "packed weights are multiplied on `flex`, with the feature of that name, and not on {0}"
    )]
    Device(String),
}

/// A weight as blocks, not yet a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    format: PackedFormat,
    dims: [usize; 2],
    bytes: Vec<u8>,
}

impl Packed {
    /// One of these bytes, in the layout of the format.
    ///
    /// # Shapes
    ///
    /// `dims` is `[d_in, d_out]`.
    ///
    /// # Errors
    ///
    /// [`PackedError::Length`].
    pub fn new(
        format: PackedFormat,
        dims: [usize; 2],
        bytes: Vec<u8>,
    ) -> Result<Self, PackedError> {
        let values = dims[0].checked_mul(dims[1]);
        let expected = values.and_then(|values| format.bytes(values));
        if expected != Some(bytes.len()) {
            return Err(PackedError::Length {
                what: "bytes",
                format,
                dims,
                expected: expected.unwrap_or(0),
                found: bytes.len(),
            });
        }
        Ok(Self {
            format,
            dims,
            bytes,
        })
    }

    /// The format.
    pub fn format(&self) -> PackedFormat {
        self.format
    }

    /// `[d_in, d_out]`.
    pub fn dims(&self) -> [usize; 2] {
        self.dims
    }

    /// The blocks, in the layout of the format.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The blocks alone.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The values in f32, column by column: `[d_out, d_in]`.
    pub fn values(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.dims[0] * self.dims[1]];
        values(self.format, &self.bytes, 0, &mut out);
        out
    }

    /// How many values are no finite numbers.
    pub fn not_finite(&self) -> usize {
        const RUN: usize = 1 << 12;
        let mut run = [0.0; RUN];
        let all = self.dims[0] * self.dims[1];
        let mut found = 0;
        for start in (0..all).step_by(RUN) {
            let run = &mut run[..RUN.min(all - start)];
            values(self.format, &self.bytes, start, run);
            found += run.iter().filter(|x| !x.is_finite()).count();
        }
        found
    }

    /// A tensor that holds these blocks, whose dense value is in `dtype`, without a gradient.
    ///
    /// # Errors
    ///
    /// [`PackedError::Device`] for a device that has no products with packed weights.
    pub fn into_tensor(self, dtype: DType, device: &Device) -> Result<Tensor<2>, PackedError> {
        #[cfg(feature = "flex")]
        if crate::flex::is_on_flex(device) {
            let tensor = crate::flex::packed_tensor(&self, dtype);
            // As whatever it is multiplied with on the device: of one way to keep a graph.
            return Ok(match device.gradient_checkpointing_strategy() {
                Some(strategy) => tensor
                    .autodiff()
                    .with_gradient_checkpointing_strategy(strategy),
                None => tensor,
            });
        }
        let _ = dtype;
        Err(PackedError::Device(format!("{device:?}")))
    }
}

/// Values of a weight from element `start` of its columns on.
pub(crate) fn values(format: PackedFormat, bytes: &[u8], start: usize, out: &mut [f32]) {
    struct Values<'o> {
        start: usize,
        out: &'o mut [f32],
    }
    impl WithBlocks for Values<'_> {
        type Output = ();
        fn run<B: Blocks>(self, blocks: B) {
            read(&blocks, self.start, self.out);
        }
    }
    with_blocks(format, bytes, Values { start, out });
}

/// Whether a device multiplies packed weights.
pub fn multiplies_packed(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return crate::flex::is_on_flex(device);
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// How a tensor's blocks are packed, if it is a packed weight.
pub fn packed_format<const D: usize>(x: &Tensor<D>) -> Option<PackedFormat> {
    #[cfg(feature = "flex")]
    return crate::flex::packed_format(x);
    #[cfg(not(feature = "flex"))]
    {
        let _ = x;
        None
    }
}

/// How the rows of a matrix are packed, if its transpose is a packed weight: an embedding, whose
/// rows are the outputs of the layer that is tied to it.
pub fn packed_rows_format<const D: usize>(x: &Tensor<D>) -> Option<PackedFormat> {
    #[cfg(feature = "flex")]
    return crate::flex::packed_rows_format(x);
    #[cfg(not(feature = "flex"))]
    {
        let _ = x;
        None
    }
}

/// Some rows of the dense value of a matrix, whether its rows are packed or not, without a gradient
/// where they are.
///
/// # Shapes
///
/// `x` is `[rows, width]`, the result `[n, width]`.
///
/// # Panics
///
/// If there is no such row.
pub fn unpacked_rows(x: &Tensor<2>, rows: &[usize]) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if let Some(dense) = crate::flex::unpacked_rows(x, rows) {
        return dense;
    }
    let indices: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    let n = indices.len();
    let indices = Tensor::from_data(TensorData::new(indices, [n]), &x.device());
    x.clone().select(0, indices)
}

/// The blocks of a packed weight, in the layout of its format.
pub fn packed_bytes<const D: usize>(x: &Tensor<D>) -> Option<Vec<u8>> {
    #[cfg(feature = "flex")]
    return crate::flex::packed_bytes(x);
    #[cfg(not(feature = "flex"))]
    {
        let _ = x;
        None
    }
}

/// The dense value of a packed weight, in its tensor's type; any other tensor is itself.
pub fn unpacked<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if let Some(dense) = crate::flex::unpacked(&x) {
        return dense;
    }
    x
}

/// Some columns of the dense value of a weight, packed or not, without a gradient.
///
/// # Shapes
///
/// `x` is `[d_in, d_out]`, the result `[d_in, n]`.
///
/// # Panics
///
/// If there is no such column.
pub fn unpacked_columns(x: &Tensor<2>, columns: &[usize]) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if let Some(dense) = crate::flex::unpacked_columns(x, columns) {
        return dense;
    }
    let x = x.clone().without_autodiff();
    let indices: Vec<i32> = columns.iter().map(|column| *column as i32).collect();
    let n = indices.len();
    let indices = Tensor::from_data(TensorData::new(indices, [n]), &x.device());
    x.select(1, indices)
}
