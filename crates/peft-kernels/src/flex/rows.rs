//! Passes over memory: in runs of whole rows, on all cores, with the widest instructions of the
//! machine.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

/// The elements of a run. A pass over fewer is left to one core.
const RUN: usize = 1 << 14;

/// The lanes of a sum: as many partial sums, whatever the machine, so that all give the same bits.
const LANES: usize = 16;

/// What `work` does, compiled for this machine's widest instructions. It has to be inlined into its
/// caller to profit.
#[inline]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Rows of `width` elements in a run.
fn rows_a_run(width: usize) -> usize {
    (RUN / width.max(1)).max(1)
}

/// Fill `out`, rows of `width`, run by run; `fill` is given which elements of the whole these are.
pub(super) fn fill(out: &mut [f32], width: usize, fill: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    let run = rows_a_run(width) * width.max(1);
    if out.len() <= run {
        let all = 0..out.len();
        return vectorised(|| fill(all, out));
    }
    out.par_chunks_mut(run).enumerate().for_each(|(i, out)| {
        let elements = i * run..i * run + out.len();
        vectorised(|| fill(elements, out));
    });
}

/// As [`fill`], of two outputs of one length.
pub(super) fn fill_two(
    (first, second): (&mut [f32], &mut [f32]),
    width: usize,
    fill: impl Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync,
) {
    let run = rows_a_run(width) * width.max(1);
    first
        .par_chunks_mut(run)
        .zip(second.par_chunks_mut(run))
        .enumerate()
        .for_each(|(i, (first, second))| {
            let elements = i * run..i * run + first.len();
            vectorised(|| fill(elements, first, second));
        });
}

/// Change three vectors of one length, run by run.
pub(super) fn update_three(
    [first, second, third]: [&mut [f32]; 3],
    change: impl Fn(Range<usize>, [&mut [f32]; 3]) + Sync,
) {
    first
        .par_chunks_mut(RUN)
        .zip(second.par_chunks_mut(RUN))
        .zip(third.par_chunks_mut(RUN))
        .enumerate()
        .for_each(|(i, ((first, second), third))| {
            let elements = i * RUN..i * RUN + first.len();
            vectorised(|| change(elements, [first, second, third]));
        });
}

/// The sum over runs of rows of what `add` adds to a vector of `n`, in the order of the runs: the
/// same bits however many cores there are.
pub(super) fn sum_runs(
    elements: usize,
    width: usize,
    n: usize,
    add: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    // Longer runs than elsewhere, since each has a vector of its own.
    let run = 8 * rows_a_run(width) * width.max(1);
    let parts: Vec<Vec<f32>> = (0..elements.div_ceil(run))
        .into_par_iter()
        .map(|i| {
            let mut part = vec![0.0; n];
            vectorised(|| add(i * run..elements.min((i + 1) * run), &mut part));
            part
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_else(|| vec![0.0; n]);
    for part in parts {
        for (sum, part) in sum.iter_mut().zip(part) {
            *sum += part;
        }
    }
    sum
}

/// The sum of rows of `width`.
pub(super) fn sum_of_rows(all: &[f32], width: usize) -> Vec<f32> {
    sum_runs(all.len(), width, width, |run, sum| {
        for row in all[run].chunks_exact(width) {
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum += x;
            }
        }
    })
}

/// `Σ f(i)` in lanes.
#[inline(always)]
pub(super) fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n - n % LANES;
    let mut start = 0;
    while start < whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
        start += LANES;
    }
    let mut total = 0.0;
    for lane in lanes {
        total += lane;
    }
    for i in whole..n {
        total += f(i);
    }
    total
}

/// The largest element, or −∞.
#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let of_lanes = lanes.into_iter().fold(f32::NEG_INFINITY, larger);
    rest.iter().copied().fold(of_lanes, larger)
}
