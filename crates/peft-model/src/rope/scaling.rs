//! [`RopeScaling`]: rotary frequencies for sequences longer than those that a model was first made
//! for.

/// How the rotary frequencies are stretched for longer sequences.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    Default,
    /// All frequencies divided by `factor`.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// The base grows with the length of a sequence beyond `max_positions`.
    Dynamic {
        /// How fast it grows.
        factor: f64,
        /// The length up to which nothing changes.
        max_positions: usize,
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
    /// Low frequencies divided by `factor`, high ones kept, a ramp over the features between.
    /// *YaRN*, Peng et al. 2023, [arXiv:2309.00071](https://arxiv.org/abs/2309.00071).
    Yarn {
        /// The factor for low frequencies.
        factor: f64,
        /// The sequence length before stretching.
        original_max_positions: usize,
        /// The factor on the rotated features.
        attention_factor: f64,
        /// The ramp begins at the feature that turns this often over the original length.
        beta_fast: f64,
        /// It ends at the feature that turns this often.
        beta_slow: f64,
        /// Whether the ramp's ends are whole features.
        truncate: bool,
    },
    /// Each frequency divided by a factor of its own, one set for sequences up to the original
    /// length and another for longer ones. *LongRoPE*, Ding et al. 2024,
    /// [arXiv:2402.13753](https://arxiv.org/abs/2402.13753).
    Long {
        /// The factors up to the original length, `[rotary_dim / 2]`.
        short: Vec<f64>,
        /// The factors beyond it, `[rotary_dim / 2]`.
        long: Vec<f64>,
        /// The sequence length before stretching.
        original_max_positions: usize,
        /// The factor on the rotated features.
        attention_factor: f64,
    },
}
