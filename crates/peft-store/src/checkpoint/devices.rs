//! Models whose blocks are on several devices.

use burn::module::Module;
use burn::tensor::Device;
use peft_kernels::multiplies_packed;
use peft_layerwise::BlockDevices;

use super::{Checkpoint, CheckpointError};
use crate::memory::on_cores;

impl Checkpoint {
    /// The same, but the blocks of models are divided among these devices
    /// ([`BlockDevices::divide`]); the first is the one that they are loaded on. Weights that are
    /// packed in the files stay so where each of the devices multiplies packed weights.
    #[must_use]
    pub fn with_devices(self, devices: Vec<Device>) -> Self {
        Self { devices, ..self }
    }

    /// The model with its blocks on their devices.
    pub(super) fn divided<M: Module>(&self, model: M) -> Result<M, CheckpointError> {
        if self.devices.len() < 2 {
            return Ok(model);
        }
        let placed = BlockDevices::divide(&model, &self.devices)
            .and_then(|devices| devices.place(model))
            .map_err(|source| CheckpointError::Devices {
                dir: self.dir.clone(),
                source,
            })?;
        Ok(placed)
    }

    /// The device whose memory a model is checked against: one that does not tell, where a part of
    /// the model is there.
    pub(super) fn checked_device<'a>(&'a self, device: &'a Device) -> &'a Device {
        let elsewhere = self.devices.iter().find(|other| !on_cores(other));
        elsewhere.unwrap_or(device)
    }
}

/// One of the devices that multiplies no packed weights, if there is one.
pub(super) fn strictest(devices: &[Device]) -> Device {
    let dense = devices.iter().find(|device| !multiplies_packed(device));
    dense.or(devices.first()).cloned().unwrap_or_default()
}
