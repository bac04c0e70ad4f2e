//! [`Schedule`]: the learning rate as a function of the step, so that a resumed run needs no state
//! for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the learning rate falls after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// In a straight line to zero at the end.
    #[default]
    Linear,
    /// Along half a cosine to zero at the end.
    Cosine,
    /// It rises, by equal factors from [`LEAST`] of the peak to the peak: to find a rate, as in
    /// *Cyclical Learning Rates*, Smith 2017, [arXiv:1506.01186](https://arxiv.org/abs/1506.01186).
    Rising,
}

/// What [`Schedule::Rising`] begins with, of the peak.
pub const LEAST: f64 = 1e-5;

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Rising => "rising",
        })
    }
}

/// How long the learning rate rises, in a straight line from zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Warmup {
    /// This fraction of all steps.
    Fraction(f64),
    /// This many steps.
    Steps(usize),
}

impl Warmup {
    /// The number of warm-up steps of a run.
    pub fn steps(self, total: usize) -> usize {
        match self {
            Self::Fraction(fraction) => (fraction * total as f64).ceil() as usize,
            Self::Steps(steps) => steps,
        }
    }
}

impl Schedule {
    /// The factor on the peak learning rate at `step`, counted from 0, of `total`; `warmup` steps
    /// rise.
    ///
    /// As transformers' schedules count: the factor of step `s` is that of its scheduler after `s`
    /// calls.
    pub fn factor(self, step: usize, warmup: usize, total: usize) -> f64 {
        if step < warmup {
            return step as f64 / warmup.max(1) as f64;
        }
        let progress = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
        let progress = progress.min(1.0);
        match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - progress,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Self::Rising => LEAST.powf(1.0 - progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST, Schedule, Warmup};

    #[test]
    fn rises_then_falls() {
        let factors = |schedule: Schedule| -> Vec<f64> {
            (0..10).map(|step| schedule.factor(step, 2, 10)).collect()
        };
        assert_eq!(factors(Schedule::Constant)[..3], [0.0, 0.5, 1.0]);
        assert_eq!(factors(Schedule::Linear)[..4], [0.0, 0.5, 1.0, 0.875]);
        assert!((factors(Schedule::Cosine)[6] - 0.5).abs() < 1e-12);
        assert_eq!(Schedule::Linear.factor(10, 2, 10), 0.0);
        let ends = [0, 5, 10].map(|step| Schedule::Rising.factor(step, 0, 10));
        assert_eq!([ends[0], ends[2]], [LEAST, 1.0]);
        assert!((ends[1] / LEAST.sqrt() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_fraction_of_the_steps_warms_up() {
        assert_eq!(Warmup::Fraction(0.1).steps(95), 10);
        assert_eq!(Warmup::Steps(7).steps(95), 7);
    }
}
