//! [`Stages`]: a strategy at work on a model and its optimizer.

use std::collections::{BTreeSet, HashMap, HashSet};

use burn::module::{Module, ParamId};
use burn::optim::GradientsParams;
use peft_core::{freeze_statistics, moving_statistics, parameters};
use peft_layerwise::{Depth, Length, Strategy};

use super::mask::{Mask, trained};
use super::run_optimizer::RunOptimizer;
use super::trunk::Span;
use super::{TrainConfig, TrainState};
use crate::TrainError;

/// What trains now, what has trained, and the optimizer that holds their moments.
pub(super) struct Stages<'a> {
    strategy: &'a dyn Strategy,
    length: Length,
    optimizer: RunOptimizer,
    /// The stage that the model is ready for.
    current: Option<usize>,
    /// What trained in the model as it was given, by path.
    given: BTreeSet<String>,
    /// What has trained, by path: what may differ from the model that the run began with.
    touched: BTreeSet<String>,
    /// The factor on the learning rate of each parameter that trains now.
    rates: HashMap<ParamId, f64>,
}

impl<'a> Stages<'a> {
    pub(super) fn new<M: Module>(
        strategy: &'a dyn Strategy,
        config: &TrainConfig,
        length: Length,
        model: &M,
    ) -> Self {
        Self {
            strategy,
            length,
            optimizer: RunOptimizer::new(config),
            current: None,
            given: trained(model),
            touched: BTreeSet::new(),
            rates: HashMap::new(),
        }
    }

    pub(super) fn optimizer(&self) -> &RunOptimizer {
        &self.optimizer
    }

    pub(super) fn given(&self) -> &BTreeSet<String> {
        &self.given
    }

    pub(super) fn touched(&self) -> &BTreeSet<String> {
        &self.touched
    }

    /// Count adapters' parameters as what has trained, of the paths that `changes` says.
    pub(super) fn touch<M: Module>(&mut self, model: &M, changes: impl Fn(&str) -> bool) {
        let adapters = parameters(model)
            .into_iter()
            .filter(|param| param.adapter.is_some());
        let paths = adapters.map(|param| param.path);
        self.touched.extend(paths.filter(|path| changes(path)));
    }

    /// Put the parameters and moments of a state back.
    pub(super) fn restore<M: Module>(
        &mut self,
        state: &TrainState,
        model: M,
    ) -> Result<M, TrainError> {
        let model = state.restore(model, &mut self.optimizer, &self.given)?;
        self.touched = state.paths().map(str::to_owned).collect();
        Ok(model)
    }

    /// Make the model ready for a step: what trains, and how fast, is set anew where a stage
    /// begins, and for the first step of a run that begins or goes on. Then too, moments of what
    /// does not train are forgotten if they are to be: within a stage there are none. Says whether
    /// a stage begins.
    pub(super) fn before<M: Module>(
        &mut self,
        step: usize,
        model: M,
    ) -> Result<(M, bool), TrainError> {
        let stage = self.strategy.stage(step, &self.length);
        if self.current == Some(stage) {
            return Ok((model, false));
        }
        self.current = Some(stage);
        let (strategy, given) = (self.strategy, &self.given);
        let rate = |path: &str| strategy.rate(stage, path, given.contains(path));
        let (mut model, trains) = Mask::apply(model, rate)?;
        // Statistics move where something of their module trains, and are part of what has trained.
        freeze_statistics(&mut model, |module| {
            let within = format!("{module}.");
            trains.iter().any(|param| param.path.starts_with(&within))
        })?;
        self.touched.extend(moving_statistics(&model));
        if !strategy.keeps_moments() {
            let ids: HashSet<ParamId> = trains.iter().map(|param| param.id).collect();
            self.optimizer.forget_all_but(&ids);
        }
        self.rates = trains.iter().map(|param| (param.id, param.rate)).collect();
        self.touched
            .extend(trains.into_iter().map(|param| param.path));
        Ok((model, true))
    }

    /// The stretch of steps around `step` in which nothing lower begins or ceases to train.
    pub(super) fn span(&self, step: usize, depth: &Depth) -> Span {
        let given = |path: &str| self.given.contains(path);
        Span::around(step, self.strategy, &self.length, depth, given)
    }

    /// One update at a peak learning rate.
    pub(super) fn step<M: Module>(&mut self, rate: f64, model: M, grads: GradientsParams) -> M {
        let rates = &self.rates;
        let rate = |id| rates.get(&id).map(|factor| rate * factor);
        self.optimizer.step(rate, model, grads)
    }
}
