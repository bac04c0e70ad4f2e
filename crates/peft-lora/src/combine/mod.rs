//! [`Combination`]: the low-rank changes that several adapters make of one weight, as one.

mod rule;

use burn::tensor::{DType, Tensor, TensorData};
use nalgebra::DMatrix;
use peft_core::PeftError;

pub use rule::{MajoritySign, Rule};

use crate::{LowRank, Size};

/// What one adapter adds to a weight, and with which weight it is counted: `w · s · A B`.
#[derive(Debug, Clone)]
pub struct Part {
    /// `A`, `[d_in, rank]`.
    pub a: Tensor<2>,
    /// `B`, `[rank, d_out]`.
    pub b: Tensor<2>,
    /// The factor `s` of the product.
    pub scale: f64,
    /// `w`, of any sign.
    pub weight: f64,
}

impl Part {
    /// `s · A B`, `[d_in, d_out]`.
    fn delta(&self) -> Tensor<2> {
        let b = self.b.clone().mul_scalar(self.scale);
        self.a.clone().matmul(b)
    }
}

/// How several changes `Δᵢ = sᵢ Aᵢ Bᵢ` of a weight become one, `A B`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Combination {
    /// `A B = Σ wᵢ Δᵢ`, exactly: the factors side by side, of all ranks together. PEFT's `cat`.
    Cat,
    /// `A B ≈ rule(Δ, w)`: what the rule makes of the changes themselves, by its largest singular
    /// values. PEFT's `svd`, where the rule is a sum, and those that end in `_svd`.
    Deltas {
        /// What becomes of them.
        rule: Rule,
        /// How many singular values are kept.
        rank: usize,
    },
    /// `A = rule(Aᵢ, ± √|wᵢ sᵢ|)` and `B = rule(Bᵢ, √|wᵢ sᵢ|)`, the sign with `A`: PEFT's `linear`,
    /// where the rule is a sum, `ties`, `dare_linear`, `dare_ties` and `magnitude_prune`. Ranks are
    /// the same. The product has what `Aᵢ` makes with the `B` of *another* adapter too: it is near
    /// to no sum of the changes unless the adapters share a factor.
    Factors(Rule),
}

/// What a combination came to on one layer; the scale is 1.
#[derive(Debug, Clone)]
pub struct Combined {
    /// `A`, `[d_in, rank]`.
    pub a: Tensor<2>,
    /// `B`, `[rank, d_out]`.
    pub b: Tensor<2>,
    /// `‖Σ wᵢ Δᵢ‖`, of the Frobenius norm.
    pub length: f64,
    /// `‖A B − Σ wᵢ Δᵢ‖`.
    pub apart: f64,
}

impl Combination {
    /// Combine what adapters add to `layer`: those that are on it.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] where there is none, sides differ, ranks differ and must not,
    /// or a weight, a density or a rank is out of its bounds; [`PeftError::NonFinite`].
    pub fn of(&self, layer: &str, parts: &[Part]) -> Result<Combined, PeftError> {
        self.check(layer, parts)?;
        let [a, b] = match self {
            Self::Cat => side_by_side(parts),
            Self::Factors(rule) => {
                let weights = parts.iter().map(|part| part.weight * part.scale);
                let root = |weight: f64| weight.abs().sqrt();
                let of_a: Vec<f64> = weights.clone().map(|w| root(w) * sign(w)).collect();
                let of_b: Vec<f64> = weights.map(root).collect();
                let a = parts.iter().map(|part| part.a.clone());
                let b = parts.iter().map(|part| part.b.clone());
                [
                    rule.apply((layer, "A"), a, &of_a),
                    rule.apply((layer, "B"), b, &of_b),
                ]
            }
            Self::Deltas { rule, rank } => {
                let found = match rule {
                    Rule::Sum => {
                        let [a, b] = side_by_side(parts);
                        LowRank::of_product(a, b, *rank)
                    }
                    rule => {
                        let weights: Vec<f64> = parts.iter().map(|part| part.weight).collect();
                        let deltas = parts.iter().map(Part::delta);
                        let delta = rule.apply((layer, "delta"), deltas, &weights);
                        LowRank::of(delta, Size::Rank(*rank))
                    }
                };
                let found = found.ok_or_else(|| not_finite(layer))?;
                [found.a, found.b]
            }
        };
        let [exact_a, exact_b] = side_by_side(parts).map(|factor| matrix(&factor));
        let length = norm(&exact_a, &exact_b);
        let apart = match self {
            Self::Cat => 0.0,
            Self::Factors(_) | Self::Deltas { .. } => {
                let a = beside(matrix(&a), -exact_a);
                let b = beside(matrix(&b).transpose(), exact_b.transpose());
                norm(&a, &b.transpose())
            }
        };
        if !length.is_finite() || !apart.is_finite() {
            return Err(not_finite(layer));
        }
        Ok(Combined {
            a,
            b,
            length,
            apart,
        })
    }

    fn check(&self, layer: &str, parts: &[Part]) -> Result<(), PeftError> {
        let wrong = |field: String, value: String, expected| PeftError::InvalidSetting {
            field,
            value,
            expected,
        };
        let Some(first) = parts.first() else {
            let field = format!("what is combined on `{layer}`");
            return Err(wrong(field, "nothing".into(), "at least one adapter"));
        };
        if let Some(part) = parts.iter().find(|part| !part.weight.is_finite()) {
            let field = "the weight of an adapter".into();
            return Err(wrong(field, part.weight.to_string(), "finite"));
        }
        let sides = |part: &Part| [part.a.dims()[0], part.b.dims()[1]];
        if let Some(part) = parts.iter().find(|part| sides(part) != sides(first)) {
            return Err(wrong(
                format!("the shape of `{layer}`"),
                format!(
                    "{:?} in one adapter and {:?} in another",
                    sides(first),
                    sides(part)
                ),
                "the same in all, which are of one base",
            ));
        }
        let rank = |part: &Part| part.a.dims()[1];
        let rule = match self {
            Self::Cat => Rule::Sum,
            Self::Factors(rule) => {
                if let Some(part) = parts.iter().find(|part| rank(part) != rank(first)) {
                    return Err(wrong(
                        format!("the rank of `{layer}`"),
                        format!(
                            "{} in one adapter and {} in another",
                            rank(first),
                            rank(part)
                        ),
                        "the same in all where factors are combined; cat, svd and those that end in _svd take any",
                    ));
                }
                *rule
            }
            Self::Deltas { rule, rank } => {
                if *rank == 0 {
                    return Err(wrong("rank".into(), "0".into(), "at least 1"));
                }
                *rule
            }
        };
        match rule.density() {
            Some(density) if !(density > 0.0 && density <= 1.0) => {
                let expected = "above 0 and at most 1, the part that is kept";
                Err(wrong("density".into(), density.to_string(), expected))
            }
            _ => Ok(()),
        }
    }
}

fn not_finite(layer: &str) -> PeftError {
    PeftError::NonFinite { path: layer.into() }
}

/// 1 of zero, as PEFT has it.
fn sign(weight: f64) -> f64 {
    match weight < 0.0 {
        true => -1.0,
        false => 1.0,
    }
}

/// Factors of `Σ wᵢ Δᵢ`, the weights with `A`.
fn side_by_side(parts: &[Part]) -> [Tensor<2>; 2] {
    let weighted = |part: &Part| part.a.clone().mul_scalar(part.weight * part.scale);
    let a = parts.iter().map(weighted).collect();
    let b = parts.iter().map(|part| part.b.clone()).collect();
    [Tensor::cat(a, 1), Tensor::cat(b, 0)]
}

fn matrix(tensor: &Tensor<2>) -> DMatrix<f64> {
    let [rows, columns] = tensor.dims();
    let values: Vec<f64> = tensor.to_data().iter::<f64>().collect();
    DMatrix::from_row_iterator(rows, columns, values)
}

/// The columns of one behind those of the other.
fn beside(left: DMatrix<f64>, right: DMatrix<f64>) -> DMatrix<f64> {
    let (at, more) = (left.ncols(), right.ncols());
    let mut both = left.insert_columns(at, more, 0.0);
    both.columns_mut(at, more).copy_from(&right);
    both
}

/// `‖A B‖`: of the factors' products with themselves, `tr(AᵀA · BBᵀ)`.
fn norm(a: &DMatrix<f64>, b: &DMatrix<f64>) -> f64 {
    let (a, b) = (a.tr_mul(a), b * b.transpose());
    // What is below zero is rounding.
    let square: f64 = a.iter().zip(b.iter()).map(|(a, b)| a * b).sum();
    match square.is_nan() {
        true => f64::NAN,
        false => square.max(0.0).sqrt(),
    }
}

/// A tensor of these values where another one is.
fn like(values: Vec<f32>, of: &Tensor<2>) -> Tensor<2> {
    let data = TensorData::new(values, of.dims());
    Tensor::from_data(data, (&of.device(), DType::F32))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn tensor(shape: [usize; 2], seed: u64) -> Tensor<2> {
        let mut state = seed;
        let n = shape[0] * shape[1];
        let value = || crate::low_rank::uniform(&mut state) as f32;
        let values: Vec<f32> = std::iter::repeat_with(value).take(n).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn part(sides: [usize; 2], rank: usize, weight: f64, seed: u64) -> Part {
        Part {
            a: tensor([sides[0], rank], seed),
            b: tensor([rank, sides[1]], seed + 1),
            scale: 1.5,
            weight,
        }
    }

    fn sum(parts: &[Part]) -> Tensor<2> {
        let each = parts
            .iter()
            .map(|part| part.delta().mul_scalar(part.weight));
        each.reduce(|a, b| a + b).expect("parts")
    }

    fn far(a: Tensor<2>, b: Tensor<2>) -> f64 {
        f64::from((a - b).square().sum().into_scalar::<f32>()).sqrt()
    }

    fn parts() -> Vec<Part> {
        vec![
            part([12, 9], 2, 0.7, 1),
            part([12, 9], 3, -0.4, 5),
            part([12, 9], 1, 1.2, 9),
        ]
    }

    #[test]
    fn sums_are_sums_of_what_is_added() {
        let parts = parts();
        let whole = Combination::Cat.of("l", &parts).expect("it combines");
        assert_eq!(whole.a.dims(), [12, 6]);
        assert!(far(whole.a.matmul(whole.b), sum(&parts)) < 1e-5);
        assert!((whole.length - far(sum(&parts), sum(&parts).zeros_like())).abs() < 1e-4);
        for rank in [6, 7, 100] {
            let all = Combination::Deltas {
                rule: Rule::Sum,
                rank,
            };
            let found = all.of("l", &parts).expect("it combines");
            assert!(far(found.a.matmul(found.b), sum(&parts)) < 1e-5);
            assert!(found.apart < 1e-5, "{}", found.apart);
        }
        let less = Combination::Deltas {
            rule: Rule::Sum,
            rank: 2,
        };
        let less = less.of("l", &parts).expect("it combines");
        let best = LowRank::of(sum(&parts), Size::Rank(2)).expect("it is finite");
        let apart = far(less.a.matmul(less.b), sum(&parts));
        assert!(
            (apart - best.error * less.length).abs() < 1e-4 && (apart - less.apart).abs() < 1e-4
        );
    }

    #[test]
    fn factors_that_are_shared_give_the_sum_and_others_do_not() {
        let parts = vec![part([12, 9], 2, 0.7, 1), part([12, 9], 2, 0.3, 1)];
        let linear = Combination::Factors(Rule::Sum);
        let found = linear.of("l", &parts).expect("it combines");
        // (√.7 + √.3)² of the same product, where its weights sum to 1.
        let larger = (0.7f64.sqrt() + 0.3f64.sqrt()).powi(2);
        let product = found.a.matmul(found.b);
        assert!(far(product, sum(&parts).mul_scalar(larger)) < 1e-5);
        let apart = (larger - 1.0) * found.length;
        assert!((found.apart - apart).abs() < 1e-4);
    }

    #[test]
    fn what_cannot_be_combined_is_said() {
        let message = |how: Combination, parts: &[Part]| {
            how.of("q", parts).expect_err("an error").to_string()
        };
        let linear = Combination::Factors(Rule::Sum);
        assert!(message(linear, &parts()).contains("the rank of `q` is 2 in one adapter and 3"));
        let mut others = parts();
        others[1] = part([12, 8], 2, 1.0, 3);
        assert!(message(Combination::Cat, &others).contains("[12, 9] in one adapter and [12, 8]"));
        others[1] = part([12, 9], 2, f64::NAN, 3);
        assert!(message(Combination::Cat, &others).contains("NaN"));
        for density in [0.0, 1.1, f64::NAN] {
            let how = Combination::Deltas {
                rule: Rule::MagnitudePrune { density },
                rank: 1,
            };
            assert!(message(how, &parts()).contains("density"));
        }
        let none = Combination::Deltas {
            rule: Rule::Sum,
            rank: 0,
        };
        assert!(message(none, &parts()).contains("rank"));
        assert!(message(Combination::Cat, &[]).contains("nothing"));
    }
}
