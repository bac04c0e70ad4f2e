//! The backends of this build, by name.

#[cfg(any(feature = "vulkan", feature = "wgpu"))]
use burn::tensor::DeviceKind;
use burn::tensor::{DType, Device, Tensor};

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
        #[cfg(feature = "vulkan")]
        "vulkan" => Device::vulkan(DeviceKind::DefaultDevice),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(DeviceKind::DefaultDevice),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(0),
        other => panic!("no backend `{other}` in this build"),
    }
}

/// A device of each backend of this build.
pub fn devices() -> Vec<Device> {
    let names: &[&str] = &[
        #[cfg(feature = "flex")]
        "flex",
        #[cfg(feature = "ndarray")]
        "ndarray",
        #[cfg(feature = "vulkan")]
        "vulkan",
        #[cfg(feature = "wgpu")]
        "wgpu",
        #[cfg(feature = "cuda")]
        "cuda",
    ];
    names.iter().map(|name| device(name)).collect()
}

/// The name of a device's backend.
///
/// # Panics
///
/// On a device that [`device`] does not give.
pub fn backend(device: &Device) -> &'static str {
    let shown = format!("{device:?}").to_lowercase();
    // A device of Vulkan is one of wgpu that says which driver it wants.
    let known = ["flex", "ndarray", "vulkan", "wgpu", "cuda"];
    known
        .into_iter()
        .find(|name| shown.contains(name))
        .unwrap_or_else(|| panic!("no name for {device:?}"))
}

/// Whether a device computes in this type. Drivers of graphics hold f64 and add it, and have `exp`
/// and its like in f32 only: that is seen by computing one.
pub fn computes_in(device: &Device, dtype: DType) -> bool {
    let exact = || {
        let one = Tensor::<1>::from_data([1.0_f64], (device, DType::F64));
        (one.exp().into_scalar::<f64>() - std::f64::consts::E).abs() < 1e-12
    };
    device.supports_dtype(dtype) && (dtype != DType::F64 || exact())
}

/// Burn has deprecated this backend in favour of Flex; it is tested here for as long as it is
/// there.
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
fn ndarray() -> Device {
    Device::ndarray()
}
