//! [`Sight`]: which keys a query sees by their places alone.

/// Added to the score of a key that may not be seen. Finite, so that a row of nothing else is not
/// NaN.
pub(crate) const HIDDEN: f32 = -1e30;

/// The segment of positions that every sequence of a row sees: those of a prefix, for instance.
pub const EVERY_SEQUENCE: i64 = -1;

/// Which keys a query sees by their places alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Only keys up to the query's own place.
    pub causal: bool,
    /// Only keys at most this many places away.
    pub reach: Option<usize>,
}

impl Sight {
    /// All keys.
    pub const ALL: Self = Self {
        causal: false,
        reach: None,
    };

    /// All keys up to the query's own place.
    pub const CAUSAL: Self = Self {
        causal: true,
        reach: None,
    };
}
