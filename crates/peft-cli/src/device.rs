//! Devices and dtypes by name.

use burn::tensor::{DType, Device};

use crate::args::{HoldArg, ModelArgs};
use crate::error::CliError;

/// The backends of this build.
pub(crate) const BACKENDS: &[&str] = &[
    #[cfg(feature = "flex")]
    "flex",
    #[cfg(feature = "ndarray")]
    "ndarray",
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "wgpu")]
    "wgpu",
    #[cfg(feature = "vulkan")]
    "vulkan",
    #[cfg(feature = "metal")]
    "metal",
];

/// Where and how precisely a model runs.
pub(crate) fn placed(args: &ModelArgs) -> Result<(Device, DType), CliError> {
    let dtype = dtype(&args.dtype)?;
    if args.device == "ndarray" && dtype != DType::F32 {
        return Err(CliError::Usage(format!(
            "device `ndarray` has no dtype `{}`; it has f32",
            args.dtype
        )));
    }
    if let Some(held @ (HoldArg::Nf4 | HoldArg::Q8)) = args.quantise
        && args.device != "flex"
    {
        return Err(CliError::Usage(format!(
            "--quantise {} is for device `flex`, and this is `{}`: nothing else multiplies packed weights yet",
            held.name(),
            args.device
        )));
    }
    Ok((device(&args.device)?, dtype))
}

/// A dtype by its name.
pub(crate) fn dtype(name: &str) -> Result<DType, CliError> {
    match name {
        "f32" => Ok(DType::F32),
        "bf16" => Ok(DType::BF16),
        "f16" => Ok(DType::F16),
        name => Err(CliError::Usage(format!(
            "no dtype `{name}`; there are f32, bf16 and f16"
        ))),
    }
}

/// A device by its name, such as `flex` or `cuda:1`.
pub(crate) fn device(name: &str) -> Result<Device, CliError> {
    let (backend, index) = match name.split_once(':') {
        Some((backend, index)) => (
            backend,
            Some(index.parse::<usize>().map_err(|_| {
                CliError::Usage(format!("device `{name}`: `{index}` is no device number"))
            })?),
        ),
        None => (name, None),
    };
    if on_cores(backend) && index.is_some() {
        return Err(CliError::Usage(format!(
            "device `{name}`: there is only one `{backend}`"
        )));
    }
    match backend {
        #[cfg(feature = "flex")]
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(index.unwrap_or(0))),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(kind(index))),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(kind(index))),
        #[cfg(feature = "metal")]
        "metal" => Ok(Device::metal(kind(index))),
        _ => Err(CliError::Usage(format!(
            "no device `{name}` in this build; it has {} (others are Cargo features)",
            BACKENDS.join(", ")
        ))),
    }
}

/// The graphics adapter of this number, or the one that the system prefers.
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
fn kind(index: Option<usize>) -> burn::tensor::DeviceKind {
    index.map_or_else(Default::default, burn::tensor::DeviceKind::DiscreteGpu)
}

/// Whether a device computes on the processor's cores.
pub(crate) fn on_cores(name: &str) -> bool {
    ["flex", "ndarray"].contains(&name)
}

/// The names of the backends of this build, each of which is its first device.
pub(crate) fn known() -> Vec<String> {
    BACKENDS.iter().map(|name| (*name).to_owned()).collect()
}

/// Where a model whose values are not needed is described.
pub(crate) fn any() -> Result<Device, CliError> {
    device(BACKENDS.first().copied().unwrap_or("flex"))
}
