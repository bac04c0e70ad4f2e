//! What `cargo xtask bench product` measures: products of matrices in memory, beside what the
//! processor's instructions could do.

pub use crate::flex::measure::{Factors, Way, peak};
