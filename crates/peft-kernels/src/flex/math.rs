//! Functions without branches, which compilers turn into vector instructions. Not-a-number stays
//! so.

/// `e^x` by `2^n e^r` with `|r| ≤ ln 2 / 2` and a polynomial for `e^r` (Cephes' `expf`), within 2
/// units in the last place; 0 below −87.3, and above 88.3 what it is there.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.3;
    // 1.5 · 2²³: added to a small number, it leaves that rounded to an integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let within = if x < LOWEST { LOWEST } else { x };
    let within = if within > HIGHEST { HIGHEST } else { within };
    let shifted = within * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that the difference is exact.
    let r = (within - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut p = 1.987_569_2e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let of_r = p * r * r + r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let scale = f32::from_bits(exponent.wrapping_add(127) << 23);
    let y = of_r * scale;
    if x < LOWEST { 0.0 } else { y }
}

/// `1 / (1 + e^−x)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent, to 2e-7.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// The normal distribution's function, `(1 + erf(x / √2)) / 2`, to 2e-7, with Eigen's rational
/// approximation of erf.
#[inline(always)]
pub(super) fn normal(x: f32) -> f32 {
    // Beyond it erf is ±1 in f32.
    const LIMIT: f32 = 4.0;
    let z = x * std::f32::consts::FRAC_1_SQRT_2;
    let within = if z < -LIMIT { -LIMIT } else { z };
    let within = if within > LIMIT { LIMIT } else { within };
    let square = within * within;
    let mut p = -2.726_142_3e-10;
    p = p * square + 2.770_681_4e-8;
    p = p * square - 2.101_024e-6;
    p = p * square - 5.692_506_5e-5;
    p = p * square - 7.349_906_3e-4;
    p = p * square - 2.954_6e-3;
    p = p * square - 1.609_603_3e-2;
    let mut q = -1.456_607_2e-5;
    q = q * square - 2.133_740_6e-4;
    q = q * square - 1.682_827e-3;
    q = q * square - 7.373_329_2e-3;
    q = q * square - 1.426_473_9e-2;
    let erf = within * p / q;
    let erf = if z >= LIMIT { 1.0 } else { erf };
    let erf = if z <= -LIMIT { -1.0 } else { erf };
    0.5 * (1.0 + erf)
}

/// The normal distribution's density.
#[inline(always)]
pub(super) fn density(x: f32) -> f32 {
    const AT_ZERO: f32 = 0.398_942_3; // 1 / √(2π)
    AT_ZERO * exp(-0.5 * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From −12 to 12, the range of activations, and around zero.
    fn points() -> impl Iterator<Item = f32> {
        let coarse = (-120_000..=120_000).map(|i| i as f32 * 1e-4);
        coarse.chain((-1000..=1000).map(|i| i as f32 * 1e-7))
    }

    #[test]
    fn exponentials_are_near_those_of_f64() {
        for x in points().chain((-870..880).map(|i| i as f32 * 0.1)) {
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found - expected).abs() <= 2.4e-7 * expected,
                "{x}: {found}, expected {expected}"
            );
        }
    }

    #[test]
    fn the_ends_are_kept() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::INFINITY) > 1e38);
        assert_eq!([normal(-1e4), normal(1e4)], [0.0, 1.0]);
        assert_eq!([tanh(-1e4), tanh(1e4)], [-1.0, 1.0]);
        assert_eq!([sigmoid(-1e4), sigmoid(1e4)].map(|y| y.round()), [0.0, 1.0]);
        for f in [exp, sigmoid, tanh, normal, density] {
            assert!(f(f32::NAN).is_nan());
        }
    }

    #[test]
    fn functions_are_near_those_of_f64() {
        for x in points() {
            let wide = f64::from(x);
            let sigmoid_of = 1.0 / (1.0 + (-wide).exp());
            let density_of = (-0.5 * wide * wide).exp() / (2.0 * std::f64::consts::PI).sqrt();
            for (name, found, expected) in [
                ("sigmoid", sigmoid(x), sigmoid_of),
                ("tanh", tanh(x), wide.tanh()),
                ("density", density(x), density_of),
            ] {
                let off = (f64::from(found) - expected).abs();
                assert!(off <= 2.5e-7, "{name} of {x}: {found}, expected {expected}");
            }
        }
    }

    /// Beside the integral of the density by Simpson's rule in f64.
    #[test]
    fn the_normal_function_is_the_integral_of_its_density() {
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = 1e-3;
        let mut integral = 0.0;
        for i in 0..12_000 {
            let at = -6.0 + f64::from(i) * step;
            integral +=
                step / 6.0 * (density(at) + 4.0 * density(at + step / 2.0) + density(at + step));
            let x = (at + step) as f32;
            let off = (f64::from(normal(x)) - integral).abs();
            assert!(off <= 2.5e-7, "{x}: {}, expected {integral}", normal(x));
        }
    }
}
