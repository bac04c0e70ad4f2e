//! [`Heads`]: the rows of heads wherever they lie in memory.

use burn::tensor::Shape;
use burn_flex::{FlexTensor, Layout};

use crate::flex::rows;
use crate::flex::values::tensor;

/// `[batch, heads, positions, width]` in memory, the numbers of a row next to each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads<'a> {
    memory: &'a [f32],
    start: usize,
    /// Between batch rows, heads and positions.
    strides: [usize; 3],
    pub(super) dims: [usize; 4],
}

/// The tensor with the numbers of each row next to each other, and rows in ascending order.
pub(super) fn with_whole_rows(x: FlexTensor) -> FlexTensor {
    let (dims, strides) = (x.layout().shape(), x.layout().strides());
    let whole = strides[3] == 1 || dims[3] == 1;
    if whole && strides.iter().all(|stride| *stride >= 0) {
        return x;
    }
    x.to_contiguous()
}

impl<'a> Heads<'a> {
    /// Of a tensor that [`with_whole_rows`] has seen.
    pub(super) fn of(x: &'a FlexTensor) -> Self {
        let (dims, strides) = (x.layout().shape(), x.layout().strides());
        Self {
            memory: x.storage(),
            start: x.layout().start_offset(),
            strides: [strides[0], strides[1], strides[2]].map(isize::unsigned_abs),
            dims: [dims[0], dims[1], dims[2], dims[3]],
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, batch: usize, head: usize, position: usize) -> &'a [f32] {
        let [a, b, c] = self.strides;
        &self.memory[self.start + batch * a + head * b + position * c..][..self.dims[3]]
    }
}

/// A tensor `[batch, heads, positions, width]` of rows that `fill` makes of zeros, those of all
/// heads at a position next to each other in memory: what merges the heads copies nothing.
pub(super) fn join(
    dims: [usize; 4],
    fill: impl Fn(usize, usize, usize, &mut [f32]) + Sync,
) -> FlexTensor {
    let [batch, heads, positions, width] = dims;
    let n = batch * heads * positions * width;
    let mut out = vec![0.0; n];
    rows::fill(&mut out, width, |run, out| {
        let first = run.start / width;
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            let row = first + i;
            let (at, head) = (row / heads, row % heads);
            fill(at / positions, head, at % positions, out);
        }
    });
    let (row, position) = (width as isize, (heads * width) as isize);
    let strides = vec![positions as isize * position, row, position, 1];
    let layout = Layout::new(Shape::from(dims.to_vec()), strides, 0);
    tensor(out, Shape::from(vec![n])).with_layout(layout)
}
