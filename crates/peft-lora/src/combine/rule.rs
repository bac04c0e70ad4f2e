//! [`Rule`]: what becomes of tensors of one shape and their weights.

use burn::tensor::Tensor;

use super::like;
use crate::low_rank::splitmix64;

/// Which sign an element has where tensors differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MajoritySign {
    /// That of the sum of the values.
    #[default]
    Total,
    /// That of more of the tensors.
    Frequency,
}

/// What becomes of tensors `tᵢ` with weights `wᵢ`, element by element. As in PEFT, the sign that
/// wins is that of the tensors without their weights, and a tie is won by the plus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// `Σ wᵢ tᵢ`: task arithmetic, Ilharco et al. 2022,
    /// [arXiv:2212.04089](https://arxiv.org/abs/2212.04089).
    Sum,
    /// `Σ wᵢ top(tᵢ)`, where `top` keeps the part `density` that is largest by its absolute value.
    MagnitudePrune {
        /// The part that is kept.
        density: f64,
    },
    /// `Σ wᵢ drop(tᵢ)`, where `drop` keeps each element with probability `density` and divides it
    /// by that: *DARE*, Yu et al. 2023, [arXiv:2311.03099](https://arxiv.org/abs/2311.03099).
    DareLinear {
        /// The probability.
        density: f64,
        /// Decides, with the layer and the adapter's place, what is kept.
        seed: u64,
    },
    /// `Σ wᵢ uᵢ mᵢ / max(Σ mᵢ, 1)` of `u = top(t)`, where `mᵢ` is 1 where `uᵢ` has the sign that
    /// wins and 0 elsewhere: *TIES-Merging*, Yadav et al. 2023,
    /// [arXiv:2306.01708](https://arxiv.org/abs/2306.01708).
    Ties {
        /// The part that is kept.
        density: f64,
        /// Which sign wins.
        sign: MajoritySign,
    },
    /// The same of `u = drop(t)`.
    DareTies {
        /// The probability.
        density: f64,
        /// Decides, with the layer and the adapter's place, what is kept.
        seed: u64,
        /// Which sign wins.
        sign: MajoritySign,
    },
}

impl Rule {
    /// The part that is kept of each tensor, where not all is.
    pub(super) fn density(&self) -> Option<f64> {
        match self {
            Self::Sum => None,
            Self::MagnitudePrune { density }
            | Self::DareLinear { density, .. }
            | Self::Ties { density, .. }
            | Self::DareTies { density, .. } => Some(*density),
        }
    }

    /// What becomes of these; `at` is the layer and what of it they are.
    pub(super) fn apply(
        &self,
        at: (&str, &str),
        tensors: impl Iterator<Item = Tensor<2>>,
        weights: &[f64],
    ) -> Tensor<2> {
        let mut of = None;
        let mut kept: Vec<Vec<f32>> = Vec::with_capacity(weights.len());
        for (i, tensor) in tensors.enumerate() {
            let mut values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
            match self {
                Self::Sum => {}
                Self::MagnitudePrune { density } | Self::Ties { density, .. } => {
                    keep_largest(&mut values, *density);
                }
                Self::DareLinear { density, seed } | Self::DareTies { density, seed, .. } => {
                    keep_some(&mut values, *density, (*seed, at, i));
                }
            }
            kept.push(values);
            of.get_or_insert(tensor);
        }
        let Some(of) = of else {
            unreachable!("there is a tensor of each adapter");
        };
        let n = kept[0].len();
        let sum = |at: usize| {
            let each = kept.iter().zip(weights);
            each.map(|(values, weight)| f64::from(values[at]) * weight)
                .sum::<f64>()
        };
        let elected = |at: usize, sign: MajoritySign| {
            let values = kept.iter().map(|values| f64::from(values[at]));
            let ballot: f64 = match sign {
                MajoritySign::Total => values.sum(),
                MajoritySign::Frequency => values.map(signum).sum(),
            };
            let winner = if ballot >= 0.0 { 1.0 } else { -1.0 };
            let each = kept.iter().zip(weights);
            let (mut sum, mut count) = (0.0, 0.0f64);
            for (values, weight) in each {
                let value = f64::from(values[at]);
                if signum(value) == winner {
                    sum += value * weight;
                    count += 1.0;
                }
            }
            sum / count.max(1.0)
        };
        let value = |at| match self {
            Self::Sum | Self::MagnitudePrune { .. } | Self::DareLinear { .. } => sum(at),
            Self::Ties { sign, .. } | Self::DareTies { sign, .. } => elected(at, *sign),
        };
        like((0..n).map(|at| value(at) as f32).collect(), &of)
    }
}

/// The sign, 0 of zero.
fn signum(value: f64) -> f64 {
    match value == 0.0 {
        true => 0.0,
        false => value.signum(),
    }
}

/// Zeros in place of all but the part of the values that is largest.
fn keep_largest(values: &mut [f32], density: f64) {
    let k = (density * values.len() as f64) as usize;
    if k >= values.len() {
        return;
    }
    let mut sizes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
    // The largest that is left out: all above it are kept, and as many of its own size as there is
    // room for.
    let (above, least, _) = sizes.select_nth_unstable_by(k, |a, b| b.total_cmp(a));
    let least = *least;
    let mut room = above.iter().filter(|size| **size == least).count();
    for value in values {
        let size = value.abs();
        let stays = size > least || (size == least && room > 0);
        room -= usize::from(stays && size == least);
        if !stays {
            *value = 0.0;
        }
    }
}

/// Zeros in place of values that fall out, and what is kept so much larger.
fn keep_some(values: &mut [f32], density: f64, at: (u64, (&str, &str), usize)) {
    if density >= 1.0 {
        return;
    }
    let mut state = seed_of(at);
    for value in values {
        let drawn = (splitmix64(&mut state) >> 11) as f64 / (1u64 << 53) as f64;
        *value = match drawn < density {
            true => (f64::from(*value) / density) as f32,
            false => 0.0,
        };
    }
}

/// The FNV-1a hash of `SEED/LAYER/PLACE/WHAT`, so that a layer's draw depends on no other layer.
fn seed_of((seed, (layer, what), place): (u64, (&str, &str), usize)) -> u64 {
    let text = format!("{seed}/{layer}/{place}/{what}");
    let next = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_no_more() {
        let kept = |values: &[f32], density| {
            let mut values = values.to_vec();
            keep_largest(&mut values, density);
            values
        };
        assert_eq!(kept(&[1.0, -3.0, 2.0, 0.5], 0.5), [0.0, -3.0, 2.0, 0.0]);
        assert_eq!(
            kept(&[2.0, -2.0, 2.0, 2.0, 3.0], 0.6),
            [2.0, -2.0, 0.0, 0.0, 3.0]
        );
        assert_eq!(kept(&[1.0, 2.0], 0.4), [0.0, 0.0]);
        assert_eq!(kept(&[1.0, 2.0], 1.0), [1.0, 2.0]);
    }

    #[test]
    fn what_falls_out_is_made_up_for() {
        let at = |seed, place| (seed, ("layer", "A"), place);
        let drawn = |at| {
            let mut values = vec![1.0f32; 20_000];
            keep_some(&mut values, 0.2, at);
            values
        };
        let found = drawn(at(3, 0));
        assert!(
            found
                .iter()
                .all(|value| *value == 0.0 || (*value - 5.0).abs() < 1e-6)
        );
        let mean: f32 = found.iter().sum::<f32>() / found.len() as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        assert_eq!(found, drawn(at(3, 0)));
        assert_ne!(found, drawn(at(4, 0)));
        assert_ne!(found, drawn(at(3, 1)));
    }
}
