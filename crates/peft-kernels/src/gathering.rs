//! [`Gathering`]: threads whose products with weights that they share are made together.

use burn::tensor::Tensor;

/// Threads that compute with weights which they share, as runs on one base do: where their rows are
/// multiplied by the same weight at the same time, that is one product of all their rows.
///
/// Each waits at such a product for the others that have a [`Place`] and are to come to it; one
/// that has waited for long goes on alone. *Invariant:* a row has the bits that it has alone,
/// whoever is there.
///
/// On `flex`; on other backends each multiplies its own.
#[derive(Debug)]
pub struct Gathering {
    #[cfg(feature = "flex")]
    inner: std::sync::Arc<crate::flex::Gathered>,
}

/// A place in a [`Gathering`]: as long as it is there, the others wait for the thread that has it.
#[derive(Debug)]
pub struct Place {
    #[cfg(feature = "flex")]
    inner: crate::flex::GatheredPlace,
}

impl Gathering {
    /// One whose threads share these weights.
    pub fn new(weights: &[Tensor<2>]) -> Self {
        #[cfg(not(feature = "flex"))]
        let _ = weights;
        Self {
            #[cfg(feature = "flex")]
            inner: std::sync::Arc::new(crate::flex::Gathered::new(weights)),
        }
    }

    /// The place of a thread, by a number that no other has.
    pub fn place(&self, who: usize) -> Place {
        #[cfg(not(feature = "flex"))]
        let _ = who;
        Place {
            #[cfg(feature = "flex")]
            inner: crate::flex::GatheredPlace::new(&self.inner, who),
        }
    }

    /// This thread, if it has a place, begins another pass over the weights.
    pub fn begin_anew() {
        #[cfg(feature = "flex")]
        crate::flex::begin_anew();
    }

    /// How many products were asked for by threads with a place, and how many were made of them.
    pub fn products(&self) -> (usize, usize) {
        #[cfg(feature = "flex")]
        return self.inner.products();
        #[cfg(not(feature = "flex"))]
        (0, 0)
    }
}

impl Place {
    /// Do `work` on this thread in this place.
    pub fn take<T>(self, work: impl FnOnce() -> T) -> T {
        #[cfg(feature = "flex")]
        return self.inner.take(work);
        #[cfg(not(feature = "flex"))]
        work()
    }
}
