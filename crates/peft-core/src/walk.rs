//! [`visit_params`] and [`map_params`]: a model's parameters with their places.

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};

/// Where a parameter is in a model.
#[derive(Debug, Default)]
pub struct ParamPlace {
    segments: Vec<String>,
    containers: Vec<String>,
}

impl ParamPlace {
    /// Its path, as Burn's traversal names it: `layers.0.q_proj.weight`.
    pub fn path(&self) -> String {
        self.segments.join(".")
    }

    /// The path of the module that it lies in.
    pub fn module(&self) -> String {
        let names = self.segments.len().saturating_sub(1);
        self.segments[..names].join(".")
    }

    /// The names of its path.
    pub(crate) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The types of the modules that it lies in, the innermost last: `Struct:Linear`.
    pub fn containers(&self) -> &[String] {
        &self.containers
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.segments.push(name.into());
        self.containers.push(container.into());
    }

    fn exit(&mut self) {
        self.segments.pop();
        self.containers.pop();
    }
}

/// Looks at parameters: a [`ModuleVisitor`] that is told where it is.
pub trait VisitParams {
    /// Look at one of floats.
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>);

    /// Look at one of whole numbers.
    fn visit_int<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D, Int>>) {
        let _ = (at, param);
    }

    /// Look at one of truths.
    fn visit_bool<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D, Bool>>) {
        let _ = (at, param);
    }

    /// Look at a flag.
    fn visit_flag(&mut self, at: &ParamPlace, flag: &Param<Flag>) {
        let _ = (at, flag);
    }
}

/// Changes parameters: a [`ModuleMapper`] that is told where it is.
pub trait MapParams {
    /// What is to stand in the place of one of floats.
    fn map<const D: usize>(&mut self, at: &ParamPlace, param: Param<Tensor<D>>)
    -> Param<Tensor<D>>;

    /// What is to stand in the place of a flag.
    fn map_flag(&mut self, at: &ParamPlace, flag: Param<Flag>) -> Param<Flag> {
        let _ = at;
        flag
    }
}

/// Show the parameters of a model to `visitor`, in its order, those of adapters among them.
pub fn visit_params<M: Module>(model: &M, visitor: &mut impl VisitParams) {
    let at = ParamPlace::default();
    model.visit(&mut Walk { at, of: visitor });
}

/// The model with its parameters as `mapper` leaves them.
pub fn map_params<M: Module>(model: M, mapper: &mut impl MapParams) -> M {
    let at = ParamPlace::default();
    model.map(&mut Walk { at, of: mapper })
}

struct Walk<'a, F> {
    at: ParamPlace,
    of: &'a mut F,
}

impl<F: VisitParams> ModuleVisitor for Walk<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.at.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.at.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.of.visit(&self.at, param);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.of.visit_int(&self.at, param);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.of.visit_bool(&self.at, param);
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.of.visit_flag(&self.at, flag);
    }
}

impl<F: MapParams> ModuleMapper for Walk<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.at.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.at.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.of.map(&self.at, param)
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.of.map_flag(&self.at, flag)
    }
}
