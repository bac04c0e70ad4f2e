//! The one place where an adapter's type is erased.
//!
//! A slot holds adapters of any method, so it needs an object-safe form of [`Adapter`]. Two things
//! stand in the way and are dealt with here as Burn does for its reparameterizations (`burn-core`,
//! `module/param/reparameterization_dyn.rs`): methods generic in a tensor's rank, and module
//! traversals generic in the visitor. Ranks are dispatched at run time, visitors cross the boundary
//! behind [`DynVisitor`] and [`DynMapper`].

use std::any::Any;
use std::fmt::Debug;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Int, Tensor};

use crate::{Adapter, FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput, SharedMatrix};

type AnyBox = Box<dyn Any + Send>;

/// Object-safe [`Adapter`].
pub(crate) trait DynAdapter: Debug + Send + Sync {
    fn method(&self) -> &'static str;
    fn weight_dyn(&self, rank: usize, base: &dyn Any) -> AnyBox;
    fn bias_dyn(&self, base: Tensor<1>) -> Tensor<1>;
    fn needs_factored_path(&self, training: bool) -> Option<&'static str>;
    fn cannot_merge(&self) -> Option<&'static str>;
    fn shares_input(&self) -> bool;
    fn shared(&mut self) -> Vec<&mut SharedMatrix>;
    fn linear_dyn(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2>;
    fn embedding_dyn(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3>;
    fn changes_tied(&self) -> bool;
    fn tied_dyn(&self, states: Tensor<3>, below: Tensor<3>, base: &FrozenWeight) -> Tensor<3>;
    fn visit_dyn(&self, visitor: &mut dyn DynVisitor);
    fn map_dyn(self: Box<Self>, mapper: &mut dyn DynMapper) -> Box<dyn DynAdapter>;
    fn to_device_dyn(self: Box<Self>, device: &Device) -> Box<dyn DynAdapter>;
    fn fork_dyn(self: Box<Self>, device: &Device) -> Box<dyn DynAdapter>;
    fn train_dyn(self: Box<Self>) -> Box<dyn DynAdapter>;
    fn valid_dyn(&self) -> Box<dyn DynAdapter>;
    fn collect_devices_dyn(&self, devices: Vec<Device>) -> Vec<Device>;
    fn as_any(&self) -> &dyn Any;
    fn clone_dyn(&self) -> Box<dyn DynAdapter>;
}

impl Clone for Box<dyn DynAdapter> {
    fn clone(&self) -> Self {
        self.as_ref().clone_dyn()
    }
}

impl dyn DynAdapter + '_ {
    /// [`Adapter::weight`] for a weight of any rank.
    pub(crate) fn weight_of<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        unbox(self.weight_dyn(D, base))
    }
}

#[derive(Clone, Debug)]
struct Erased<A>(A);

pub(crate) fn erase<A: Adapter>(adapter: A) -> Box<dyn DynAdapter> {
    Box::new(Erased(adapter))
}

fn unbox<T: Any>(value: AnyBox) -> T {
    *value
        .downcast()
        .expect("an erased value keeps the type that its rank names")
}

/// Turns a run-time rank into a constant. Burn's own modules hold no parameter above rank 8.
macro_rules! with_rank {
    ($rank:expr, $d:ident => $body:expr) => {
        with_rank!(@ $rank, $d, $body, 1 2 3 4 5 6 7 8)
    };
    (@ $rank:expr, $d:ident, $body:expr, $($n:literal)+) => {
        match $rank {
            $($n => { const $d: usize = $n; $body })+
            other => panic!("a parameter of rank {other} cannot be adapted"),
        }
    };
}

impl<A: Adapter> DynAdapter for Erased<A> {
    fn method(&self) -> &'static str {
        A::NAME
    }

    fn weight_dyn(&self, rank: usize, base: &dyn Any) -> AnyBox {
        with_rank!(rank, D => Box::new(self.0.weight(borrowed::<FrozenWeight<D>>(base))))
    }

    fn bias_dyn(&self, base: Tensor<1>) -> Tensor<1> {
        self.0.bias(base)
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        self.0.needs_factored_path(training)
    }

    fn cannot_merge(&self) -> Option<&'static str> {
        self.0.cannot_merge()
    }

    fn shares_input(&self) -> bool {
        self.0.shares_input()
    }

    fn shared(&mut self) -> Vec<&mut SharedMatrix> {
        self.0.shared()
    }

    fn linear_dyn(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        self.0.linear(x, base)
    }

    fn embedding_dyn(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        self.0.embedding(ids, base)
    }

    fn changes_tied(&self) -> bool {
        self.0.changes_tied()
    }

    fn tied_dyn(&self, states: Tensor<3>, below: Tensor<3>, base: &FrozenWeight) -> Tensor<3> {
        self.0.tied(states, below, base)
    }

    fn visit_dyn(&self, visitor: &mut dyn DynVisitor) {
        self.0.visit(&mut OutwardTraversal(visitor));
    }

    fn map_dyn(self: Box<Self>, mapper: &mut dyn DynMapper) -> Box<dyn DynAdapter> {
        erase(self.0.map(&mut OutwardTraversal(mapper)))
    }

    fn to_device_dyn(self: Box<Self>, device: &Device) -> Box<dyn DynAdapter> {
        erase(self.0.to_device(device))
    }

    fn fork_dyn(self: Box<Self>, device: &Device) -> Box<dyn DynAdapter> {
        erase(self.0.fork(device))
    }

    fn train_dyn(self: Box<Self>) -> Box<dyn DynAdapter> {
        erase(Module::train(self.0))
    }

    fn valid_dyn(&self) -> Box<dyn DynAdapter> {
        erase(self.0.valid())
    }

    fn collect_devices_dyn(&self, devices: Vec<Device>) -> Vec<Device> {
        self.0.collect_devices(devices)
    }

    fn as_any(&self) -> &dyn Any {
        &self.0
    }

    fn clone_dyn(&self) -> Box<dyn DynAdapter> {
        Box::new(self.clone())
    }
}

/// Object-safe [`ModuleVisitor`]; the parameter is a `&Param<Tensor<rank, _>>`.
pub(crate) trait DynVisitor {
    fn float(&mut self, rank: usize, param: &dyn Any);
    fn int(&mut self, rank: usize, param: &dyn Any);
    fn bool(&mut self, rank: usize, param: &dyn Any);
    fn flag(&mut self, param: &Param<Flag>);
    fn enter(&mut self, name: &str, container: &str);
    fn exit(&mut self, name: &str, container: &str);
}

/// Object-safe [`ModuleMapper`]; the parameter is a `Param<Tensor<rank, _>>`.
pub(crate) trait DynMapper {
    fn float(&mut self, rank: usize, param: AnyBox) -> AnyBox;
    fn int(&mut self, rank: usize, param: AnyBox) -> AnyBox;
    fn bool(&mut self, rank: usize, param: AnyBox) -> AnyBox;
    fn flag(&mut self, param: Param<Flag>) -> Param<Flag>;
    fn enter(&mut self, name: &str, container: &str);
    fn exit(&mut self, name: &str, container: &str);
}

/// From an adapter's traversal out to the object-safe one.
struct OutwardTraversal<'a, T: ?Sized>(&'a mut T);

impl ModuleVisitor for OutwardTraversal<'_, dyn DynVisitor + '_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.float(D, param);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.0.int(D, param);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.0.bool(D, param);
    }

    fn visit_flag(&mut self, param: &Param<Flag>) {
        self.0.flag(param);
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }

    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }
}

impl ModuleMapper for OutwardTraversal<'_, dyn DynMapper + '_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        unbox(self.0.float(D, Box::new(param)))
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        unbox(self.0.int(D, Box::new(param)))
    }

    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<D, Bool>>,
    ) -> Param<Tensor<D, Bool>> {
        unbox(self.0.bool(D, Box::new(param)))
    }

    fn map_flag(&mut self, param: Param<Flag>) -> Param<Flag> {
        self.0.flag(param)
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }

    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }
}

/// From the object-safe traversal back in to the caller's visitor or mapper.
struct InwardTraversal<'a, T>(&'a mut T);

impl<V: ModuleVisitor> DynVisitor for InwardTraversal<'_, V> {
    fn float(&mut self, rank: usize, param: &dyn Any) {
        with_rank!(rank, D => self.0.visit_float(borrowed::<Param<Tensor<D>>>(param)));
    }

    fn int(&mut self, rank: usize, param: &dyn Any) {
        with_rank!(rank, D => self.0.visit_int(borrowed::<Param<Tensor<D, Int>>>(param)));
    }

    fn bool(&mut self, rank: usize, param: &dyn Any) {
        with_rank!(rank, D => self.0.visit_bool(borrowed::<Param<Tensor<D, Bool>>>(param)));
    }

    fn flag(&mut self, param: &Param<Flag>) {
        self.0.visit_flag(param);
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.0.enter_module(name, container);
    }

    fn exit(&mut self, name: &str, container: &str) {
        self.0.exit_module(name, container);
    }
}

fn borrowed<T: Any>(value: &dyn Any) -> &T {
    value
        .downcast_ref()
        .expect("an erased value keeps the type that its rank names")
}

impl<M: ModuleMapper> DynMapper for InwardTraversal<'_, M> {
    fn float(&mut self, rank: usize, param: AnyBox) -> AnyBox {
        with_rank!(rank, D => Box::new(self.0.map_float(unbox::<Param<Tensor<D>>>(param))))
    }

    fn int(&mut self, rank: usize, param: AnyBox) -> AnyBox {
        with_rank!(rank, D => Box::new(self.0.map_int(unbox::<Param<Tensor<D, Int>>>(param))))
    }

    fn bool(&mut self, rank: usize, param: AnyBox) -> AnyBox {
        with_rank!(rank, D => Box::new(self.0.map_bool(unbox::<Param<Tensor<D, Bool>>>(param))))
    }

    fn flag(&mut self, param: Param<Flag>) -> Param<Flag> {
        self.0.map_flag(param)
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.0.enter_module(name, container);
    }

    fn exit(&mut self, name: &str, container: &str) {
        self.0.exit_module(name, container);
    }
}

pub(crate) fn visit<V: ModuleVisitor>(adapter: &dyn DynAdapter, visitor: &mut V) {
    adapter.visit_dyn(&mut InwardTraversal(visitor));
}

pub(crate) fn map<M: ModuleMapper>(
    adapter: Box<dyn DynAdapter>,
    mapper: &mut M,
) -> Box<dyn DynAdapter> {
    adapter.map_dyn(&mut InwardTraversal(mapper))
}
