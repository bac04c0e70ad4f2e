//! [`Stages`]: a strategy at work on a model and its optimizer. The only file that touches Burn's optimizer.

use std::collections::{BTreeSet, HashSet};

use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::{Module, ParamGroup, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use peft_layerwise::{Depth, Length, Strategy};

use super::adamw::AdamW;
use super::mask::{Mask, trained};
use super::trunk::Span;
use super::{TrainConfig, TrainState};
use crate::TrainError;

/// What trains now, what has trained, and the optimizer that holds their moments.
pub(super) struct Stages<'a> {
    strategy: &'a dyn Strategy,
    length: Length,
    adamw: AdamW,
    optimizer: ModuleOptimizer,
    /// The stage that the model is ready for.
    current: Option<usize>,
    /// What trained in the model as it was given, by path.
    given: BTreeSet<String>,
    /// What has trained, by path: what may differ from the model that the run began with.
    touched: BTreeSet<String>,
    /// The parameters that the optimizer may hold moments of.
    with_moments: HashSet<ParamId>,
    /// The parameters that train now, by the factor on their learning rate.
    rates: Vec<(f64, ParamGroup)>,
}

impl<'a> Stages<'a> {
    pub(super) fn new<M: Module>(
        strategy: &'a dyn Strategy,
        config: &TrainConfig,
        length: Length,
        model: &M,
    ) -> Self {
        let adamw = AdamW::new(config);
        Self {
            strategy,
            length,
            optimizer: adamw.fresh(),
            adamw,
            current: None,
            given: trained(model),
            touched: BTreeSet::new(),
            with_moments: HashSet::new(),
            rates: Vec::new(),
        }
    }

    pub(super) fn optimizer(&self) -> &ModuleOptimizer {
        &self.optimizer
    }

    pub(super) fn given(&self) -> &BTreeSet<String> {
        &self.given
    }

    pub(super) fn touched(&self) -> &BTreeSet<String> {
        &self.touched
    }

    /// Put the parameters and moments of a state back.
    pub(super) fn restore<M: Module>(
        &mut self,
        state: &TrainState,
        model: M,
    ) -> Result<M, TrainError> {
        let (model, optimizer) = state.restore(model, self.adamw.fresh(), &self.given)?;
        self.optimizer = optimizer;
        self.with_moments = state.ids().collect();
        self.touched = state.paths().map(str::to_owned).collect();
        Ok(model)
    }

    /// Make the model ready for a step: what trains, and how fast, is set anew where a stage begins, and for the first step of a run that begins or goes on.
    /// Then too, moments of what does not train are forgotten if they are to be: within a stage there are none. Says whether a stage begins.
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
        let (model, trains) = Mask::apply(model, rate)?;
        let ids: HashSet<ParamId> = trains.iter().map(|param| param.id).collect();
        if !strategy.keeps_moments() {
            self.forget_all_but(&ids);
        }
        self.with_moments.extend(&ids);
        let mut rates: Vec<(f64, Vec<ParamId>)> = Vec::new();
        for param in trains {
            match rates.iter_mut().find(|(rate, _)| *rate == param.rate) {
                Some((_, ids)) => ids.push(param.id),
                None => rates.push((param.rate, vec![param.id])),
            }
            self.touched.insert(param.path);
        }
        let group = |(rate, ids)| (rate, ParamGroup::from_ids(ids));
        self.rates = rates.into_iter().map(group).collect();
        Ok((model, true))
    }

    /// The stretch of steps around `step` in which nothing lower begins or ceases to train.
    pub(super) fn span(&self, step: usize, depth: &Depth) -> Span {
        let given = |path: &str| self.given.contains(path);
        Span::around(step, self.strategy, &self.length, depth, given)
    }

    /// One update at a peak learning rate.
    pub(super) fn step<M: Module>(&mut self, rate: f64, model: M, grads: GradientsParams) -> M {
        let rate = self.learning_rate(rate);
        self.optimizer.step(rate, model, grads)
    }

    fn learning_rate(&self, rate: f64) -> ModuleLearningRate {
        match self.rates.as_slice() {
            [(factor, _)] => (rate * factor).into(),
            // Burn's groups are built by a scheduler only; this one's rates are constant.
            rates => rates
                .iter()
                .fold(
                    ModuleLrScheduler::new(rate),
                    |scheduler, (factor, group)| scheduler.with_group(group.clone(), rate * factor),
                )
                .step(),
        }
    }

    fn forget_all_but(&mut self, ids: &HashSet<ParamId>) {
        let forgotten: Vec<ParamId> = self.with_moments.difference(ids).copied().collect();
        if forgotten.len() == self.with_moments.len() {
            self.optimizer = self.adamw.fresh();
        } else if !forgotten.is_empty() {
            // A group of the same optimizer: what Burn has to make it drop the moments of some parameters.
            let group = ParamGroup::from_ids(forgotten);
            let optimizer = std::mem::replace(&mut self.optimizer, self.adamw.fresh());
            self.optimizer = optimizer.with_group(group, self.adamw.clone(), None);
        }
        self.with_moments.retain(|id| ids.contains(id));
    }
}
