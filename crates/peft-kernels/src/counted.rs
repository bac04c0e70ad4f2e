//! How much was multiplied: what a plan of a step is held against.

use std::sync::atomic::{AtomicU64, Ordering};

static MULTIPLY_ADDS: AtomicU64 = AtomicU64::new(0);

/// The multiply-adds of all products that this process has made in one pass: those of layers, of
/// their gradients and of attention, on `flex`. Of attention, whole tiles are counted, of which the
/// rule may hide a part.
///
/// Other backends count none.
pub fn multiply_adds() -> u64 {
    MULTIPLY_ADDS.load(Ordering::Relaxed)
}

/// Count a product.
#[cfg(feature = "flex")]
pub(crate) fn count(multiply_adds: usize) {
    MULTIPLY_ADDS.fetch_add(multiply_adds as u64, Ordering::Relaxed);
}
