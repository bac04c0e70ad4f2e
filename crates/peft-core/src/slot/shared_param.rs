//! [`SharedParam`]: a parameter that the adapters of many layers read and that trains once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, ThreadId};

use burn::module::{
    Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
};
use burn::tensor::{Device, Tensor};

/// A matrix that trains and that the adapters of many layers read, as VB-LoRA's bank of vectors.
///
/// The adapter of the first layer owns it: there, and nowhere else, a traversal meets a parameter,
/// so it is counted, clipped, updated, moved and kept once. The others, made by
/// [`beside`](Self::beside), read the very same tensor, so that its gradient is the sum of all
/// layers'. A traversal that makes a new model of a model (a step of an optimizer, a move to a
/// device, a model without gradients) meets the owner first; what becomes of the parameter there is
/// what the others of the new model read. The old model keeps the old one.
///
/// *Invariant:* a traversal covers the whole model, in one thread. Of a layer that is traversed by
/// itself and is not the first, what is read stays as it was.
#[derive(Debug, Clone)]
pub struct SharedParam {
    held: Arc<Held>,
    owned: bool,
}

#[derive(Debug)]
struct Held {
    param: Param<Tensor<2>>,
    /// What the owner's last traversal in a thread made of it.
    next: Mutex<HashMap<ThreadId, Weak<Held>>>,
}

impl Held {
    fn new(param: Param<Tensor<2>>) -> Arc<Self> {
        Arc::new(Self {
            param,
            next: Mutex::default(),
        })
    }
}

impl SharedParam {
    /// The one that the first layer owns.
    pub fn new(value: Tensor<2>) -> Self {
        Self {
            held: Held::new(Param::from_tensor(value)),
            owned: true,
        }
    }

    /// The same for a layer that comes behind the first.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            held: self.held.clone(),
            owned: false,
        }
    }

    /// Its value, which is one leaf of the graph in all layers.
    pub fn val(&self) -> Tensor<2> {
        self.held.param.val()
    }

    /// Its value for a layer on this device, which may be another than the owner's.
    pub fn val_on(&self, device: &Device) -> Tensor<2> {
        let value = self.val();
        match value.device() == *device {
            true => value,
            false => value.to_device(device),
        }
    }

    /// Whether a traversal meets it here.
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// What a traversal makes of it.
    fn after(&self, change: impl FnOnce(Param<Tensor<2>>) -> Param<Tensor<2>>) -> Self {
        let (thread, owned) = (thread::current().id(), self.owned);
        let next = || {
            self.held
                .next
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let held = match owned {
            true => {
                let held = Held::new(change(self.held.param.clone()));
                next().insert(thread, Arc::downgrade(&held));
                held
            }
            false => {
                let made = next().get(&thread).and_then(Weak::upgrade);
                made.unwrap_or_else(|| self.held.clone())
            }
        };
        Self { held, owned }
    }
}

impl Module for SharedParam {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.held.param.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.after(|param| param.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.after(|param| param.to_device(device))
    }

    fn train(self) -> Self {
        self.after(Module::train)
    }

    fn valid(&self) -> Self {
        self.after(|param| Module::valid(&param))
    }

    fn materialize(self) -> Self {
        self.after(Module::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        if self.owned {
            Module::visit(&self.held.param, visitor);
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        self.after(|param| Module::map(param, mapper))
    }
}

impl ModuleDisplay for SharedParam {}

impl ModuleDisplayDefault for SharedParam {
    fn content(&self, content: Content) -> Option<Content> {
        let content = content.add("owned", &self.owned);
        content
            .add("shape", &format!("{:?}", self.held.param.lazy_shape()))
            .optional()
    }
}
