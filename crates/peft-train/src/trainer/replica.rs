//! [`Replica`]: a model's copy on another device.

use std::any::Any;
use std::collections::{HashMap, HashSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

/// As what Burn's traversal enters the adapters of a parameter.
const ADAPTER: &str = "Reparameterization";

/// A copy of a model, in which what does not train stays where it is from step to step.
pub(super) struct Replica<M> {
    device: Device,
    /// Whether what is frozen of adapters may change all the same.
    adapters_change: bool,
    /// Frozen parameters that are there.
    kept: HashMap<ParamId, Box<dyn Any + Send>>,
    /// All that have ever been sent.
    known: HashSet<ParamId>,
    /// The newest copy: what its parts share among each other is there as long as one is.
    newest: Option<M>,
}

impl<M: Module> Replica<M> {
    /// One on an autodiff device, with nothing there yet.
    pub(super) fn new(device: Device, adapters_change: bool) -> Self {
        Self {
            device,
            adapters_change,
            kept: HashMap::new(),
            known: HashSet::new(),
            newest: None,
        }
    }

    /// The copy of the model as it is now, and the bytes of the values that were sent for it again.
    pub(super) fn update(&mut self, model: &M) -> (M, u64) {
        let mut placing = Placing {
            replica: self,
            adapters: 0,
            bytes: 0,
        };
        let there = model.clone().map(&mut placing);
        let bytes = placing.bytes;
        let there = there.fork(&self.device);
        self.newest = Some(there.clone());
        (there, bytes)
    }
}

/// Puts parameters on a replica's device.
struct Placing<'a, M> {
    replica: &'a mut Replica<M>,
    /// How deep in adapters.
    adapters: usize,
    bytes: u64,
}

impl<M> Placing<'_, M> {
    fn sent<const D: usize>(&mut self, id: ParamId, tensor: Tensor<D>) -> Tensor<D> {
        if !self.replica.known.insert(id) {
            self.bytes += size(&tensor);
        }
        tensor.to_device(&self.replica.device).detach()
    }
}

impl<M> ModuleMapper for Placing<'_, M> {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.adapters += usize::from(container == ADAPTER);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.adapters -= usize::from(container == ADAPTER);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let trains = tensor.is_require_grad();
        let kept = self.replica.kept.remove(&id);
        let kept = kept.and_then(|kept| kept.downcast::<Tensor<D>>().ok());
        let there = match kept.filter(|_| !trains) {
            Some(kept) => *kept,
            None => self.sent(id, tensor),
        };
        let changes = self.replica.adapters_change && self.adapters > 0;
        if !trains && !changes {
            self.replica.kept.insert(id, Box::new(there.clone()));
        }
        Param::from_mapped_value(id, there.set_require_grad(trains), mapper)
    }
}

/// The gradients of a model's parameters on another device, by the way of these, and the bytes of
/// all that was sent.
pub(super) fn brought<'a, M: Module>(
    model: &M,
    grads: GradientsParams,
    way: impl Iterator<Item = &'a Device>,
) -> (GradientsParams, u64) {
    struct Bringing<'a> {
        grads: GradientsParams,
        way: Vec<&'a Device>,
        bytes: u64,
    }
    impl ModuleVisitor for Bringing<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.grads.remove::<D>(param.id) {
                self.bytes += size(&grad) * self.way.len() as u64;
                let there = self.way.iter().fold(grad, |grad, on| grad.to_device(on));
                self.grads.register(param.id, there);
            }
        }
    }
    let mut bringing = Bringing {
        grads,
        way: way.collect(),
        bytes: 0,
    };
    model.visit(&mut bringing);
    (bringing.grads, bringing.bytes)
}

/// The bytes of a tensor's numbers.
fn size<const D: usize>(tensor: &Tensor<D>) -> u64 {
    (tensor.shape().num_elements() * tensor.dtype().size()) as u64
}
