//! [`SharedMatrix`]: a matrix that many adapters read and that belongs to no layer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::module::{
    Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{Device, Tensor};

use crate::{PeftError, edit_slots, slots};

/// A frozen matrix that the adapters of many layers read and that belongs to none of them, as
/// VeRA's two projections.
///
/// Clones are the same matrix. What traverses parameters passes it over, so it does not train and
/// is no part of a record. It is [counted](crate::Summary) once and [found](shared_matrices) once,
/// to be saved, however many adapters hold it, and on each device it is one tensor.
///
/// The adapters that hold it say so: [`Adapter::shared`](crate::Adapter::shared).
#[derive(Debug, Clone)]
pub struct SharedMatrix {
    name: Arc<str>,
    value: Arc<Tensor<2>>,
    /// What it is on other devices, as long as something there holds it.
    elsewhere: Arc<Mutex<Vec<Weak<Tensor<2>>>>>,
}

impl SharedMatrix {
    /// A matrix with the name that tells it from others of the same adapter.
    pub fn new(name: &str, value: Tensor<2>) -> Self {
        Self {
            name: name.into(),
            value: Arc::new(value.without_autodiff()),
            elsewhere: Arc::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, which is a constant to autodiff.
    pub fn value(&self) -> Tensor<2> {
        (*self.value).clone()
    }

    /// Whether both are one matrix in one place of memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value)
    }

    fn on(self, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let here = self.value.device();
        if here == device {
            return self;
        }
        let mut elsewhere = self
            .elsewhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        elsewhere.retain(|value| value.strong_count() > 0);
        let mut there = elsewhere.iter().filter_map(Weak::upgrade);
        let found = there.find(|value| value.device() == device);
        let value = found.unwrap_or_else(|| Arc::new(self.value().to_device(&device)));
        for value in [&self.value, &value] {
            if !elsewhere
                .iter()
                .any(|known| known.as_ptr() == Arc::as_ptr(value))
            {
                elsewhere.push(Arc::downgrade(value));
            }
        }
        drop(elsewhere);
        Self { value, ..self }
    }
}

impl Module for SharedMatrix {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        devices
    }

    fn fork(self, device: &Device) -> Self {
        self.on(device)
    }

    fn to_device(self, device: &Device) -> Self {
        self.on(device)
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, _visitor: &mut V) {}

    fn map<M: ModuleMapper>(self, _mapper: &mut M) -> Self {
        self
    }
}

impl ModuleDisplay for SharedMatrix {}

impl ModuleDisplayDefault for SharedMatrix {
    fn content(&self, content: Content) -> Option<Content> {
        let name = content.add("name", &self.name.to_string());
        let content = name.add("shape", &format!("{:?}", self.value.dims()));
        content.optional()
    }
}

/// The matrices that the adapters `name` of a model share, each once, by their names.
pub fn shared_matrices<M: Module>(model: &M, name: &str) -> BTreeMap<String, SharedMatrix> {
    let mut found = BTreeMap::new();
    for (_, mut slot) in slots(model) {
        for shared in slot.shared(name) {
            let key = shared.name().to_owned();
            found.entry(key).or_insert_with(|| shared.clone());
        }
    }
    found
}

/// Give the adapters `name` other values of matrices that they share, by their names.
///
/// # Errors
///
/// [`PeftError::NotShared`] for a matrix that they do not share, or of another shape. The model is
/// then as it was.
pub fn set_shared_matrices<M: Module>(
    model: &mut M,
    name: &str,
    values: BTreeMap<String, Tensor<2>>,
) -> Result<(), PeftError> {
    let now = shared_matrices(model, name);
    let mut others = BTreeMap::new();
    for (key, value) in values {
        let shape = value.dims();
        if now.get(&key).map(|shared| shared.value.dims()) != Some(shape) {
            return Err(PeftError::NotShared {
                adapter: name.into(),
                name: key,
                shape,
            });
        }
        let shared = SharedMatrix::new(&key, value);
        others.insert(key, shared);
    }
    edit_slots(model, |_, slot| {
        for shared in slot.shared(name) {
            if let Some(other) = others.get(shared.name()) {
                let device = shared.value.device();
                *shared = other.clone().on(&device);
            }
        }
        Ok(())
    })
}
