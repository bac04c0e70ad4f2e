//! Rotation of pairs of features, the first half of the rotated ones against the second.

use burn::tensor::Shape;
use burn_flex::{FlexTensor, Layout};

use super::record::Derivative;
use super::rows;
use super::values::{in_order, tensor, values};

/// Cosines and sines, `[1 or batch, 1, positions, half]`.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    cos: FlexTensor,
    sin: FlexTensor,
    /// Of each cosine and sine, the sign of the sine: the gradient turns back.
    sign: f32,
}

/// Where the rows of `[batch, heads, positions, head_dim]` are in memory, a row's features next to
/// each other.
struct Rows {
    start: isize,
    strides: [isize; 3],
    dims: [usize; 4],
}

impl Rows {
    fn of(layout: &Layout) -> Self {
        let (dims, strides) = (layout.shape(), layout.strides());
        Self {
            start: layout.start_offset() as isize,
            strides: [strides[0], strides[1], strides[2]],
            dims: [dims[0], dims[1], dims[2], dims[3]],
        }
    }

    fn at(&self, batch: usize, head: usize, position: usize) -> usize {
        let [a, b, c] = self.strides;
        let at = self.start + batch as isize * a + head as isize * b + position as isize * c;
        usize::try_from(at).expect("a place in memory")
    }
}

/// Whether the features of a row are next to each other.
fn has_whole_rows(x: &FlexTensor) -> bool {
    let strides = x.layout().strides();
    strides[3] == 1 || x.layout().shape()[3] == 1
}

impl Rotation {
    pub(super) fn new(cos: FlexTensor, sin: FlexTensor) -> Self {
        Self {
            cos: in_order(cos),
            sin: in_order(sin),
            sign: 1.0,
        }
    }

    /// `x` rotated, `[batch, heads, positions, head_dim]`, in memory in the order of its axes, or
    /// with the heads of a position next to each other.
    pub(super) fn apply(&self, x: FlexTensor, heads_last: bool) -> FlexTensor {
        let x = if has_whole_rows(&x) {
            x
        } else {
            x.to_contiguous()
        };
        let from = Rows::of(x.layout());
        let [batch, heads, positions, head_dim] = from.dims;
        let table = self.cos.layout().shape();
        let (half, per_batch) = (table[3], table[0] > 1);
        let (memory, cos, sin) = (x.storage::<f32>(), values(&self.cos), values(&self.sin));
        let mut out = vec![0.0; batch * heads * positions * head_dim];
        rows::fill(&mut out, head_dim, |run, out| {
            let first = run.start / head_dim;
            for (i, out) in out.chunks_exact_mut(head_dim).enumerate() {
                let row = first + i;
                let (at, head, position) = if heads_last {
                    let (rest, head) = (row / heads, row % heads);
                    (rest / positions, head, rest % positions)
                } else {
                    let (rest, position) = (row / positions, row % positions);
                    (rest / heads, rest % heads, position)
                };
                let start = from.at(at, head, position);
                let x = &memory[start..start + head_dim];
                let angle = (if per_batch { at * positions } else { 0 } + position) * half;
                let (cos, sin) = (&cos[angle..angle + half], &sin[angle..angle + half]);
                let (a, rest) = x.split_at(half);
                let (b, rest) = rest.split_at(half);
                let (first, tail) = out.split_at_mut(half);
                let (second, tail) = tail.split_at_mut(half);
                for i in 0..half {
                    let sin = self.sign * sin[i];
                    first[i] = a[i] * cos[i] - b[i] * sin;
                    second[i] = b[i] * cos[i] + a[i] * sin;
                }
                tail.copy_from_slice(rest);
            }
        });
        let dims = [batch, heads, positions, head_dim];
        if !heads_last {
            return tensor(out, Shape::from(dims.to_vec()));
        }
        let (row, position) = (head_dim as isize, (heads * head_dim) as isize);
        let strides = vec![positions as isize * position, row, position, 1];
        let n = out.len();
        tensor(out, Shape::from(vec![n])).with_layout(Layout::new(
            Shape::from(dims.to_vec()),
            strides,
            0,
        ))
    }
}

impl Derivative<1> for Rotation {
    fn gradients(self, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let back = Self { sign: -1.0, ..self };
        // What is rotated are features of positions, split by heads: there the gradient is needed
        // in that order.
        [Some(back.apply(grad, true))]
    }
}
