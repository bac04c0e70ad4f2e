//! [`ModelConfigError`]: a size or switch of a model that cannot be.

/// A setting of a model's config that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {value}, but must be {expected}")]
#[non_exhaustive]
pub struct ModelConfigError {
    /// The setting.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What it must be.
    pub expected: &'static str,
}

/// More than any model has; keeps a config that lies from taking all memory.
const MAX_LAYERS: usize = 4096;

impl ModelConfigError {
    pub(crate) fn new(field: &'static str, value: f64, expected: &'static str) -> Self {
        Self {
            field,
            value,
            expected,
        }
    }

    /// Every size between 1 and 2^26.
    pub(crate) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), Self> {
        match sizes.iter().find(|(_, size)| !(1..=1 << 26).contains(size)) {
            Some((field, size)) => Err(Self::new(field, *size as f64, "between 1 and 2^26")),
            None => Ok(()),
        }
    }

    /// A number of layers that a model can have.
    pub(crate) fn check_layers(n_layers: usize) -> Result<(), Self> {
        match (1..=MAX_LAYERS).contains(&n_layers) {
            true => Ok(()),
            false => Err(Self::new("n_layers", n_layers as f64, "between 1 and 4096")),
        }
    }

    /// Every number finite and above zero.
    pub(crate) fn check_positive(numbers: &[(&'static str, f64)]) -> Result<(), Self> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        match numbers.iter().find(|(_, value)| !positive(*value)) {
            Some((field, value)) => Err(Self::new(field, *value, "finite and above zero")),
            None => Ok(()),
        }
    }
}
