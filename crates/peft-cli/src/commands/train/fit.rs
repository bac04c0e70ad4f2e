//! The run itself, the same for every task.

use burn::module::Module;
use peft_core::{AdapterSchedule, AttachReport, PeftError, Summary, has_suffix, module_paths};
use peft_layerwise::{AllTrainable, Rated, Strategy};
use peft_lora::{AdaLoraConfig, LoraConfig, LoraInit, LoraPlus, RankAllocator, StartFromRows};
use peft_model::Transformer;
use peft_store::{
    Adaptable, AdapterConfig, AdapterInfo, Checkpoint, Companions, Labels, TaskType, adaptable,
};
use peft_train::{
    Digest, Examples, Objective, TextTokenizer, TrainConfig, TrainError, TrainExample, TrainState,
    Trainer, TrunkCache,
};
use serde_json::{Map, Value, json};

use super::adapter::adapter_config;
use super::announce::announce;
use super::company::Preparing;
use super::cost::Cost;
use super::directory::{Directory, holds_result};
use super::init::Init;
use super::output::{OutputKind, RunOutput};
use super::rate_finder::{self, RateFinder};
use super::run::Run;
use super::sampler::Answers;
use super::strategy::{at_first, strategy};
use crate::args::{Method, TrainArgs};
use crate::commands::adapted::ADAPTER;
use crate::commands::{plan, say_divided, say_held};
use crate::device::{between, placed_on};
use crate::error::CliError;
use crate::remote;
use crate::say::say;

/// A model, its rows, and what the files say of it.
pub(super) struct Job<'a, M, E> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) tokenizer: &'a TextTokenizer,
    /// The files that go with what is saved.
    pub(super) companions: Companions,
    pub(super) model: M,
    pub(super) train: Examples<'a, E>,
    pub(super) valid: Option<Examples<'a, E>>,
    pub(super) directory: Directory,
    /// What the run begins with, where it does not begin anew.
    pub(super) init: Option<Init>,
    /// What LoRA begins with, where it has looked at the rows.
    pub(super) begun: Option<StartFromRows>,
    /// What the model answers to some rows, where that is to be shown.
    pub(super) sampler: Option<Answers<'a, Adaptable<M>>>,
    /// Modules that train whole whatever the method.
    pub(super) heads: Vec<String>,
    pub(super) labels: Option<Labels>,
    /// What the adapter is for, in PEFT's words.
    pub(super) task: TaskType,
    /// The `config.json` of the whole model.
    pub(super) fields: Map<String, Value>,
    /// The loss of a guess that takes everything for equally likely.
    pub(super) uniform: Option<f64>,
    /// Where the run is one of several at once.
    pub(super) preparing: Option<Preparing<'a>>,
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
    O: Objective<Adaptable<M>>,
    O::Example: TrainExample,
{
    let (devices, dtype) = placed_on(&args.model)?;
    let length = config.length(job.train.len());
    let init = job.init.as_ref();
    let mut allocator = None;
    let adapter = match init.and_then(Init::adapter) {
        Some(config) => Some(config.clone()),
        None => {
            let config =
                adapter_config(args, &job.heads, job.checkpoint, job.tokenizer, &job.model)?;
            match config {
                Some(AdapterConfig::AdaLora(config)) => {
                    let config = in_steps(args, config, length.total_steps);
                    allocator = Some(RankAllocator::new(&config, ADAPTER, length.total_steps)?);
                    Some(AdapterConfig::AdaLora(config))
                }
                Some(AdapterConfig::Lora(config)) => {
                    let begun = job.begun.as_ref();
                    let config = begun.map_or(config, |begun| begun.config().clone());
                    Some(AdapterConfig::Lora(config))
                }
                config => config,
            }
        }
    };
    let allocator = allocator.as_ref().map(|of| of as &dyn AdapterSchedule);
    let strategy = strategy(args, &job.heads, &job.model)?;
    say_held(&job.model);
    say_divided(&args.model, &job.model);
    let outputs = job.labels.as_ref().map(|labels| labels.names.len());
    let planned = plan::of_run(args, job.checkpoint, &job.model, job.train, outputs);
    if let Some(planned) = planned.as_ref().filter(|_| !args.model.any_size) {
        let preparing = job.preparing.as_ref();
        let with_others = |bytes| preparing.map_or(bytes, |of| of.planned(bytes));
        plan::check_step(planned, with_others, &devices[0])?;
    }
    let mut model = adaptable(job.model);
    let mut begun_with = Vec::new();
    if let Some(init) = init {
        let strategy = strategy.as_ref().map(Strategy::settings);
        begun_with = init.attach(&mut model, strategy)?;
        say!("{}", Summary::of(&model));
    }
    match (&adapter, &strategy) {
        _ if init.is_some() => {}
        (Some(AdapterConfig::Lora(lora)), _) if lora.init == LoraInit::Loftq => {
            let report = on_packed(lora, &mut model, job.checkpoint)?;
            say!("{report}");
        }
        (Some(adapter), _) => say!(
            "{}",
            match &job.begun {
                Some(begun) => begun.attach(&mut model, ADAPTER)?,
                None => adapter.attach_any(&mut model, ADAPTER)?,
            }
        ),
        (None, Some(strategy)) => say!(
            "{}, in the first step:\n{}",
            args.method(),
            at_first(strategy, &length, &model)?
        ),
        (None, None) => {}
    }
    let kind = match (adapter, &strategy) {
        (Some(adapter), _) => OutputKind::Adapter(Box::new(adapter)),
        (None, Some(_)) if args.method() == Method::Norms => {
            OutputKind::Norms(modules(&model, &job.heads))
        }
        (None, Some(strategy)) if args.method() != Method::Full => {
            OutputKind::Own(strategy.settings())
        }
        (None, Some(_) | None) => OutputKind::Whole,
    };
    let about = AdapterInfo::new()
        .with_base(args.base_name())
        .with_task(job.task)
        .with_replaced(begun_with.clone());
    let about = match kind {
        OutputKind::Adapter(_) => about.with_digest_of(&model, ADAPTER),
        OutputKind::Whole | OutputKind::Norms(_) | OutputKind::Own(_) => about,
    };
    let what = RunOutput {
        kind,
        about,
        base: args.base_name(),
        fields: job.fields,
        companions: job.companions,
        dtype,
        labels: job.labels,
        task: job.task,
        uniform: job.uniform,
        begun_with,
    };
    let save_every = args.save_every.unwrap_or(length.steps_per_epoch);
    let Directory { lock, found } = job.directory;
    let state = found.as_ref().map(|found| &found.state);
    let done = state.map(TrainState::step);
    if let Some(state) = state {
        goes_on(args, state, length.total_steps)?;
    }
    let config = &TrainConfig {
        eval_every: Some(config.eval_every.unwrap_or(length.steps_per_epoch)),
        eval_first: true,
        ..config.clone()
    };
    if args.learning.lr_find {
        let config = rate_finder::config(args, config);
        let strategy = adapters_or(strategy, args, &model)?;
        rate_finder::announce(args, &config);
        let mut finder = RateFinder::default();
        let between = between(&args.model)?;
        let trainer = Trainer::new(&config, job.train)
            .with_strategy(strategy.as_ref())
            .with_devices(&devices)
            .with_between(between.as_ref())
            .with_lost(remote::watched());
        let tried = unless_lost(|| trainer.run(model, objective, &mut finder));
        return finder.finish(args, tried.map(drop));
    }
    announce(args, config, length.total_steps);
    let context = context(args, job.valid.map(Examples::digest));
    let mut run = Run::new(args, lock, done, save_every, what);
    run.sampler = job.sampler;
    // Of runs at once, what was used is not told apart.
    run.cost = Cost::new(
        planned.filter(|_| job.preparing.is_none()),
        &args.model.dtype,
    );
    let strategy = adapters_or(strategy, args, &model)?;
    let strategy = strategy.as_ref();
    let trunk = args.of_method.cache_trunk.then(TrunkCache::default);
    let between = between(&args.model)?;
    let seat = job.preparing.and_then(Preparing::ready);
    let trainer = Trainer::new(config, job.train)
        .with_runs(seat.as_ref())
        .with_validation(job.valid)
        .with_state(state)
        .with_context(&context)
        .with_strategy(strategy)
        .with_adapter_schedule(allocator)
        .with_trunk_cache(trunk.as_ref())
        .with_devices(&devices)
        .with_between(between.as_ref())
        .with_lost(remote::watched());
    match unless_lost(|| trainer.run(model, objective, &mut run)) {
        Ok(model) => run.finish(&model.valid()),
        Err(error) => Err(run.ended(error)),
    }
}

/// What a run gives, or the loss of a device.
fn unless_lost<T>(run: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    remote::unless_lost(|| Ok(run())).unwrap_or_else(|error| {
        let reason = error.to_string();
        Err(TrainError::DeviceLost { reason })
    })
}

/// LoRA that begins with what packing has left out of the checkpoint's weights.
fn on_packed<M: Module>(
    config: &LoraConfig,
    model: &mut M,
    checkpoint: &Checkpoint,
) -> Result<AttachReport, CliError> {
    let weights = checkpoint.dense_weights()?;
    let mut failed = None;
    let attached = config.attach_to_packed(model, ADAPTER, |layer| {
        let device = layer.device.clone().without_autodiff();
        weights.read(&layer.path, &device).map_err(|error| {
            failed = Some(error);
            PeftError::NoAdapter
        })
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(attached?),
    }
}

/// A budget of ranks that falls in the middle of a run of so many steps.
fn in_steps(args: &TrainArgs, config: AdaLoraConfig, total: usize) -> AdaLoraConfig {
    let of = &args.of_method;
    let config = config.with_steps(
        of.t_init.unwrap_or(total / 10),
        of.t_final.unwrap_or(total / 3),
        of.delta_t.unwrap_or(1),
    );
    AdaLoraConfig {
        total_steps: Some(total),
        ..config
    }
}

/// A strategy, or that of a model with adapters.
fn adapters_or<M: Module>(
    strategy: Option<Box<dyn Strategy>>,
    args: &TrainArgs,
    model: &M,
) -> Result<Box<dyn Strategy>, CliError> {
    match strategy {
        Some(strategy) => Ok(strategy),
        None => adapters_strategy(args, model),
    }
}

/// What trains of a model with adapters: all that requires gradients, by LoRA+ at rates of its own.
fn adapters_strategy<M: Module>(
    args: &TrainArgs,
    model: &M,
) -> Result<Box<dyn Strategy>, CliError> {
    let Some(ratio) = args.of_method.lora_plus_ratio else {
        return Ok(Box::new(AllTrainable));
    };
    let rates = LoraPlus::new(ratio, args.peak())?;
    let settings = json!({ "lora_plus": ratio });
    let rated = Rated::new(AllTrainable, rates.factors(model)?, settings)?;
    Ok(Box::new(rated))
}

/// Say from where a run goes on; an error where nothing is left to do.
fn goes_on(args: &TrainArgs, state: &TrainState, total: usize) -> Result<(), CliError> {
    let (done, before) = (state.step(), state.total_steps());
    let longer = match args.max_steps {
        Some(_) => "--max-steps",
        None => "--epochs",
    };
    let waited = state.evaluations().waited;
    if let Some(most) = args.patience.filter(|most| waited >= *most) {
        return Err(CliError::Usage(format!(
            "the run ended after step {done}: its last {waited} evaluations were no better; it goes on with a larger --patience than {most}"
        )));
    }
    if done == total && holds_result(&args.out).is_some() {
        return Err(CliError::Usage(format!(
            "the run is done, with all of its {total} steps; it goes on with a larger {longer}"
        )));
    }
    say!("going on after step {done}");
    if before != total {
        say!(
            "the run had {before} steps and is to have {total}: from step {} on, the learning rate is that of a run of {total} steps",
            done + 1
        );
    }
    Ok(())
}

/// What decides the run beside what the trainer knows.
fn context(args: &TrainArgs, valid: Option<Digest>) -> Map<String, Value> {
    let mut context = flags(args);
    let valid = valid.map(|digest| digest.to_string());
    context.insert("digest of the validation rows".into(), json!(valid));
    context
}

/// What the flags alone say of it, before anything is read.
pub(super) fn flags(args: &TrainArgs) -> Map<String, Value> {
    // The others change the rounding of sums alone, and a run can go on with those that are there.
    let backend = args.model.devices()[0].split(':').next();
    let mut context = Map::new();
    context.insert("method".into(), json!(args.method()));
    context.insert("of the method".into(), json!(args.of_method));
    context.insert("dtype".into(), json!(args.model.dtype));
    context.insert("device".into(), json!(backend));
    if let Some(held) = args.model.quantise {
        context.insert("quantise".into(), json!(held));
    }
    if args.model.quantise_embeddings {
        context.insert("quantise embeddings".into(), json!(true));
    }
    context
}
