//! Which paths of a model are running statistics, and which of them move.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::select::is_trainable;
use crate::{MapParams, ParamPlace, PeftError, VisitParams, map_params, visit_params};

/// The path of the module around a parameter.
pub(crate) fn module_of(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(module, _)| module)
}

/// The modules of a model that hold running statistics, by path.
pub(crate) struct Holders(BTreeMap<String, Holder>);

#[derive(Default)]
struct Holder {
    /// The paths of its statistics.
    states: Vec<String>,
    /// Its training flag, if it has one: whether it is on in training.
    flag: Option<bool>,
}

impl Holders {
    /// Burn shows statistics to a visitor as parameters; they are those that cannot be made to
    /// require gradients.
    pub(crate) fn of<M: Module>(model: &M) -> Self {
        let mut scan = Scan::default();
        visit_params(&model.clone().map(&mut RequireGradients), &mut scan);
        let mut holders: BTreeMap<String, Holder> = BTreeMap::new();
        for path in scan.states {
            let holder = holders.entry(module_of(&path).to_owned()).or_default();
            holder.states.push(path);
        }
        for (module, on) in scan.flags {
            if let Some(holder) = holders.get_mut(&module) {
                holder.flag = Some(on);
            }
        }
        Self(holders)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is the path of statistics.
    pub(crate) fn has_state(&self, path: &str) -> bool {
        let holder = self.0.get(module_of(path));
        holder.is_some_and(|holder| holder.states.iter().any(|state| state == path))
    }

    /// The modules, each with the paths of its statistics.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
            .iter()
            .map(|(module, holder)| (module.as_str(), holder.states.as_slice()))
    }

    /// # Errors
    ///
    /// [`PeftError::Statistics`] for a module that is to be frozen and has no flag that stops it.
    pub(crate) fn check(&self, frozen: impl Fn(&str) -> bool) -> Result<(), PeftError> {
        let unstoppable = |(module, holder): &(&String, &Holder)| {
            holder.flag.is_none() && frozen(module.as_str())
        };
        match self.0.iter().find(unstoppable) {
            None => Ok(()),
            Some((module, _)) => Err(PeftError::Statistics {
                path: module.clone(),
                problem: "cannot be frozen: it has no training flag (a `Param<Flag>`) beside them; \
                          give it one, or name it among the modules that train whole",
            }),
        }
    }
}

/// Asks for gradients of everything.
struct RequireGradients;

impl ModuleMapper for RequireGradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // What is computed from something that trains is no leaf, and none of these.
        match param.base().is_tracked() {
            true => param,
            false => param.set_require_grad(true),
        }
    }
}

#[derive(Default)]
struct Scan {
    states: BTreeSet<String>,
    flags: Vec<(String, bool)>,
}

impl VisitParams for Scan {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        if !param.base().is_tracked() && !is_trainable(param) {
            self.states.insert(at.path());
        }
    }

    fn visit_flag(&mut self, at: &ParamPlace, flag: &Param<Flag>) {
        // Out of training the flag is off and remembers what it was.
        self.flags
            .push((at.module(), flag.clone().train().is_enabled()));
    }
}

/// Sets the training flags of the modules that hold statistics.
pub(crate) struct SetFlags<F>(F);

impl<F: FnMut(&str) -> Option<bool>> SetFlags<F> {
    pub(crate) fn apply<M: Module>(model: M, on: F) -> M {
        map_params(model, &mut Self(on))
    }
}

impl<F: FnMut(&str) -> Option<bool>> MapParams for SetFlags<F> {
    fn map<const D: usize>(&mut self, _: &ParamPlace, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param
    }

    fn map_flag(&mut self, at: &ParamPlace, flag: Param<Flag>) -> Param<Flag> {
        match (self.0)(&at.module()) {
            None => flag,
            Some(on) => {
                let in_training = flag.is_enabled() || !flag.clone().train().is_enabled();
                let flag = flag.with_value(on);
                // A flag of a model that is out of training stays off, and remembers.
                match in_training {
                    true => flag,
                    false => flag.valid(),
                }
            }
        }
    }
}

/// Let the statistics of these modules move in training, and those of all others stand still.
///
/// `moves` gets a module's path; a module whose `training` flag is off by the choice of the model's
/// author stays so only where `moves` says so too.
///
/// # Errors
///
/// [`PeftError::Statistics`] for a module that cannot be frozen, with the model untouched.
pub fn freeze_statistics<M: Module>(
    model: &mut M,
    moves: impl Fn(&str) -> bool,
) -> Result<(), PeftError> {
    let holders = Holders::of(model);
    if holders.is_empty() {
        return Ok(());
    }
    holders.check(|module| !moves(module))?;
    let on = |module: &str| holders.0.contains_key(module).then(|| moves(module));
    *model = SetFlags::apply(model.clone(), on);
    Ok(())
}

/// Whether a model has running statistics, moving or not.
pub fn has_statistics<M: Module>(model: &M) -> bool {
    !Holders::of(model).is_empty()
}

/// The paths of the running statistics that training moves now, in no order but that of their
/// names.
pub fn moving_statistics<M: Module>(model: &M) -> BTreeSet<String> {
    let holders = Holders::of(model);
    let moving = holders.0.into_values();
    let moving = moving.filter(|holder| holder.flag.unwrap_or(true));
    moving.flat_map(|holder| holder.states).collect()
}
