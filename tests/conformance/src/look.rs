//! Ways to look inside any module.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Tensor, TensorData};
use peft_core::slots;

/// Whether a path lies inside a slot.
pub fn is_adapter(path: &str) -> bool {
    path.contains(".adapters.") || path.starts_with("adapters.")
}

/// What a traversal shows of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamSnapshot {
    /// Its stored values.
    pub data: TensorData,
    /// Whether it requires a gradient.
    pub trains: bool,
}

/// The values of a tensor as they are now. Burn reads one that lies on a device when its data is
/// first looked at, and by then an operation may have changed it in place: what is kept to be
/// compared would be compared with itself.
pub fn read<const D: usize>(tensor: Tensor<D>) -> TensorData {
    let data = tensor.into_data();
    let _ = data.as_bytes();
    data
}

/// Every float parameter by its path, as Burn's own traversal shows it.
pub fn params<M: Module>(model: &M) -> BTreeMap<String, ParamSnapshot> {
    #[derive(Default)]
    struct Read(Vec<String>, BTreeMap<String, ParamSnapshot>);
    impl ModuleVisitor for Read {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let base = param.base();
            let trains = base.is_require_grad();
            let data = read(base);
            self.1
                .insert(self.0.join("."), ParamSnapshot { data, trains });
        }
    }
    let mut read = Read::default();
    model.visit(&mut read);
    read.1
}

/// The paths of what trains.
pub fn trained<M: Module>(model: &M) -> Vec<String> {
    let params = params(model).into_iter();
    params
        .filter_map(|(path, seen)| seen.trains.then_some(path))
        .collect()
}

/// The paths of the parameters inside slots.
pub fn adapter_paths<M: Module>(model: &M) -> Vec<String> {
    params(model)
        .into_keys()
        .filter(|path| is_adapter(path))
        .collect()
}

/// How a model is adapted, in words; two equal ones have the same slots.
pub fn slot_state<M: Module>(model: &M) -> Vec<String> {
    let describe = |(path, slot): (String, peft_core::AdapterSlot)| {
        let names: Vec<&str> = slot.names().collect();
        format!(
            "{path}: {names:?} {:?} {}",
            slot.active(),
            slot.is_disabled()
        )
    };
    slots(model).into_iter().map(describe).collect()
}

/// The gradients of a loss by the paths of the parameters that got one.
pub fn with_gradient<M: Module>(model: &M, loss: &Tensor<1>) -> BTreeMap<String, TensorData> {
    struct Read(Vec<String>, GradientsParams, BTreeMap<String, TensorData>);
    impl ModuleVisitor for Read {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.1.get::<D>(param.id) {
                self.2.insert(self.0.join("."), read(gradient));
            }
        }
    }
    let grads = GradientsParams::from_grads(loss.backward(), model);
    let mut read = Read(Vec::new(), grads, BTreeMap::new());
    model.visit(&mut read);
    read.2
}

/// The model with the values of some parameters, by path, in place of its own.
///
/// # Panics
///
/// If a path is no parameter's, or values do not have its shape.
pub fn replace<M: Module>(model: M, values: BTreeMap<String, TensorData>) -> M {
    struct Replace(Vec<String>, BTreeMap<String, TensorData>);
    impl ModuleMapper for Replace {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(data) = self.1.remove(&self.0.join(".")) else {
                return param;
            };
            param.map(|old| {
                let options = (&old.device(), old.dtype());
                let new = Tensor::<D>::from_data(data, options);
                assert_eq!(new.dims(), old.dims());
                new.set_require_grad(old.is_require_grad())
            })
        }
    }
    let mut replace = Replace(Vec::new(), values);
    let model = model.map(&mut replace);
    assert!(
        replace.1.is_empty(),
        "no parameters: {:?}",
        replace.1.keys()
    );
    model
}

/// AdamW steps on `loss`; the losses before each.
pub fn steps<M: Module>(mut model: M, n: usize, loss: impl Fn(&M) -> Tensor<1>) -> (M, Vec<f32>) {
    let mut optimizer = AdamWConfig::new().with_weight_decay(0.1).init();
    let mut losses = Vec::new();
    for _ in 0..n {
        let loss = loss(&model);
        losses.push(loss.clone().into_scalar::<f32>());
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.02, model, grads);
    }
    (model, losses)
}
