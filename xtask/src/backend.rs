//! [`Backend`]: what the suite can be built for, and whether it is there.

use std::io;

use clap::ValueEnum;

use crate::shell::{cargo, output};

/// A backend, by the name of its feature, its cases and its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Flex,
    Ndarray,
    Vulkan,
    Wgpu,
    Cuda,
}

/// A device that is there.
pub(crate) struct DeviceInfo {
    /// How it calls itself.
    pub(crate) device: String,
    /// The floats that it computes in.
    pub(crate) floats: String,
}

impl Backend {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    /// Whether it computes on the processor's cores, which are always there, and needs no driver.
    pub(crate) fn on_cores(self) -> bool {
        matches!(self, Self::Flex | Self::Ndarray)
    }

    /// Its device, or why there is none.
    pub(crate) fn probe(self) -> io::Result<Result<DeviceInfo, String>> {
        let name = self.name();
        let (passed, printed) = output(cargo([
            "run",
            "--package=peft-tests",
            "--no-default-features",
            "--features",
            name,
            "--example=device",
            "--",
            name,
        ]))?;
        let mut lines = printed.lines().map(str::to_owned);
        Ok(match (passed, lines.next(), lines.next()) {
            (true, Some(device), Some(floats)) => Ok(DeviceInfo { device, floats }),
            (false, Some(reason), _) => Err(reason),
            _ => Err("the program that asks for it does not build".into()),
        })
    }
}
