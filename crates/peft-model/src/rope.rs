//! Rotary position embedding. *RoFormer*, Su et al. 2021,
//! [arXiv:2104.09864](https://arxiv.org/abs/2104.09864).

mod scaling;

use std::f64::consts::PI;

pub use scaling::RopeScaling;

/// Rotary settings.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// The base of the frequencies.
    pub theta: f64,
    /// How they are stretched.
    pub scaling: RopeScaling,
    /// The share of a head's features that is rotated, the first ones; above 0 and at most 1.
    pub fraction: f64,
}

impl RopeConfig {
    /// All features rotated, nothing stretched.
    pub fn new(theta: f64) -> Self {
        Self {
            theta,
            scaling: RopeScaling::Default,
            fraction: 1.0,
        }
    }

    /// Stretched frequencies.
    pub fn with_scaling(mut self, scaling: RopeScaling) -> Self {
        self.scaling = scaling;
        self
    }

    /// How many features of a head are rotated.
    pub fn rotary_dim(&self, head_dim: usize) -> usize {
        (head_dim as f64 * self.fraction) as usize
    }

    /// The frequencies in radians a position for a sequence of `length` positions,
    /// `[rotary_dim / 2]`.
    pub fn frequencies(&self, head_dim: usize, length: usize) -> Vec<f32> {
        let dim = self.rotary_dim(head_dim);
        let theta = match &self.scaling {
            RopeScaling::Dynamic {
                factor,
                max_positions,
            } => {
                let length = length.max(*max_positions) as f64;
                let grown = factor * length / *max_positions as f64 - (factor - 1.0);
                self.theta * grown.powf(dim as f64 / (dim as f64 - 2.0))
            }
            RopeScaling::Default
            | RopeScaling::Linear { .. }
            | RopeScaling::Llama3 { .. }
            | RopeScaling::Yarn { .. }
            | RopeScaling::Long { .. } => self.theta,
        };
        (0..dim / 2)
            .map(|i| {
                let frequency = 1.0 / theta.powf(2.0 * i as f64 / dim as f64);
                self.stretched(frequency, i, dim, length) as f32
            })
            .collect()
    }

    fn stretched(&self, frequency: f64, i: usize, dim: usize, length: usize) -> f64 {
        match &self.scaling {
            RopeScaling::Default | RopeScaling::Dynamic { .. } => frequency,
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_positions,
            } => {
                let length = *original_max_positions as f64;
                let wavelength = 2.0 * PI / frequency;
                if wavelength < length / high_freq_factor {
                    frequency
                } else if wavelength > length / low_freq_factor {
                    frequency / factor
                } else {
                    let smooth = (length / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
            RopeScaling::Yarn {
                factor,
                original_max_positions,
                beta_fast,
                beta_slow,
                truncate,
                ..
            } => {
                // The feature whose wavelength makes this many turns over the original length.
                let feature = |turns: f64| {
                    let length = *original_max_positions as f64;
                    dim as f64 * (length / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
                };
                let (mut low, mut high) = (feature(*beta_fast), feature(*beta_slow));
                if *truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                (low, high) = (low.max(0.0), high.min(dim as f64 - 1.0));
                if low == high {
                    high += 0.001;
                }
                let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                frequency / factor * ramp + frequency * (1.0 - ramp)
            }
            RopeScaling::Long {
                short,
                long,
                original_max_positions,
                ..
            } => {
                let factors = match length > *original_max_positions {
                    true => long,
                    false => short,
                };
                frequency / factors.get(i).copied().unwrap_or(1.0)
            }
        }
    }

    /// Whether keys of a sequence of `cached` positions serve one of `length`. LongRoPE's are
    /// rotated anew beyond the original length; those of the dynamic scaling keep the rotation of
    /// their time, as in transformers.
    pub(crate) fn cache_holds(&self, cached: usize, length: usize) -> bool {
        match self.scaling {
            RopeScaling::Long {
                original_max_positions: original,
                ..
            } => cached == 0 || (cached > original) == (length > original),
            RopeScaling::Default
            | RopeScaling::Linear { .. }
            | RopeScaling::Dynamic { .. }
            | RopeScaling::Llama3 { .. }
            | RopeScaling::Yarn { .. } => true,
        }
    }

    /// The factor on the rotated features.
    pub fn attention_factor(&self) -> f64 {
        match self.scaling {
            RopeScaling::Yarn {
                attention_factor, ..
            }
            | RopeScaling::Long {
                attention_factor, ..
            } => attention_factor,
            RopeScaling::Default
            | RopeScaling::Linear { .. }
            | RopeScaling::Dynamic { .. }
            | RopeScaling::Llama3 { .. } => 1.0,
        }
    }
}
