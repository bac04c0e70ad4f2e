//! `peft eval` on labelled rows.

use burn::tensor::{DType, Device};
use peft_train::{Dataset, RowKind};
use serde_json::{Value, json};

use super::{Task, adapted, check_encoder, positions, without_head};
use crate::args::EvalArgs;
use crate::commands::adapted::open;
use crate::commands::tokenizer::tokenizer;
use crate::commands::{opened, say_left_alone};
use crate::device::placed;
use crate::error::CliError;
use crate::say::say;

/// What `peft eval` finds on labelled rows.
pub(in crate::commands) fn report(args: &EvalArgs, dataset: &Dataset) -> Result<Value, CliError> {
    let checkpoint = opened(&args.model)?;
    let (device, dtype): (Device, DType) = placed(&args.model)?;
    say_left_alone(&checkpoint, &device)?;
    check_encoder(&checkpoint, dataset)?;
    let adapter = args.adapters.whole("a classifier")?;
    let (tokenizer, _) = tokenizer(&checkpoint, adapter, args.model.tokenizer.as_deref())?;
    let saved = adapter
        .map(|dir| open(dir, Some(&checkpoint)))
        .transpose()?;
    let saved = saved.as_ref();
    let task = Task::of_model(&checkpoint, saved, dataset)?;
    say!("{}", task.describe());
    let checkpoint = without_head(checkpoint, saved)?;
    let longest = positions(&checkpoint, saved)?;
    let max_length = args.max_length.unwrap_or(longest).min(longest);
    let (vocab, n) = (checkpoint.config().vocab_size(), task.of.labels.len());
    Ok(match dataset.kind() == RowKind::Tagged {
        true => {
            let rows = task.tags(dataset, &tokenizer, max_length, vocab)?;
            let loaded = checkpoint.load_tagger(n, &device, dtype)?;
            let model = adapted(loaded, saved, &checkpoint)?;
            let objective = peft_train::TokenClassification::default();
            json!(peft_train::Objective::evaluate(
                &objective,
                &model,
                rows.examples(),
                args.batch_size
            )?)
        }
        false => {
            let rows = task.texts(dataset, &tokenizer, max_length, vocab)?;
            let loaded = checkpoint.load_classifier(n, &device, dtype)?;
            let model = adapted(loaded, saved, &checkpoint)?;
            let objective = peft_train::SequenceClassification {
                problem: task.of.problem,
                ..Default::default()
            };
            json!(peft_train::Objective::evaluate(
                &objective,
                &model,
                rows.examples(),
                args.batch_size
            )?)
        }
    })
}
