//! Products of matrices, and layers, with their gradients.

use burn::tensor::{DType, Shape};
use burn_flex::{FlexTensor, Layout};

use super::gathered;
use super::gemm::{Matrix, of_few_rows, products};
use super::made::Kept;
use super::packed::is_packed;
use super::record::Derivative;
use super::rows;
use super::stored;
use super::values::{in_order, tensor, values, width};

/// The matrices of a tensor of rank two or more, each over the last two axes.
struct Matrices<'a> {
    first: Matrix<'a>,
    starts: Vec<usize>,
}

impl<'a> Matrices<'a> {
    fn of(x: &'a FlexTensor) -> Self {
        let (dims, strides) = (x.layout().shape(), x.layout().strides());
        let rank = dims.num_dims();
        let mut starts = vec![x.layout().start_offset()];
        for axis in 0..rank - 2 {
            let step = |start: usize, i: usize| {
                usize::try_from(start as isize + i as isize * strides[axis])
            };
            starts = starts
                .into_iter()
                .flat_map(|start| (0..dims[axis]).map(move |i| step(start, i)))
                .map(|start| start.expect("a place in memory"))
                .collect();
        }
        Self {
            first: Matrix {
                memory: x.storage(),
                start: 0,
                rows: dims[rank - 2],
                columns: dims[rank - 1],
                row: strides[rank - 2],
                column: strides[rank - 1],
            },
            starts,
        }
    }

    fn transposed(mut self) -> Self {
        self.first = self.first.transposed();
        self
    }

    fn get(&self, i: usize) -> Matrix<'a> {
        Matrix {
            start: self.starts[i],
            ..self.first
        }
    }
}

/// How matrices lie in memory: what is asked of a result, so that what reads it need not put it in
/// order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Order {
    /// Each column by column.
    turned: bool,
    /// A row of each matrix of the axis before after the other, as features of positions split by
    /// heads are.
    woven: bool,
}

impl Order {
    const PLAIN: Self = Self {
        turned: false,
        woven: false,
    };

    /// As these matrices lie.
    fn of(x: &FlexTensor) -> Self {
        let (dims, strides) = (x.layout().shape(), x.layout().strides());
        let rank = dims.num_dims();
        let (row, column) = (strides[rank - 2], strides[rank - 1]);
        let turned = row == 1 && column != 1;
        let (next, width) = if turned {
            (column, dims[rank - 2])
        } else {
            (row, dims[rank - 1])
        };
        let woven = rank > 2
            && dims[rank - 3] > 1
            && strides[rank - 3] == width as isize
            && next == (dims[rank - 3] * width) as isize;
        Self { turned, woven }
    }
}

/// The products of matrices pairwise; `leading` are the axes that count them.
fn pairwise(a: &Matrices<'_>, b: &Matrices<'_>, leading: &[usize], order: Order) -> FlexTensor {
    let (rows, columns) = (a.first.rows, b.first.columns);
    let pairs: Vec<_> = (0..a.starts.len())
        .map(|i| match order.turned {
            true => (b.get(i).transposed(), a.get(i).transposed()),
            false => (a.get(i), b.get(i)),
        })
        .collect();
    let (next, width) = match order.turned {
        true => (columns, rows),
        false => (rows, columns),
    };
    // Groups are for one core each.
    let woven = match leading {
        [.., heads] if order.woven && pairs.len() > *heads => *heads,
        _ => 1,
    };
    let mut strides = vec![(woven * width) as isize, 1];
    if order.turned {
        strides.reverse();
    }
    let mut group = (next * width) as isize;
    for (i, n) in leading.iter().rev().enumerate() {
        let is_woven = i == 0 && woven > 1;
        strides.insert(0, if is_woven { width as isize } else { group });
        group *= *n as isize;
    }
    let dims: Vec<usize> = leading.iter().copied().chain([rows, columns]).collect();
    let n: usize = dims.iter().product();
    tensor(products(&pairs, woven), Shape::from(vec![n])).with_layout(Layout::new(
        Shape::from(dims),
        strides,
        0,
    ))
}

/// Strides of a flipped tensor are negative; such a one is put in order.
fn forwards(x: FlexTensor) -> FlexTensor {
    if x.layout().strides().iter().all(|stride| *stride >= 0) {
        x
    } else {
        x.to_contiguous()
    }
}

fn leading(x: &FlexTensor) -> Vec<usize> {
    let dims: Vec<usize> = x.layout().shape().iter().copied().collect();
    dims[..dims.len() - 2].to_vec()
}

/// `lhs rhs` over the last two axes; the others are equal. In order, or `woven` where that is asked
/// for and helps. `rhs` may be a weight that is stored in another format, of rank two.
pub(super) fn matmul([lhs, rhs]: [FlexTensor; 2], woven: bool) -> FlexTensor {
    if let Some(y) = gathered::product(&lhs, &rhs, false) {
        return y;
    }
    if stored::is_stored(&rhs) {
        return of_stored(&lhs, &rhs, false);
    }
    let (lhs, rhs) = (forwards(lhs), forwards(rhs));
    let (a, b, leading) = (Matrices::of(&lhs), Matrices::of(&rhs), leading(&lhs));
    let few = match a.starts.len() {
        1 => of_few_rows(a.get(0), b.get(0)),
        _ => None,
    };
    if let Some(few) = few {
        let dims: Vec<usize> = leading
            .into_iter()
            .chain([a.first.rows, b.first.columns])
            .collect();
        return tensor(few, Shape::from(dims));
    }
    let order = Order {
        woven,
        ..Order::PLAIN
    };
    pairwise(&a, &b, &leading, order)
}

/// Of rows with a stored weight.
fn of_stored(x: &FlexTensor, weight: &FlexTensor, transposed: bool) -> FlexTensor {
    let columns = match transposed {
        true => rows_of(weight),
        false => width(weight),
    };
    let y = stored::product(x, weight, transposed);
    tensor(y, Shape::from([rows_of(x), columns]))
}

/// `x W`, or `x Wᵀ`, in order, of rows that are more than a few.
pub(super) fn product_of_rows(x: &FlexTensor, weight: &FlexTensor, transposed: bool) -> FlexTensor {
    if stored::is_stored(weight) {
        return of_stored(x, weight, transposed);
    }
    let weight = forwards(weight.clone());
    let (x, weight) = (Matrices::of(x), Matrices::of(&weight));
    let weight = match transposed {
        true => weight.transposed(),
        false => weight,
    };
    pairwise(&x, &weight, &[], Order::PLAIN)
}

/// Of a matrix.
fn rows_of(x: &FlexTensor) -> usize {
    x.layout().shape()[0]
}

/// `x W + b`: `x` is `[rows, d_in]`, `W` `[d_in, d_out]`, stored in any format, `b` `[d_out]`.
pub(super) fn linear([x, weight, bias]: [FlexTensor; 3]) -> FlexTensor {
    let (x, weight, bias) = (forwards(x), forwards(weight), in_order(bias));
    let (rows, d_out) = (rows_of(&x), width(&weight));
    let bias = values(&bias);
    assert_eq!(
        bias.len(),
        d_out,
        "a bias of another length than the output"
    );
    let gathered = gathered::product(&x, &weight, false);
    let mut out = match (gathered, stored::is_stored(&weight)) {
        (Some(gathered), _) => values(&gathered).to_vec(),
        (None, false) => {
            let (x, weight) = (Matrices::of(&x).get(0), Matrices::of(&weight).get(0));
            of_few_rows(x, weight).unwrap_or_else(|| products(&[(x, weight)], 1))
        }
        (None, true) => stored::product(&x, &weight, false),
    };
    // Afterwards: a product that starts from it sums in another order, by how many rows there are.
    rows::fill(&mut out, d_out, |_, out| {
        for row in out.chunks_exact_mut(d_out) {
            for (out, bias) in row.iter_mut().zip(bias) {
                *out += bias;
            }
        }
    });
    tensor(out, Shape::from(vec![rows, d_out]))
}

/// Of a product, each factor that the other's gradient needs, and how both lie: their gradients lie
/// so too.
#[derive(Debug, Clone)]
pub(super) struct Matmul {
    lhs: Option<Kept>,
    rhs: Option<FlexTensor>,
    orders: [Order; 2],
    /// The right factor's, and so its gradient's.
    dtype: DType,
}

impl Matmul {
    pub(super) fn keep([lhs, rhs]: [FlexTensor; 2], tracked: [bool; 2]) -> Self {
        Self {
            orders: [Order::of(&lhs), Order::of(&rhs)],
            dtype: rhs.dtype(),
            // A packed weight does not train, whatever its tensor says.
            lhs: (tracked[1] && !is_packed(&rhs)).then(|| Kept::new(lhs)),
            rhs: tracked[0].then_some(rhs),
        }
    }
}

impl Derivative<2> for Matmul {
    fn gradients(self, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let leading = leading(&grad);
        let grad = forwards(grad);
        let of = Matrices::of(&grad);
        let of_lhs = self.rhs.filter(|_| wanted[0]).map(|rhs| {
            let plain = self.orders[0] == Order::PLAIN;
            let gathered = plain.then(|| gathered::product(&grad, &rhs, true));
            if let Some(of_lhs) = gathered.flatten() {
                return of_lhs;
            }
            if stored::is_stored(&rhs) {
                return of_stored(&grad, &rhs, true);
            }
            let rhs = forwards(rhs);
            let rhs = Matrices::of(&rhs).transposed();
            pairwise(&of, &rhs, &leading, self.orders[0])
        });
        let of_rhs = self.lhs.filter(|_| wanted[1]).map(|lhs| {
            let lhs = forwards(lhs.get());
            let lhs = Matrices::of(&lhs).transposed();
            stored::in_format(pairwise(&lhs, &of, &leading, self.orders[1]), self.dtype)
        });
        [of_lhs, of_rhs]
    }
}

/// `x Wᵀ`: `x` is `[rows, d_out]`, `W` a stored weight `[d_in, d_out]`.
pub(super) fn transposed_product([x, weight]: [FlexTensor; 2]) -> FlexTensor {
    let gathered = gathered::product(&x, &weight, true);
    gathered.unwrap_or_else(|| of_stored(&x, &weight, true))
}

/// Of a product with a transposed weight, which does not train, the weight.
#[derive(Debug, Clone)]
pub(super) struct Transposed(pub(super) FlexTensor);

impl Derivative<2> for Transposed {
    fn gradients(self, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        [wanted[0].then(|| matmul([grad, self.0], false)), None]
    }
}

/// Of a layer, its product; the bias needs nothing.
#[derive(Debug, Clone)]
pub(super) struct Linear(Matmul);

impl Linear {
    pub(super) fn keep([x, weight, _]: [FlexTensor; 3], tracked: [bool; 3]) -> Self {
        Self(Matmul::keep([x, weight], [tracked[0], tracked[1]]))
    }
}

impl Derivative<3> for Linear {
    fn gradients(self, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let of_bias = wanted[2].then(|| {
            let grad = in_order(grad.clone());
            let d_out = width(&grad);
            tensor(
                rows::sum_of_rows(values(&grad), d_out),
                Shape::from(vec![d_out]),
            )
        });
        let [of_x, of_weight] = self.0.gradients(grad, [wanted[0], wanted[1]]);
        [of_x, of_weight, of_bias]
    }
}
