//! What is done to the scores of one query and a tile of keys. Scores are in units of ln 2, so that
//! exponentials are powers of two.

use super::product::LANES;
use crate::attention::rule::TILE;
use crate::flex::simd::Arithmetic;

/// Scores within bounds, and what a gradient is multiplied with on the way back through them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cap {
    /// In the units of the scores.
    pub(super) at: f32,
}

/// `2^x` for `x ≤ 126`, within 2 units in the last place; 0 below −126. Not-a-number stays so.
#[inline(always)]
pub(super) fn exp2<A: Arithmetic>(x: f32) -> f32 {
    const LOWEST: f32 = -126.0;
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: added, it rounds to an integer in the lowest bits
    let within = if x < LOWEST { LOWEST } else { x };
    let shifted = within + ROUND;
    let f = within - (shifted - ROUND);
    let mut p = 1.545_316_3e-4;
    p = A::multiply_add(p, f, 1.339_086_3e-3);
    p = A::multiply_add(p, f, 9.618_083e-3);
    p = A::multiply_add(p, f, 5.550_357e-2);
    p = A::multiply_add(p, f, 2.402_265e-1);
    p = A::multiply_add(p, f, 6.931_472e-1);
    p = A::multiply_add(p, f, 1.0);
    let y = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x < LOWEST { 0.0 } else { y }
}

/// The hyperbolic tangent, within 2 units in the last place near zero.
#[inline(always)]
fn tanh<A: Arithmetic>(x: f32) -> f32 {
    const TWICE: f32 = 2.0 * std::f32::consts::LOG2_E;
    // Cephes' `tanhf`.
    let square = x * x;
    let mut p = -5.704_988_7e-3;
    p = A::multiply_add(p, square, 2.063_909e-2);
    p = A::multiply_add(p, square, -5.373_971e-2);
    p = A::multiply_add(p, square, 1.333_144_2e-1);
    p = A::multiply_add(p, square, -3.333_328e-1);
    let near = A::multiply_add(p * square, x, x);
    let size = x.abs();
    let size = if size > 10.0 { 10.0 } else { size };
    let far = 1.0 - 2.0 / (exp2::<A>(size * TWICE) + 1.0);
    let far = if x < 0.0 { -far } else { far };
    if x.abs() < 0.625 { near } else { far }
}

impl Cap {
    #[inline(always)]
    pub(super) fn hold<A: Arithmetic>(self, scores: &mut [f32]) {
        let inverse = 1.0 / self.at;
        for s in scores {
            *s = self.at * tanh::<A>(*s * inverse);
        }
    }
}

#[inline(always)]
pub(super) fn add(row: &mut [f32], bias: &[f32; TILE]) {
    for (x, bias) in row.iter_mut().zip(bias) {
        *x += bias;
    }
}

#[inline(always)]
pub(super) fn scale(row: &mut [f32], factor: f32) {
    for x in row {
        *x *= factor;
    }
}

#[inline(always)]
pub(super) fn multiply(row: &mut [f32], factors: &[f32]) {
    for (x, factor) in row.iter_mut().zip(factors) {
        *x *= factor;
    }
}

/// The largest; a not-a-number may be passed over.
#[inline(always)]
pub(super) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in row.as_chunks::<LANES>().0 {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    halve(lanes, |a, b| if b > a { b } else { a })
}

/// The lanes' sum, always in one order.
#[inline(always)]
pub(super) fn total(lanes: [f32; LANES]) -> f32 {
    halve(lanes, |a, b| a + b)
}

#[inline(always)]
fn halve(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] = join(lanes[i], lanes[i + half]);
        }
    }
    lanes[0]
}

/// `2^(x − shift)` of each, added to the lanes.
#[inline(always)]
pub(super) fn exponentials<A: Arithmetic>(row: &mut [f32], shift: f32, lanes: &mut [f32; LANES]) {
    let mut sums = *lanes;
    for chunk in row.as_chunks_mut::<LANES>().0 {
        for x in chunk.iter_mut() {
            *x = exp2::<A>(*x - shift);
        }
        for (sum, x) in sums.iter_mut().zip(&*chunk) {
            *sum += x;
        }
    }
    *lanes = sums;
}
