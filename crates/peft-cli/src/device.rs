//! Devices and dtypes by name.

use burn::tensor::{DType, Device};

use crate::args::ModelArgs;
use crate::error::CliError;
use crate::remote;

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

/// Where a model reads its tokens, and how precisely it runs.
pub(crate) fn placed(args: &ModelArgs) -> Result<(Device, DType), CliError> {
    let (mut devices, dtype) = placed_on(args)?;
    match (devices.pop(), devices.len()) {
        (Some(device), 0) => Ok((device, dtype)),
        (_, others) => Err(CliError::Usage(format!(
            "--device {} names {} devices: `train` alone shares rows among several; --split-model divides the model's blocks among them",
            args.device,
            others + 1
        ))),
    }
}

/// Where a model's rows are shared, its own device first, and how precisely it runs.
pub(crate) fn placed_on(args: &ModelArgs) -> Result<(Vec<Device>, DType), CliError> {
    let (mut devices, dtype) = named(args)?;
    if args.split_model {
        devices.truncate(1);
    }
    Ok((devices, dtype))
}

/// What the blocks of a model are divided among; none where one device holds them all.
pub(crate) fn divided(args: &ModelArgs) -> Result<Vec<Device>, CliError> {
    match args.split_model {
        true => Ok(named(args)?.0),
        false => Ok(Vec::new()),
    }
}

/// Seed a model's device, and what its blocks are divided among: each draws for what is on it.
pub(crate) fn seed(args: &ModelArgs, device: &Device, seed: u64) -> Result<(), CliError> {
    device.seed(seed);
    for (apart, other) in (1..).zip(divided(args)?.iter().skip(1)) {
        other.seed(seed.wrapping_add(apart));
    }
    Ok(())
}

/// Whether the blocks of a model can be divided among these devices.
fn check_divided(names: &[&str]) -> Result<(), CliError> {
    if names.len() < 2 {
        return Err(CliError::Usage(format!(
            "--split-model divides a model's blocks among several devices, and --device names {} alone; name them in their order, as in --device cuda:0,cuda:1",
            names.join("")
        )));
    }
    for (at, name) in names.iter().enumerate() {
        for other in &names[..at] {
            if other == name {
                return Err(CliError::Usage(format!(
                    "--split-model: --device names {name} twice, and one device holds one share of the blocks"
                )));
            }
            if remote::apart(other, name) {
                return Err(CliError::Usage(format!(
                    "--split-model: {other} and {name} are of two workers, which do not reach each other; take the devices of one worker, with those of this machine"
                )));
            }
        }
    }
    Ok(())
}

/// The devices by their names.
fn named(args: &ModelArgs) -> Result<(Vec<Device>, DType), CliError> {
    let dtype = dtype(&args.dtype)?;
    let names = args.devices();
    if names.contains(&"ndarray") && dtype != DType::F32 {
        return Err(CliError::Usage(format!(
            "device `ndarray` has no dtype `{}`; it has f32",
            args.dtype
        )));
    }
    if args.split_model {
        check_divided(&names)?;
    }
    let elsewhere = names.iter().find(|name| **name != "flex");
    let packed = args.quantise.filter(|held| held.is_packed());
    if let (Some(held), Some(name)) = (packed, elsewhere) {
        return Err(CliError::Usage(format!(
            "--quantise {} is for device `flex`, and this is `{name}`: nothing else multiplies packed weights yet",
            held.name(),
        )));
    }
    let token = args.token_file.as_deref();
    let devices = names.into_iter().map(|name| match remote::is_named(name) {
        true => remote::device(name, token),
        false => device(name),
    });
    let devices: Result<_, CliError> = devices.collect();
    Ok((devices?, dtype))
}

/// Where values rest between devices of which neither reaches the other, if there are such: what
/// the first one holds goes to workers that it does not know.
pub(crate) fn between(args: &ModelArgs) -> Result<Option<Device>, CliError> {
    if args.split_model {
        return Ok(None);
    }
    let names = args.devices();
    let (first, others) = names.split_first().unwrap_or((&"", &[]));
    let apart = others.iter().any(|other| remote::apart(first, other));
    apart.then(any).transpose()
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
    if remote::is_named(name) {
        return Err(CliError::Usage(format!(
            "device `{name}`: a worker's devices are for train, eval, generate, chat and predict"
        )));
    }
    if name.contains("://") {
        return Err(remote::misnamed(name));
    }
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
