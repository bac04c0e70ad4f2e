//! Support for the cross-backend suite: which devices there are, and how close is equal.

mod evidence;
mod tensors;

use burn::tensor::Device;

pub use evidence::verified;
pub use tensors::{Tensors, read_tensors};

/// Absolute and relative tolerance of a comparison with a value computed another way.
pub mod tolerance {
    /// Two paths through the same backend in f32.
    pub const PATHS: f32 = 1e-5;
    /// Logits against the reference implementation in f32.
    pub const GOLDEN_LOGITS: f32 = 1e-4;
    /// Values against the reference implementation, both computed in bf16, relative to the largest.
    pub const GOLDEN_BF16: f32 = 2e-2;
    /// Gradients and losses against the reference implementation in f32, relative.
    pub const GOLDEN_GRADIENTS: f32 = 1e-4;
}

/// The device of a backend by its name.
///
/// # Panics
///
/// On a name that this build has no backend for.
pub fn device(backend: &str) -> Device {
    match backend {
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        #[cfg(feature = "ndarray")]
        "ndarray" => ndarray(),
        other => panic!("no backend `{other}` in this build"),
    }
}

/// The name of a device's backend.
///
/// # Panics
///
/// On a device that [`device`] does not give.
pub fn backend(device: &Device) -> &'static str {
    let shown = format!("{device:?}").to_lowercase();
    let known = ["flex", "ndarray"];
    known
        .into_iter()
        .find(|name| shown.contains(name))
        .unwrap_or_else(|| panic!("no name for {device:?}"))
}

/// Turns functions of a device into one test a backend: `cases!(one, two);` runs `one(&device)`
/// and `two(&device)` as `flex::one`, `ndarray::one` and so on.
#[macro_export]
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        #[cfg(feature = "flex")]
        mod flex {
            $(#[test] fn $name() { super::$name(&$crate::device("flex")); })+
        }
        #[cfg(feature = "ndarray")]
        mod ndarray {
            $(#[test] fn $name() { super::$name(&$crate::device("ndarray")); })+
        }
    };
}

/// Burn has deprecated this backend in favour of Flex; it is tested here for as long as it is there.
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
fn ndarray() -> Device {
    Device::ndarray()
}
