//! [`begin`]: LoRA that begins with what the model makes of the training rows.

use std::borrow::Cow;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use peft_lora::{CordaMode, InputReader, LoraConfig, LoraInit, StartFromRows};
use peft_models::{LanguageModel, Transformer};
use peft_store::{AdapterConfig, Checkpoint};
use peft_train::{Batch, Example, Examples, TextTokenizer, target_nll};

use super::adapter::adapter_config;
use crate::args::TrainArgs;
use crate::error::CliError;
use crate::say::say;

/// EVA: directions that are sought of a layer for each of its ranks, as PEFT's default has it.
const RHO: f64 = 2.0;
/// EVA: targets of a batch, at least, where there are as many.
const TARGETS: usize = 256;
/// LoRA-GA: rows whose gradients are taken, at most.
const OF_GRADIENTS: usize = 64;
/// CorDA: rows whose inputs are taken, at most, as in the paper.
const OF_INPUTS: usize = 256;

/// What the flags' LoRA begins with, where they ask for it.
pub(super) fn begin(
    args: &TrainArgs,
    checkpoint: &Checkpoint,
    tokenizer: &TextTokenizer,
    model: &LanguageModel,
    rows: Examples<'_, Example>,
) -> Result<Option<StartFromRows>, CliError> {
    let Some(init) = args.of_method.lora_init.map(|init| init.0) else {
        return Ok(None);
    };
    let of_rows = matches!(init, LoraInit::Eva | LoraInit::LoraGa | LoraInit::Corda(_));
    if !of_rows || args.init_adapter.is_some() {
        return Ok(None);
    }
    let Some(AdapterConfig::Lora(config)) =
        adapter_config(args, &[], checkpoint, tokenizer, model)?
    else {
        return Ok(None);
    };
    let begun = match init {
        LoraInit::LoraGa => lora_ga(args, &config, model, rows)?,
        LoraInit::Corda(mode) => corda(&config, mode, model, rows)?,
        LoraInit::Eva
        | LoraInit::KaimingUniform
        | LoraInit::Gaussian
        | LoraInit::Orthogonal
        | LoraInit::Pissa
        | LoraInit::PissaRandomised { .. }
        | LoraInit::Olora
        | LoraInit::Loftq => eva(&config, model, rows)?,
    };
    Ok(Some(begun))
}

fn eva(
    config: &LoraConfig,
    model: &LanguageModel,
    rows: Examples<'_, Example>,
) -> Result<StartFromRows, CliError> {
    let batches = batches(rows);
    let plain = model.valid();
    let device = device_of(&plain);
    let mut lost = None;
    let begun = StartFromRows::eva(config, RHO, &plain, |model, reader, at| {
        for index in &batches[at % batches.len().max(1)] {
            let row = match rows.get(*index) {
                Ok(row) => row,
                Err(error) => {
                    lost = Some(error);
                    return;
                }
            };
            // Each text by itself, also where a row holds several.
            for (from, to) in texts(&row) {
                let targets = row.targets[from..to].iter().enumerate();
                reader.count(targets.filter(|(_, is)| **is).map(|(at, _)| at));
                run(model, &row.ids[from..to], &device);
            }
        }
    })?;
    if let Some(error) = lost {
        return Err(error.into());
    }
    let config = begun.config();
    say!(
        "EVA: ranks and directions by the inputs of the layers at targets of the training rows; {} layers have another rank than {}{}",
        config.rank_pattern.iter().count(),
        config.rank,
        match begun.settled() {
            true => "",
            false => "; some directions had not settled",
        }
    );
    Ok(begun)
}

fn lora_ga(
    args: &TrainArgs,
    config: &LoraConfig,
    model: &LanguageModel,
    rows: Examples<'_, Example>,
) -> Result<StartFromRows, CliError> {
    let first: Vec<usize> = (0..rows.len().min(OF_GRADIENTS)).collect();
    let rows = rows.at(&first)?;
    let batches: Vec<&[Cow<'_, Example>]> = rows.chunks(args.batch_size.max(1)).collect();
    let device = device_of(model);
    let begun = StartFromRows::lora_ga(config, model, batches.len(), |model, at| {
        let rows: Vec<&Example> = batches[at].iter().map(AsRef::as_ref).collect();
        target_nll(model, &Batch::new(&rows, &device)).mean()
    })?;
    say!(
        "LoRA-GA: directions of the gradients of {} training rows",
        rows.len()
    );
    Ok(begun)
}

fn corda(
    config: &LoraConfig,
    mode: CordaMode,
    model: &LanguageModel,
    rows: Examples<'_, Example>,
) -> Result<StartFromRows, CliError> {
    // Each row has a text or more.
    let first: Vec<usize> = (0..rows.len().min(OF_INPUTS)).collect();
    let rows = rows.at(&first)?;
    let cut = |row| texts(row).map(move |(from, to)| (row, from, to));
    let rows = rows.iter().map(AsRef::as_ref);
    let all: Vec<(&Example, usize, usize)> = rows.flat_map(cut).take(OF_INPUTS).collect();
    let plain = model.valid();
    let device = device_of(&plain);
    let read = |model: &LanguageModel, reader: &InputReader, at: usize| {
        let (row, from, to) = all[at];
        reader.count(0..to - from);
        run(model, &row.ids[from..to], &device);
    };
    let begun = StartFromRows::corda(config, mode, &plain, all.len(), read)?;
    say!(
        "CorDA: parts of the weights by the inputs of the layers on {} training rows",
        all.len()
    );
    Ok(begun)
}

/// Where the texts of a row begin and end.
fn texts(row: &Example) -> impl Iterator<Item = (usize, usize)> {
    let ends = row.starts.iter().skip(1).copied().chain([row.ids.len()]);
    row.starts.iter().copied().zip(ends)
}

fn device_of(model: &LanguageModel) -> Device {
    model.devices().into_iter().next().unwrap_or_default()
}

/// Run the model on one text.
fn run(model: &LanguageModel, ids: &[u32], device: &Device) {
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let shape = [1, ids.len()];
    let data = TensorData::new(ids, shape);
    drop(model.hidden(Tensor::<2, Int>::from_data(data, device), None, None));
}

/// The rows in batches of some targets each, by their indices.
fn batches(rows: Examples<'_, Example>) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut targets = TARGETS;
    for row in 0..rows.len() {
        if targets >= TARGETS {
            batches.push(Vec::new());
            targets = 0;
        }
        if let Some(last) = batches.last_mut() {
            last.push(row);
            targets += rows.n_targets(row);
        }
    }
    // A last one of few targets tells little by itself.
    if targets < TARGETS
        && batches.len() > 1
        && let (Some(rest), Some(last)) = (batches.pop(), batches.last_mut())
    {
        last.extend(rest);
    }
    batches
}
