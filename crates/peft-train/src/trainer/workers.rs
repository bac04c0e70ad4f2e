//! [`Workers`]: who computes a step's gradients, and where.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use peft_core::{FrozenWeight, ParamPlace, VisitParams, has_statistics, visit_params};

use super::TrainConfig;
use super::replica::Replica;
use crate::TrainError;

/// Added to a step's seed for each further device: what devices drop is drawn apart.
const APART: u64 = 0x9E37_79B9_7F4A_7C15;

/// The devices of a run, each once, and the workers on them in their order.
pub(super) struct Placement {
    devices: Vec<Device>,
    /// Of each worker, which device.
    workers: Vec<usize>,
    /// Where what devices send each other rests on its way.
    between: Option<Device>,
}

impl Placement {
    /// `each` workers on the model's own device, or on each of `devices`, the first of which that
    /// is; a device that is named twice has twice as many. Each has one alone where blocks are
    /// computed twice: threads would draw from one generator, and what a block drops is to be drawn
    /// as before.
    fn new(own: &Device, devices: &[Device], each: usize, alone: bool) -> Self {
        let mut placement = Self {
            devices: vec![own.clone()],
            workers: Vec::new(),
            between: None,
        };
        let named = match devices {
            [] => std::slice::from_ref(own),
            devices => devices,
        };
        for device in named {
            let known = placement.devices.iter().position(|known| known == device);
            let place = known.unwrap_or(placement.devices.len());
            if known.is_none() {
                placement.devices.push(device.clone().autodiff());
            }
            for _ in 0..each {
                if !(alone && placement.workers.contains(&place)) {
                    placement.workers.push(place);
                }
            }
        }
        placement
    }

    /// How many share a batch.
    pub(super) fn n_workers(&self) -> usize {
        self.workers.len()
    }

    /// The devices, that of the model first.
    pub(super) fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The way of gradients to the first device.
    pub(super) fn way_home(&self) -> impl Iterator<Item = &Device> {
        self.between.iter().chain(&self.devices[..1])
    }

    /// Which of the devices a worker computes on.
    pub(super) fn place(&self, worker: usize) -> usize {
        self.workers[worker]
    }
}

/// Whether a model can be on these devices, the first of which is to be its own, with as many
/// workers on each. One whose blocks are on several devices has one worker.
///
/// # Errors
///
/// [`TrainError::Devices`] where it cannot.
pub(super) fn check_devices<M: Module>(
    model: &M,
    devices: &[Device],
    workers: usize,
) -> Result<(), TrainError> {
    let wrong = |reason: String| Err(TrainError::Devices { reason });
    let own = model.devices();
    if let ([first, second, ..], true) = (own.as_slice(), devices.len() > 1 || workers > 1) {
        return wrong(format!(
            "the blocks of the model are on {first:?} and {second:?}, and one worker goes through them: rows are shared where each device holds the whole model"
        ));
    }
    let Some((first, others)) = devices.split_first() else {
        return Ok(());
    };
    if own.len() > 1 && own[0] == *first {
        return Ok(());
    }
    if let Some(own) = own.iter().find(|own| *own != first) {
        return wrong(format!(
            "the first is {first:?}, and the model is on {own:?}"
        ));
    }
    if others.iter().all(|other| other == first) {
        return Ok(());
    }
    if has_statistics(model) {
        return wrong("running statistics of a model move on one device alone".into());
    }
    match find_packed(model) {
        Some(path) => wrong(format!(
            "`{path}` is packed, and packed weights are multiplied where they lie"
        )),
        None => Ok(()),
    }
}

fn find_packed<M: Module>(model: &M) -> Option<String> {
    struct FindPacked(Option<String>);
    impl VisitParams for FindPacked {
        fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
            if self.0.is_none() && FrozenWeight::of(param).packed().is_some() {
                self.0 = Some(at.path());
            }
        }
    }
    let mut found = FindPacked(None);
    visit_params(model, &mut found);
    found.0
}

/// The workers of a run, with a copy of the model on each device beyond the model's own.
pub(super) struct Workers<M> {
    placement: Placement,
    /// The copy that others have theirs from, where it is not the model itself.
    between: Option<Replica<M>>,
    replicas: Vec<Replica<M>>,
    /// Every device that computes.
    seeded: Vec<Device>,
}

impl<M: Module> Workers<M> {
    /// As the config says, on the model's own device and `devices`, by way of `between` where there
    /// are others; `adapters_change` says whether what is frozen of adapters may change all the
    /// same.
    pub(super) fn new(
        model: &M,
        own: &Device,
        devices: &[Device],
        between: Option<&Device>,
        config: &TrainConfig,
        adapters_change: bool,
    ) -> Self {
        let mut placement = Placement::new(own, devices, config.workers, config.recompute);
        let others = &placement.devices[1..];
        let between = between.filter(|_| !others.is_empty()).cloned();
        let replica = |device: &Device| Replica::new(device.clone(), adapters_change);
        let replicas = others.iter().map(replica).collect();
        placement.between = between.map(Device::autodiff);
        let mut seeded = placement.devices.clone();
        let of_blocks = model.devices().into_iter();
        seeded.extend(of_blocks.filter(|device| !placement.devices.contains(device)));
        Self {
            seeded,
            between: placement.between.as_ref().map(replica),
            placement,
            replicas,
        }
    }

    pub(super) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Seed every device for a step.
    pub(super) fn seed(&self, seed: u64) {
        for (place, device) in self.seeded.iter().enumerate() {
            device.seed(seed.wrapping_add(APART.wrapping_mul(place as u64)));
        }
    }

    /// The model as it is now on each device, and the bytes of what was sent for it beyond the
    /// first copy.
    pub(super) fn models(&mut self, model: &M) -> (Vec<M>, u64) {
        let mut models = vec![model.clone()];
        let (from, mut sent) = match &mut self.between {
            Some(between) => between.update(model),
            None => (model.clone(), 0),
        };
        for replica in &mut self.replicas {
            let (model, bytes) = replica.update(&from);
            models.push(model);
            sent += bytes;
        }
        (models, sent)
    }
}
