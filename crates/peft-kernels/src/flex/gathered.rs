//! [`Gathered`]: one product of the rows of several threads.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};

use super::gemm::THIN_ROWS;
use super::packed::is_packed;
use super::product::product_of_rows;
use super::stored::{is_narrow, is_stored};
use super::values::{tensor, values, width};
use crate::meeting::Meeting;

/// How long a thread waits for the others before it multiplies alone: many times what a block of a
/// long text takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rows up to which it is worth while to wait for the others: a product of more is bound by its
/// arithmetic, and not by reading the weight (`cargo xtask bench at-once`). Of a weight in two
/// bytes a number it is so from a quarter of them on.
const MANY: usize = 96;

/// Columns of an f32 product up to which the order of the `gemm` crate's sums may depend on the
/// number of rows: it has other kernels for results of up to 16 × 16, and other blocks of results
/// of up to 64 × 64.
const NARROW: usize = 64;

/// What rows are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    /// The memory of the weight.
    place: usize,
    start: usize,
    dims: [usize; 2],
    strides: [isize; 2],
    transposed: bool,
}

impl Key {
    fn of(weight: &FlexTensor, transposed: bool) -> Option<Self> {
        let layout = weight.layout();
        Some(Self {
            place: place(&weight.data_arc()),
            start: layout.start_offset(),
            dims: layout
                .shape()
                .iter()
                .copied()
                .collect::<Vec<_>>()
                .try_into()
                .ok()?,
            strides: layout.strides().try_into().ok()?,
            transposed,
        })
    }
}

/// As [`Gathering`](crate::Gathering).
#[derive(Debug)]
pub(crate) struct Gathered {
    /// Held, so that no other weight has their places.
    _weights: Vec<FlexTensor>,
    places: HashSet<usize>,
    meeting: Meeting<Key, Rows, FlexTensor>,
    asked: AtomicUsize,
    made: AtomicUsize,
}

/// Rows, and what they are multiplied by.
#[derive(Debug)]
struct Rows {
    x: FlexTensor,
    weight: FlexTensor,
}

thread_local! {
    /// Where this thread takes part, and as whom.
    static SEAT: RefCell<Option<(Arc<Gathered>, usize)>> = const { RefCell::new(None) };
}

/// As [`Place`](crate::Place).
#[derive(Debug)]
pub(crate) struct GatheredPlace {
    gathered: Arc<Gathered>,
    who: usize,
}

impl GatheredPlace {
    pub(crate) fn new(gathered: &Arc<Gathered>, who: usize) -> Self {
        gathered.meeting.enter(who);
        Self {
            gathered: Arc::clone(gathered),
            who,
        }
    }

    pub(crate) fn take<T>(self, work: impl FnOnce() -> T) -> T {
        /// Also where the work panics.
        struct Leaves;
        impl Drop for Leaves {
            fn drop(&mut self) {
                SEAT.take();
            }
        }
        SEAT.set(Some((Arc::clone(&self.gathered), self.who)));
        let _leaves = Leaves;
        work()
    }
}

impl Drop for GatheredPlace {
    fn drop(&mut self) {
        self.gathered.meeting.leave(self.who);
    }
}

/// This thread begins another pass.
pub(crate) fn begin_anew() {
    SEAT.with_borrow(|seat| {
        if let Some((gathered, who)) = seat {
            gathered.meeting.begin_anew(*who);
        }
    });
}

fn place(memory: &Arc<Bytes>) -> usize {
    Arc::as_ptr(memory) as usize
}

impl Gathered {
    pub(crate) fn new(weights: &[Tensor<2>]) -> Self {
        let held = |weight: &Tensor<2>| {
            let plain = weight.clone().without_autodiff();
            plain.try_into_primitive::<Flex>().ok()
        };
        let weights: Vec<FlexTensor> = weights.iter().filter_map(held).collect();
        Self {
            places: weights.iter().map(|held| place(&held.data_arc())).collect(),
            _weights: weights,
            meeting: Meeting::new(PATIENCE),
            asked: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
        }
    }

    pub(crate) fn products(&self) -> (usize, usize) {
        let read = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (read(&self.asked), read(&self.made))
    }
}

/// `x W`, or `x Wᵀ`, with the rows of all who multiply by this weight now; none where this thread
/// multiplies alone.
pub(super) fn product(x: &FlexTensor, weight: &FlexTensor, transposed: bool) -> Option<FlexTensor> {
    let (gathered, who) = SEAT.with_borrow(Clone::clone)?;
    let key = Key::of(weight, transposed)?;
    let layout = x.layout();
    let is_plain = layout.shape().num_dims() == 2 && x.is_contiguous() && x.dtype() == DType::F32;
    if !gathered.places.contains(&key.place) || !is_plain {
        return None;
    }
    let rows = layout.shape()[0];
    let in_two_bytes = is_narrow(weight.dtype()) && !is_packed(weight);
    let many = if in_two_bytes { MANY / 4 } else { MANY };
    if rows > many {
        // It has as many at other weights: nobody waits for it any more.
        gathered.meeting.leave(who);
        SEAT.take();
        return None;
    }
    // These go a way of their own, whose sums may be in another order.
    let columns = key.dims[usize::from(!transposed)];
    if rows <= THIN_ROWS || columns <= NARROW && !is_stored(weight) {
        return None;
    }
    gathered.asked.fetch_add(1, Ordering::Relaxed);
    let asked = Rows {
        x: x.clone(),
        weight: weight.clone(),
    };
    gathered.meeting.ask(who, key, asked, |key, all| {
        gathered.made.fetch_add(1, Ordering::Relaxed);
        of_all(&all, key.transposed)
    })
}

/// Each one's product, which are parts of one.
fn of_all(all: &[Rows], transposed: bool) -> Vec<FlexTensor> {
    let [first, ..] = all else {
        return Vec::new();
    };
    if let [only] = all {
        return vec![product_of_rows(&only.x, &only.weight, transposed)];
    }
    let inner = width(&first.x);
    let of = |rows: &Rows| rows.x.layout().shape()[0];
    let n: usize = all.iter().map(of).sum();
    let mut together = Vec::with_capacity(n * inner);
    for rows in all {
        together.extend_from_slice(values(&rows.x));
    }
    let together = tensor(together, Shape::from([n, inner]));
    let y = product_of_rows(&together, &first.weight, transposed);
    let (columns, memory) = (width(&y), y.data_arc());
    let mut start = 0;
    let parts = all.iter().map(|rows| {
        let part = Layout::new(
            Shape::from([of(rows), columns]),
            vec![columns as isize, 1],
            start * columns,
        );
        start += of(rows);
        FlexTensor::from_arc(Arc::clone(&memory), part, DType::F32)
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::{Gathering, matmul, transposed_product};

    fn numbers(dims: [usize; 2], seed: usize) -> Tensor<2> {
        let n = dims[0] * dims[1];
        let values: Vec<f32> = (0..n).map(|i| ((seed + i) as f32 * 0.7).sin()).collect();
        Tensor::from_data(TensorData::new(values, dims), &Device::flex())
    }

    /// Of any size: what is beside a thread's rows does not change them.
    #[test]
    fn rows_have_the_bits_that_they_have_alone() {
        let mut together = 0;
        for (inner, columns) in [(3, 65), (96, 72), (1100, 70), (70, 1100), (40, 30), (2, 80)] {
            for dtype in [DType::F32, DType::BF16, DType::F16] {
                let weight = numbers([inner, columns], 3).cast(dtype);
                let turned = numbers([columns, inner], 5).cast(dtype).transpose();
                let all_rows = [9, 70, 3, 300, 64, 17];
                let gathering = Gathering::new(&[weight.clone(), turned.clone()]);
                let places: Vec<_> = (0..all_rows.len())
                    .map(|who| gathering.place(who))
                    .collect();
                let products = |who: usize| {
                    let x = numbers([all_rows[who], inner], 11 * who);
                    let y = numbers([all_rows[who], columns], 13 * who);
                    [
                        matmul(x.clone(), weight.clone()).into_data(),
                        matmul(x, turned.clone()).into_data(),
                        transposed_product(y.clone(), weight.clone()).into_data(),
                        transposed_product(y, turned.clone()).into_data(),
                    ]
                };
                let found: Vec<_> = thread::scope(|scope| {
                    let products = &products;
                    let threads: Vec<_> = places
                        .into_iter()
                        .enumerate()
                        .map(|(who, place)| scope.spawn(move || place.take(|| products(who))))
                        .collect();
                    let threads = threads.into_iter();
                    threads
                        .map(|thread| thread.join().expect("no panic"))
                        .collect()
                });
                for (who, found) in found.iter().enumerate() {
                    assert!(*found == products(who), "{inner} {columns} {dtype:?} {who}");
                }
                let (asked, made) = gathering.products();
                together += asked - made;
            }
        }
        assert!(together > 60, "{together}");
    }
}
