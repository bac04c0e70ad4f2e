//! Devices and dtypes by name.

use burn::tensor::{DType, Device};

use crate::error::CliError;

/// The backends of this build.
const BACKENDS: &[&str] = &[
    #[cfg(feature = "flex")]
    "flex",
    #[cfg(feature = "ndarray")]
    "ndarray",
    #[cfg(feature = "cuda")]
    "cuda",
];

/// A device by its name, such as `flex` or `cuda:1`.
pub(crate) fn device(name: &str) -> Result<Device, CliError> {
    let (backend, index) = match name.split_once(':') {
        Some((backend, index)) => (
            backend,
            index.parse::<usize>().map_err(|_| {
                CliError::Usage(format!("device `{name}`: `{index}` is no device number"))
            })?,
        ),
        None => (name, 0),
    };
    let _ = index;
    match backend {
        #[cfg(feature = "flex")]
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(index)),
        _ => Err(CliError::Usage(format!(
            "no device `{name}` in this build; it has {} (others are Cargo features)",
            BACKENDS.join(", ")
        ))),
    }
}

/// A dtype by its name.
pub(crate) fn dtype(name: &str) -> Result<DType, CliError> {
    match name {
        "f32" => Ok(DType::F32),
        "bf16" => Ok(DType::BF16),
        "f16" => Ok(DType::F16),
        _ => Err(CliError::Usage(format!(
            "no dtype `{name}`; there are f32, bf16 and f16"
        ))),
    }
}

/// Whether a device computes on the processor's cores.
pub(crate) fn on_cores(name: &str) -> bool {
    ["flex", "ndarray"].contains(&name)
}
