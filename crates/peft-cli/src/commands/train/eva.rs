//! [`begin`]: LoRA that begins with what its layers read of the training rows.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use peft_lora::{EvaStart, LoraInit};
use peft_models::{LanguageModel, Transformer};
use peft_store::{AdapterConfig, Checkpoint};
use peft_train::{Example, TextTokenizer};

use super::adapter::adapter_config;
use crate::args::TrainArgs;
use crate::error::CliError;
use crate::say::say;

/// Directions that are sought of a layer for each of its ranks, as PEFT's default has it.
const RHO: f64 = 2.0;
/// Targets of a batch, at least, where there are as many.
const TARGETS: usize = 256;

/// What the flags' LoRA begins with, where they ask for it.
pub(super) fn begin(
    args: &TrainArgs,
    checkpoint: &Checkpoint,
    tokenizer: &TextTokenizer,
    model: &LanguageModel,
    rows: &[Example],
) -> Result<Option<EvaStart>, CliError> {
    let asked = args.of_method.lora_init.map(|init| init.0) == Some(LoraInit::Eva);
    if !asked || args.init_adapter.is_some() {
        return Ok(None);
    }
    let Some(AdapterConfig::Lora(config)) =
        adapter_config(args, &[], checkpoint, tokenizer, model)?
    else {
        return Ok(None);
    };
    let batches = batches(rows);
    let plain = model.valid();
    let device = plain.devices().into_iter().next().unwrap_or_default();
    let begun = EvaStart::of(&config, RHO, &plain, |model, reader, at| {
        for row in &batches[at % batches.len().max(1)] {
            let ends = row.starts.iter().skip(1).copied().chain([row.ids.len()]);
            // Each text by itself, also where a row holds several.
            for (from, to) in row.starts.iter().copied().zip(ends) {
                let targets = row.targets[from..to].iter().enumerate();
                reader.count(targets.filter(|(_, is)| **is).map(|(at, _)| at));
                let ids: Vec<i32> = row.ids[from..to].iter().map(|id| *id as i32).collect();
                let ids = TensorData::new(ids, [1, to - from]);
                let ids = Tensor::<2, Int>::from_data(ids, &device);
                drop(model.hidden(ids, None, None));
            }
        }
    })?;
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
    Ok(Some(begun))
}

/// The rows in batches of some targets each.
fn batches(rows: &[Example]) -> Vec<Vec<&Example>> {
    let mut batches: Vec<Vec<&Example>> = Vec::new();
    let mut targets = TARGETS;
    for row in rows {
        if targets >= TARGETS {
            batches.push(Vec::new());
            targets = 0;
        }
        if let Some(last) = batches.last_mut() {
            last.push(row);
            targets += row.n_targets();
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
