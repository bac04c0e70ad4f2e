//! [`BlockDevices`]: on which device each block of a model is, where one does not hold them all.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use peft_core::{
    FrozenWeight, MapParams, ParamPlace, PeftError, VisitParams, edit_all_slots, map_params,
    parameters, slots, visit_params,
};
use peft_kernels::multiplies_packed;

use crate::{BlockPlace, Depth};

/// The device of each block of a model, and the one of all else: embeddings, the final norm, heads,
/// what it reads beside its text.
///
/// A model that is placed so is the same model: its stages hand on what a block gives to the device
/// of the next, and the last one's states go back to the first device, where the losses are.
///
/// *Invariant:* in a placed model each parameter, those of adapters among them, is on the device of
/// its block.
#[derive(Debug, Clone)]
pub struct BlockDevices {
    depth: Depth,
    first: Device,
    blocks: Vec<Device>,
}

impl BlockDevices {
    /// The blocks of a model in runs, one a device in their order, so that each device holds about
    /// as many numbers; what is in no block counts as the first one's. A lazy model stays so.
    ///
    /// # Errors
    ///
    /// [`PeftError::NoLayerIndex`] for a model without blocks; [`PeftError::InvalidSetting`] for no
    /// device, one that is named twice, or more than there are blocks.
    pub fn divide<M: Module>(model: &M, devices: &[Device]) -> Result<Self, PeftError> {
        let depth = Depth::of(model)?;
        let wrong = |value: String, expected| {
            let field = "the devices of a model's blocks".into();
            Err(PeftError::InvalidSetting {
                field,
                value,
                expected,
            })
        };
        let Some(first) = devices.first() else {
            return wrong("none".into(), "at least one");
        };
        let twice = |(at, device): &(usize, &Device)| devices[..*at].contains(device);
        if let Some((_, device)) = devices.iter().enumerate().find(twice) {
            return wrong(format!("{device:?} twice"), "each device once");
        }
        let n_blocks = depth.n_blocks();
        if devices.len() > n_blocks {
            let value = format!("{} devices for {n_blocks} blocks", devices.len());
            return wrong(value, "at most as many devices as blocks");
        }
        let (mut outside, mut of_block) = (0.0, vec![0.0; n_blocks]);
        for parameter in parameters(model) {
            let size: f64 = parameter.shape.iter().map(|n| *n as f64).product();
            match depth.place(&parameter.path) {
                Some(BlockPlace::Block(block)) => of_block[block] += size,
                Some(BlockPlace::Below | BlockPlace::Above) | None => outside += size,
            }
        }
        let a_device = (outside + of_block.iter().sum::<f64>()) / devices.len() as f64;
        let mut before = outside;
        let blocks = of_block.iter().map(|size| {
            let middle = before + size / 2.0;
            before += size;
            let at = (middle / a_device.max(1.0)) as usize;
            devices[at.min(devices.len() - 1)].clone()
        });
        Ok(Self {
            blocks: blocks.collect(),
            depth,
            first: first.clone(),
        })
    }

    /// These devices of the blocks, and `first` of all else.
    ///
    /// # Errors
    ///
    /// [`PeftError::NoLayerIndex`] for a model without blocks; [`PeftError::LayerCount`] where they
    /// are not as many as its blocks.
    pub fn new<M: Module>(
        model: &M,
        first: Device,
        blocks: Vec<Device>,
    ) -> Result<Self, PeftError> {
        let depth = Depth::of(model)?;
        match blocks.len() == depth.n_blocks() {
            true => Ok(Self {
                depth,
                first,
                blocks,
            }),
            false => Err(PeftError::LayerCount {
                asked: blocks.len(),
                count: depth.n_blocks(),
            }),
        }
    }

    /// The device of each block.
    pub fn blocks(&self) -> &[Device] {
        &self.blocks
    }

    /// The device of a block, or of all that is in none.
    fn of(&self, place: Option<BlockPlace>) -> &Device {
        match place {
            Some(BlockPlace::Block(block)) => &self.blocks[block],
            Some(BlockPlace::Below | BlockPlace::Above) | None => &self.first,
        }
    }

    /// The model with each parameter on its device, and adapters on those of the parameters that
    /// they are on. What is lazy stays so and will be initialised there.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] where a packed weight would go to a device that has no product
    /// with it; [`PeftError::ForeignReparameterization`].
    pub fn place<M: Module>(&self, model: M) -> Result<M, PeftError> {
        let mut packed = Packed {
            devices: self,
            found: None,
        };
        visit_params(&model, &mut packed);
        if let Some((path, device)) = packed.found {
            return Err(PeftError::InvalidSetting {
                field: format!("the device of `{path}`, which is packed,"),
                value: format!("{device:?}"),
                expected: "one that multiplies packed weights, as flex",
            });
        }
        // Of a placed model the places of adapters are those of their layers.
        let depth = match slots(&model).is_empty() {
            true => self.depth.clone(),
            false => Depth::of(&model)?,
        };
        let mut model = map_params(model, &mut Placing(self, &depth));
        if !slots(&model).is_empty() {
            // What adapters share is no parameter.
            edit_all_slots(&mut model, |slots| {
                for (path, slot) in slots {
                    *slot = slot.clone().fork(self.of(depth.place(path)));
                }
                Ok(())
            })?;
        }
        Ok(model)
    }
}

/// The first packed weight that would move to where nothing multiplies it.
struct Packed<'a> {
    devices: &'a BlockDevices,
    found: Option<(String, Device)>,
}

impl VisitParams for Packed<'_> {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        if self.found.is_some() || !param.is_initialized() {
            return;
        }
        let path = at.path();
        let device = self.devices.of(self.devices.depth.place(&path));
        if !multiplies_packed(device) && FrozenWeight::of(param).packed().is_some() {
            self.found = Some((path, device.clone()));
        }
    }
}

struct Placing<'a>(&'a BlockDevices, &'a Depth);

impl MapParams for Placing<'_> {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let device = self.0.of(self.1.place(&at.path()));
        match param.lazy_device() == *device {
            true => param,
            false => param.fork(device),
        }
    }
}

#[cfg(test)]
mod tests {
    use peft_models::DecoderConfig;

    use super::*;

    #[test]
    fn what_is_no_list_of_devices_is_refused() {
        let device = Device::flex();
        let model = DecoderConfig::llama(23, 12, 20, 2, 4).init(&device);
        let refused = |devices: &[Device]| {
            let found = BlockDevices::divide(&model, devices);
            found.expect_err("it is refused").to_string()
        };
        assert!(refused(&[]).contains("at least one"));
        let twice = refused(&[device.clone(), device.clone()]);
        assert!(twice.contains("each device once"), "{twice}");
        let few = BlockDevices::new(&model, device.clone(), vec![device.clone()]);
        assert!(few.is_err());
        let one = BlockDevices::divide(&model, std::slice::from_ref(&device)).expect("blocks");
        assert_eq!(one.blocks().len(), 2);
    }
}
