//! One file a verb, and what they share.

mod adapted;
pub(crate) mod add_tokens;
mod answer;
pub(crate) mod chat;
mod classifier;
pub(crate) mod combine;
pub(crate) mod data;
pub(crate) mod demo;
mod differences;
pub(crate) mod doctor;
mod encoded;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod extract;
pub(crate) mod generate;
pub(crate) mod inspect;
mod low_rank;
pub(crate) mod merge;
mod not_finite;
pub(crate) mod plan;
pub(crate) mod predict;
mod prompt;
pub(crate) mod report;
mod run_record;
pub(crate) mod spectrum;
mod tokenizer;
pub(crate) mod train;
pub(crate) mod worker;

use std::fmt::Display;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_core::set_active;
use peft_kernels::multiplies_packed;
use peft_model::Transformer;
use peft_models::LanguageModel;
use peft_store::{Adaptable, Checkpoint, Held, MemoryError, adaptable};
use peft_train::{Dataset, EncodeOptions, RowKind, TextTokenizer};

use self::adapted::{attach, attach_as, check_acts_with_others, open_for_task};
use crate::args::{AdaptersArgs, HoldArg, ModelArgs, RowArgs};
use crate::device::{divided, dtype, placed, placed_on};
use crate::error::CliError;
use crate::remote::check_sizes;
use crate::say::say;

/// The output layer, which `all-linear` leaves out as PEFT does.
const OUTPUT_LAYER: &str = "lm_head";

/// A decoder on a device without autodiff, with the adapter if there is one.
fn load(
    args: &ModelArgs,
    adapter: Option<&Path>,
) -> Result<(Checkpoint, Adaptable<LanguageModel>, Device), CliError> {
    let (device, dtype) = placed(args)?;
    let checkpoint = opened(args)?;
    say_left_alone(&checkpoint, &device)?;
    let adapter = adapter.map(|dir| open_for_task(dir, &checkpoint));
    let adapter = adapter.transpose()?;
    let model = checkpoint.load(&device, dtype)?;
    say_held(&model);
    say_divided(args, &model);
    let Some(adapter) = adapter else {
        return Ok((checkpoint, adaptable(model), device));
    };
    let mut model = adaptable(adapter.untied(model)?);
    attach(&adapter, &mut model)?;
    Ok((checkpoint, model, device))
}

/// As [`load`], with adapters that act together.
fn load_all(
    args: &ModelArgs,
    adapters: &AdaptersArgs,
) -> Result<(Checkpoint, Adaptable<LanguageModel>, Device), CliError> {
    if adapters.act_whole() {
        return load(args, adapters.first());
    }
    let (checkpoint, model, device) = load(args, None)?;
    let mut model = model.model.model;
    let mut all = Vec::new();
    for adapter in &adapters.adapters {
        let saved = open_for_task(&adapter.dir, &checkpoint)?;
        check_acts_with_others(&saved, &adapter.dir)?;
        model = saved.untied(model)?;
        all.push((adapter, saved));
    }
    let mut model = adaptable(model);
    let mut active = Vec::new();
    for (i, (adapter, saved)) in all.iter().enumerate() {
        let own = || format!("adapter-{}", i + 1);
        let name = adapter.name.clone().unwrap_or_else(own);
        attach_as(saved, &mut model, &name)?;
        active.push((name, adapter.weight));
    }
    let active: Vec<(&str, f64)> = active
        .iter()
        .map(|(name, weight)| (name.as_str(), *weight))
        .collect();
    set_active(&mut model, &active)?;
    Ok((checkpoint, model, device))
}

/// An error if what a flag asks for, and the memory of its training, are more than the machine
/// holds.
fn check_memory(args: &ModelArgs, what: &str, shapes: &[Vec<usize>]) -> Result<(), CliError> {
    /// Its values, their gradients, and two moments of each.
    const TRAINING: usize = 4;
    let (devices, _) = placed_on(args)?;
    let all = shapes.iter().map(Vec::as_slice);
    let all = all.cycle().take(shapes.len() * TRAINING);
    match args.any_size {
        true => Ok(()),
        false => MemoryError::check(|| what.into(), all, DType::F32, &devices[0])
            .map_err(CliError::Memory),
    }
}

/// The model's directory, to be loaded as the flags say.
fn opened(args: &ModelArgs) -> Result<Checkpoint, CliError> {
    let checkpoint = Checkpoint::open(&args.model)?;
    check_sizes(&args.devices(), &checkpoint, dtype(&args.dtype)?)?;
    Ok(checkpoint
        .with_any_size(args.any_size)
        .with_devices(divided(args)?)
        .with_quantise(HoldArg::of(args.quantise))
        .with_quantised_vocabulary(args.quantise_embeddings))
}

/// The most memory that this process has taken so far, where the system tells it.
pub(crate) fn peak_memory() -> Option<String> {
    plan::peak().map(plan::bytes)
}

/// Says which blocks of a model are where, if they are divided.
fn say_divided<M: Transformer>(args: &ModelArgs, model: &M) {
    if !args.split_model {
        return;
    }
    let names = args.devices();
    let stages = model.stages();
    let blocks = (0..model.n_blocks()).map(|block| stages.device(block));
    // Runs of blocks, each with the number of its device.
    let mut runs: Vec<(Option<Device>, usize, usize)> = Vec::new();
    for (block, device) in blocks.enumerate() {
        match runs.last_mut().filter(|(of, ..)| *of == device) {
            Some((_, _, last)) => *last = block,
            None => runs.push((device, block, block)),
        }
    }
    let devices = divided(args).unwrap_or_default();
    let run = |(device, first, last): &(Option<Device>, usize, usize)| {
        let at = device
            .as_ref()
            .and_then(|of| devices.iter().position(|d| d == of));
        let name = at.and_then(|at| names.get(at)).unwrap_or(&names[0]);
        match first == last {
            true => format!("block {first} on {name}"),
            false => format!("blocks {first} to {last} on {name}"),
        }
    };
    let said: Vec<String> = runs.iter().map(run).collect();
    say!("{}; all else on {}", said.join(", "), names[0]);
}

/// Says which weights are packed, and what they and the others take, where any are.
fn say_held<M: Module>(model: &M) {
    let held = Held::of(model);
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    for (format, (count, bytes)) in &held.packed {
        say!(
            "{count} weights are held in {format}, {:.1} MB",
            megabytes(*bytes)
        );
    }
    if !held.packed.is_empty() {
        say!(
            "the other {} parameters are dense, {:.1} MB: norms, biases, and without --quantise-embeddings what is in no block, as the embedding",
            held.dense,
            megabytes(held.dense_bytes)
        );
    }
}

/// Names the parts of a model of text and images that are not its text part, tensors that have no
/// place in the model, and how many lie packed in the file and are not held so.
fn say_left_alone(checkpoint: &Checkpoint, device: &Device) -> Result<(), CliError> {
    const NAMED: usize = 5;
    let parts = checkpoint.left_alone()?;
    if !parts.is_empty() {
        say!(
            "the text part alone is read; left alone: {}",
            parts.join(", ")
        );
    }
    let unpacked = checkpoint.unpacked_on(device)?;
    if unpacked > 0 {
        let why = match multiplies_packed(device) {
            true => "",
            false => ": device `flex` alone multiplies them as they are packed",
        };
        say!("{unpacked} weights that are packed in the file are held dense{why}");
    }
    let strangers = match checkpoint.has_weights() {
        true => checkpoint.strangers(device)?,
        false => Vec::new(),
    };
    if !strangers.is_empty() {
        let named: Vec<String> = strangers
            .iter()
            .take(NAMED)
            .map(|key| format!("`{key}`"))
            .collect();
        let more = match strangers.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        say!(
            "warning: {} has tensors that a model of its config.json has no place for, which are left alone: {}{more}",
            checkpoint.dir().display(),
            named.join(", ")
        );
    }
    Ok(())
}

/// Says how instructions are written, and where completions have no token to end with; refuses one
/// that the model does not have.
fn check_end(
    rows: &Dataset,
    tokenizer: &TextTokenizer,
    options: &EncodeOptions,
) -> Result<(), CliError> {
    let instructions = rows.kind() == RowKind::Instruction;
    let templated = tokenizer.has_chat_template();
    if instructions {
        say!(
            "each instruction is written {}",
            match templated {
                true => "as a user's turn by the model's chat template",
                false => "in Alpaca's prompt, since the model has no chat template",
            }
        );
    }
    let ended = rows.kind() == RowKind::Completion || (instructions && !templated);
    if options.append_eos
        && ended
        && let Some(said) = tokenizer.check_end(options.vocab_size)?
    {
        say!("{said}");
    }
    Ok(())
}

/// The rows of files; what nothing reads of them is named.
fn read_rows(paths: &[PathBuf], args: &RowArgs) -> Result<Dataset, CliError> {
    let rows = Dataset::read_all(paths, &args.options()?)?;
    if !rows.left_alone().is_empty() {
        say!("columns left alone: {}", rows.left_alone().join(", "));
    }
    Ok(rows)
}

/// A line of results on standard output, whose reader may have gone.
fn print_line(line: impl Display) -> Result<(), CliError> {
    writeln!(stdout(), "{line}").map_err(CliError::Output)
}
