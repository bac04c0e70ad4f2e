//! The run itself, the same for every task.

use burn::module::Module;
use peft_core::{Transformer, has_suffix, module_paths};
use peft_layerwise::{AsGiven, Strategy};
use peft_store::{Checkpoint, Labels};
use peft_train::{
    Objective, TextTokenizer, TrainConfig, TrainExample, TrainState, Trainer, TrunkCache,
};
use serde_json::{Map, Value};

use super::adapter::adapter_config;
use super::run::{Kind, Run, Trained};
use super::strategy::{at_first, strategy};
use crate::args::{Method, TrainArgs};
use crate::commands::adapted::{Adapted, attach_fresh, bare};
use crate::device::placed;
use crate::error::CliError;
use crate::say::say;

/// A model, its rows, and what the files say of it.
pub(super) struct Job<'a, M, E> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) tokenizer: &'a TextTokenizer,
    pub(super) model: M,
    pub(super) train: &'a [E],
    pub(super) valid: Option<&'a [E]>,
    pub(super) state: Option<&'a TrainState>,
    /// Modules that train whole whatever the method.
    pub(super) heads: Vec<String>,
    pub(super) labels: Option<Labels>,
    /// What the adapter is for, in PEFT's words.
    pub(super) task_type: &'static str,
    /// The `config.json` of the whole model.
    pub(super) fields: Map<String, Value>,
}

/// The paths of these modules.
fn modules<M: Module>(model: &M, names: &[String]) -> Vec<String> {
    let named = |path: &String| names.iter().any(|name| has_suffix(path, name));
    module_paths(model).into_iter().filter(named).collect()
}

/// Train by the flags, and keep what was trained.
pub(super) fn fit<M, O>(
    args: &TrainArgs,
    config: &TrainConfig,
    objective: &O,
    job: Job<'_, M, O::Example>,
) -> Result<(), CliError>
where
    M: Transformer + Sync,
    O: Objective<Adapted<M>>,
    O::Example: TrainExample,
{
    let (_, dtype) = placed(&args.model)?;
    let length = config.length(job.train.len());
    let adapter = adapter_config(args, &job.heads, job.checkpoint, job.tokenizer, &job.model)?;
    let strategy = strategy(args, &job.heads, &job.model)?;
    let mut model = bare(job.model);
    match (&adapter, &strategy) {
        (Some(adapter), _) => say!("{}", attach_fresh(adapter, &mut model)?),
        (None, Some(strategy)) => say!(
            "{}, in the first step:\n{}",
            args.method,
            at_first(strategy, &length, &model)?
        ),
        (None, None) => {}
    }
    let kind = match (adapter, &strategy) {
        (Some(adapter), _) => Kind::Adapter(Box::new(adapter)),
        (None, Some(_)) if args.method == Method::Norms => Kind::Norms(modules(&model, &job.heads)),
        (None, Some(strategy)) if args.method != Method::Full => Kind::Own(strategy.settings()),
        _ => Kind::Whole,
    };
    let what = Trained {
        kind,
        base: args.model.model.display().to_string(),
        fields: job.fields,
        companions: job.checkpoint.dir().to_path_buf(),
        dtype,
        labels: job.labels,
        task_type: job.task_type,
    };
    let save_every = args.save_every.unwrap_or(length.steps_per_epoch);
    let mut run = Run::begin(args, job.state, save_every, what)?;
    if let Some(state) = job.state {
        say!("going on after step {}", state.step());
    }
    let strategy: &dyn Strategy = match &strategy {
        Some(strategy) => strategy,
        None => &AsGiven,
    };
    let trunk = args.of_method.cache_trunk.then(TrunkCache::default);
    let model = Trainer::new(config, job.train)
        .with_validation(job.valid)
        .with_state(job.state)
        .with_strategy(strategy)
        .with_trunk_cache(trunk.as_ref())
        .run(model, objective, &mut run)?;
    run.finish(&model.valid())?;
    say!("saved {}", args.out.display());
    Ok(())
}
