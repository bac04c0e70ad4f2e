//! Packed weights as tensors of `flex`.
//!
//! The layout has the weight's shape and no strides, so every element of the matrix is the first of
//! the memory, which is NaN. Behind it are the rest of the head, and the blocks.

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Shape, Tensor, bf16, f16};
use burn_flex::{FlexTensor, Layout};

use super::is_here;
use super::rows;
use crate::packed::{Packed, PackedFormat, values};

/// Words of the head: NaN, a mark, the format, `d_in`, `d_out` and the bytes of the blocks, in two
/// words each.
const HEAD: usize = 16;
/// Of f32, and in either half of bf16 and f16.
const NAN: u32 = 0x7fc0_7fc0;
/// What no other tensor of one element has behind it.
const MARK: [u32; 4] = [0x7065_6674, 0x9e37_79b9, 0x5061_636b, 0xc2b2_ae35];

/// What a tensor's memory holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedView<'a> {
    pub(super) format: PackedFormat,
    /// `[d_in, d_out]`.
    pub(super) dims: [usize; 2],
    /// Of the dense value.
    pub(super) dtype: DType,
    pub(super) bytes: &'a [u8],
}

impl<'a> PackedView<'a> {
    /// What `x` holds, if it is packed.
    pub(super) fn of(x: &'a FlexTensor) -> Option<Self> {
        let (view, shape) = Self::behind(x)?;
        (shape == view.dims).then_some(view)
    }

    /// What the transpose of `x` holds, if that is packed. Of a square one it is not told.
    fn of_turned(x: &'a FlexTensor) -> Option<Self> {
        let (view, shape) = Self::behind(x)?;
        let [d_in, d_out] = view.dims;
        (d_in != d_out && shape == [d_out, d_in]).then_some(view)
    }

    /// What the memory of `x` holds, if it is packed, and the shape of `x`.
    fn behind(x: &'a FlexTensor) -> Option<(Self, Vec<usize>)> {
        let layout = x.layout();
        if layout.strides() != [0, 0] || layout.start_offset() != 0 {
            return None;
        }
        let (head, bytes) = x.bytes().split_at_checked(4 * HEAD)?;
        let word = |i: usize| {
            let at = 4 * i;
            u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
        };
        let long =
            |i: usize| usize::try_from(u64::from(word(i)) | u64::from(word(i + 1)) << 32).ok();
        if word(0) != NAN || (0..4).any(|i| word(1 + i) != MARK[i]) {
            return None;
        }
        let (d_in, d_out, length) = (long(6)?, long(8)?, long(10)?);
        let dims: Vec<usize> = layout.shape().iter().copied().collect();
        let view = Self {
            format: PackedFormat::of_code(word(5))?,
            dims: [d_in, d_out],
            dtype: x.dtype(),
            bytes: bytes.get(..length)?,
        };
        Some((view, dims))
    }

    /// The dense value, `[d_in, d_out]`.
    fn dense(&self) -> FlexTensor {
        let mut out = vec![0.0f32; self.dims[0] * self.dims[1]];
        rows::fill(&mut out, self.dims[0], |run, out| {
            values(self.format, self.bytes, run.start, out);
        });
        self.of_columns(out)
    }

    /// The dense value of some columns, `[d_in, n]`.
    fn columns(&self, columns: &[usize]) -> FlexTensor {
        let d_in = self.dims[0];
        let mut out = vec![0.0f32; d_in * columns.len()];
        for (out, column) in out.chunks_exact_mut(d_in).zip(columns) {
            values(self.format, self.bytes, column * d_in, out);
        }
        self.of_columns(out)
    }

    /// A matrix of these values, column by column.
    fn of_columns(&self, out: Vec<f32>) -> FlexTensor {
        let [d_in, d_out] = [self.dims[0], out.len() / self.dims[0]];
        let bytes = match self.dtype {
            DType::BF16 => Bytes::from_elems(out.into_iter().map(bf16::from_f32).collect()),
            DType::F16 => Bytes::from_elems(out.into_iter().map(f16::from_f32).collect()),
            _ => Bytes::from_elems(out),
        };
        let columns = Layout::new(Shape::from([d_in, d_out]), vec![1, d_in as isize], 0);
        FlexTensor::new(bytes, columns, self.dtype).to_contiguous()
    }
}

/// Whether a tensor of this backend is a packed weight.
pub(super) fn is_packed(x: &FlexTensor) -> bool {
    PackedView::of(x).is_some()
}

/// The tensor of a packed weight.
pub(crate) fn packed_tensor(packed: &Packed, dtype: DType) -> Tensor<2> {
    let dims = packed.dims();
    let bytes = packed.bytes();
    let mut memory = vec![0u32; HEAD + bytes.len().div_ceil(4)];
    memory[0] = NAN;
    memory[1..5].copy_from_slice(&MARK);
    memory[5] = packed.format().code();
    for (i, long) in [dims[0], dims[1], bytes.len()].into_iter().enumerate() {
        let long = long as u64;
        memory[6 + 2 * i] = long as u32;
        memory[7 + 2 * i] = (long >> 32) as u32;
    }
    for (word, bytes) in memory[HEAD..].iter_mut().zip(bytes.chunks(4)) {
        let mut whole = [0; 4];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u32::from_ne_bytes(whole);
    }
    let layout = Layout::new(Shape::from(dims), vec![0, 0], 0);
    let dtype = match dtype {
        DType::BF16 | DType::F16 => dtype,
        _ => DType::F32,
    };
    Tensor::from_primitive::<Flex>(FlexTensor::new(Bytes::from_elems(memory), layout, dtype))
}

/// The tensor of this backend that it is, without its graph.
fn primitive<const D: usize>(x: &Tensor<D>) -> Option<FlexTensor> {
    if D != 2 || !is_here(x) {
        return None;
    }
    let inner = x.clone().without_autodiff();
    inner.try_into_primitive::<Flex>().ok()
}

/// Whether a tensor is a packed weight, and how it is packed.
pub(crate) fn packed_format<const D: usize>(x: &Tensor<D>) -> Option<PackedFormat> {
    PackedView::of(&primitive(x)?).map(|view| view.format)
}

/// How the transpose of a tensor is packed, if it is a packed weight.
pub(crate) fn packed_rows_format<const D: usize>(x: &Tensor<D>) -> Option<PackedFormat> {
    PackedView::of_turned(&primitive(x)?).map(|view| view.format)
}

/// Some rows of the dense value of a matrix whose transpose is packed, in no graph but of the same
/// kind of tensor.
pub(crate) fn unpacked_rows(x: &Tensor<2>, rows: &[usize]) -> Option<Tensor<2>> {
    let held = primitive(x)?;
    let view = PackedView::of_turned(&held)?;
    if rows.iter().any(|row| *row >= view.dims[1]) {
        return None;
    }
    let dense = Tensor::<2>::from_primitive::<Flex>(view.columns(rows)).transpose();
    Some(of_kind(dense, x))
}

/// A plain tensor as one of the kind that `like` is, in no graph.
fn of_kind<const D: usize>(plain: Tensor<D>, like: &Tensor<D>) -> Tensor<D> {
    match like.gradient_checkpointing_strategy() {
        Some(strategy) => plain
            .autodiff()
            .with_gradient_checkpointing_strategy(strategy),
        None => plain,
    }
}

/// The blocks of a packed weight.
pub(crate) fn packed_bytes<const D: usize>(x: &Tensor<D>) -> Option<Vec<u8>> {
    PackedView::of(&primitive(x)?).map(|view| view.bytes.to_vec())
}

/// The dense value of a packed weight, in no graph but of the same kind of tensor.
pub(crate) fn unpacked<const D: usize>(x: &Tensor<D>) -> Option<Tensor<D>> {
    let held = primitive(x)?;
    let dense = PackedView::of(&held)?.dense();
    let dense = Tensor::<D>::from_primitive::<Flex>(dense);
    Some(of_kind(dense, x))
}

/// Some columns of the dense value of a packed weight, in no graph.
pub(crate) fn unpacked_columns(x: &Tensor<2>, columns: &[usize]) -> Option<Tensor<2>> {
    let held = primitive(x)?;
    let dense = PackedView::of(&held)?.columns(columns);
    Some(Tensor::from_primitive::<Flex>(dense))
}
