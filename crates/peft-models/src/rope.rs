//! Rotary position embedding. *RoFormer*, Su et al. 2021, [arXiv:2104.09864](https://arxiv.org/abs/2104.09864).

use burn::tensor::{DType, Device, Tensor, TensorData};

/// How the rotary frequencies are stretched for longer sequences.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    Default,
    /// All frequencies divided by `factor`.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3's: low frequencies divided by `factor`, high ones kept, a smooth passage between.
    Llama3 {
        /// The factor for low frequencies.
        factor: f64,
        /// Wavelengths above `original_max_positions / low_freq_factor` are low frequencies.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_positions / high_freq_factor` are high frequencies.
        high_freq_factor: f64,
        /// The sequence length before stretching.
        original_max_positions: usize,
    },
}

/// Rotary settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeConfig {
    /// The base of the frequencies.
    pub theta: f64,
    /// How they are stretched.
    pub scaling: RopeScaling,
}

impl RopeConfig {
    /// The frequencies in radians a position, `[head_dim / 2]`.
    pub fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        (0..head_dim / 2)
            .map(|i| {
                let frequency = 1.0 / self.theta.powf(2.0 * i as f64 / head_dim as f64);
                self.stretched(frequency) as f32
            })
            .collect()
    }

    fn stretched(&self, frequency: f64) -> f64 {
        match self.scaling {
            RopeScaling::Default => frequency,
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_positions,
            } => {
                let length = original_max_positions as f64;
                let wavelength = 2.0 * std::f64::consts::PI / frequency;
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
        }
    }
}

/// The rotation of a run of positions, made once a forward for all layers.
pub(crate) struct Rotation {
    cos: Tensor<4>, // [1, 1, positions, head_dim / 2]
    sin: Tensor<4>,
}

impl Rotation {
    pub(crate) fn new(
        config: &RopeConfig,
        head_dim: usize,
        start: usize,
        positions: usize,
        device: &Device,
    ) -> Self {
        let frequencies = config.frequencies(head_dim);
        let angles: Vec<f32> = (start..start + positions)
            .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f))
            .collect();
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|angle| f(*angle)).collect();
            Tensor::from_data(
                TensorData::new(values, [1, 1, positions, head_dim / 2]),
                (device, DType::F32),
            )
        };
        Self {
            cos: table(f32::cos),
            sin: table(f32::sin),
        }
    }

    /// Rotate queries or keys, the first half of the features against the second.
    ///
    /// # Shapes
    ///
    /// `x` and the result are `[batch, heads, positions, head_dim]`.
    pub(crate) fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let first = a.clone() * self.cos.clone() - b.clone() * self.sin.clone();
        let second = b * self.cos.clone() + a * self.sin.clone();
        Tensor::cat(vec![first, second], 3).cast(dtype)
    }
}
