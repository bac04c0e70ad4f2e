//! The run itself, the same for every task.

use burn::module::Module;
use peft_core::{ParamSet, Summary, freeze_all_but};
use peft_store::{Checkpoint, Labels};
use peft_train::{Objective, TrainConfig, TrainExample, TrainState, train};
use serde_json::{Map, Value};

use super::adapter::adapter_config;
use super::run::{Run, Trained};
use crate::args::TrainArgs;
use crate::commands::ADAPTER;
use crate::device::placed;
use crate::error::CliError;

/// A model, its rows, and what the files say of it.
pub(super) struct Job<'a, M, E> {
    pub(super) checkpoint: &'a Checkpoint,
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

/// Train by the flags, and keep what was trained.
pub(super) fn fit<M: Module + Sync, O: Objective<M>>(
    args: &TrainArgs,
    config: &TrainConfig,
    objective: &O,
    job: Job<'_, M, O::Example>,
) -> Result<(), CliError>
where
    O::Example: TrainExample,
{
    let Job { mut model, .. } = job;
    let (_, dtype) = placed(&args.model)?;
    let adapter = adapter_config(args, &job.heads, job.checkpoint, &model);
    match &adapter {
        Some(adapter) => eprintln!("{}", adapter.attach(&mut model, ADAPTER)?),
        None => {
            freeze_all_but(&mut model, &ParamSet::All)?;
            eprintln!("all parameters\n{}", Summary::of(&model));
        }
    }
    let save_every = args
        .save_every
        .unwrap_or_else(|| config.length(job.train.len()).steps_per_epoch);
    let what = Trained {
        adapter,
        base: args.model.model.display().to_string(),
        fields: job.fields,
        companions: job.checkpoint.dir().to_path_buf(),
        dtype,
        labels: job.labels,
        task_type: job.task_type,
    };
    let mut run = Run::begin(args, job.state, save_every, what)?;
    if let Some(state) = job.state {
        eprintln!("going on after step {}", state.step());
    }
    let model = train(
        model, objective, job.train, job.valid, config, job.state, &mut run,
    )?;
    run.finish(&model.valid())?;
    eprintln!("saved {}", args.out.display());
    Ok(())
}
