//! `peft train` on labelled rows: an encoder with a head.

use burn::module::Module;
use peft_store::{Checkpoint, Headed};
use peft_train::{
    Dataset, Objective, RowKind, SequenceClassification, TextTokenizer, TokenClassification,
    TrainConfig, TrainExample, TrainState, train,
};

use super::adapter::adapter_config;
use super::run::{Run, Trained};
use crate::args::{Method, TrainArgs};
use crate::commands::ADAPTER;
use crate::commands::classifier::Task;
use crate::device::placed;
use crate::error::CliError;

/// The module that tells classes in each family.
const HEAD: &str = "classifier";

/// What a run reads.
pub(super) struct Inputs<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) tokenizer: &'a TextTokenizer,
    pub(super) train: &'a Dataset,
    pub(super) valid: Option<&'a Dataset>,
    pub(super) state: Option<&'a TrainState>,
}

pub(super) fn run(
    args: &TrainArgs,
    inputs: &Inputs<'_>,
    config: &TrainConfig,
) -> Result<(), CliError> {
    if args.method == Method::Full {
        return Err(CliError::Usage(
            "--method full does not train classifiers; --method lora trains the head whole beside its adapters".into(),
        ));
    }
    let checkpoint = inputs.checkpoint;
    checkpoint.encoder_config()?;
    let task = Task::of_rows(checkpoint, inputs.train)?;
    let max_length = args.max_length.min(checkpoint.config().max_positions());
    let (vocab, n) = (checkpoint.config().vocab_size(), task.labels.len());
    let (device, dtype) = placed(&args.model)?;
    let device = device.autodiff();
    device.seed(args.seed);
    match inputs.train.kind() {
        RowKind::Tagged => {
            let rows = |set| task.tags(set, inputs.tokenizer, max_length, vocab);
            let (examples, valid) = (rows(inputs.train)?, inputs.valid.map(rows).transpose()?);
            let loaded = checkpoint.load_tagger(n, &device, dtype)?;
            fit(
                args,
                inputs,
                config,
                &task,
                loaded,
                &TokenClassification,
                (examples, valid),
            )
        }
        _ => {
            let rows = |set| task.texts(set, inputs.tokenizer, max_length, vocab);
            let (examples, valid) = (rows(inputs.train)?, inputs.valid.map(rows).transpose()?);
            let loaded = checkpoint.load_classifier(n, &device, dtype)?;
            let objective = SequenceClassification {
                problem: task.problem,
            };
            fit(
                args,
                inputs,
                config,
                &task,
                loaded,
                &objective,
                (examples, valid),
            )
        }
    }
}

fn fit<M: Module + Sync, O: Objective<M>>(
    args: &TrainArgs,
    inputs: &Inputs<'_>,
    config: &TrainConfig,
    task: &Task,
    loaded: Headed<M>,
    objective: &O,
    (examples, valid): (Vec<O::Example>, Option<Vec<O::Example>>),
) -> Result<(), CliError>
where
    O::Example: TrainExample,
{
    let Headed { mut model, fresh } = loaded;
    let mut args = args.clone();
    for module in fresh.iter().map(String::as_str).chain([HEAD]) {
        if !args.modules_to_save.iter().any(|name| name == module) {
            args.modules_to_save.push(module.into());
        }
    }
    if let Some(adapter) = adapter_config(&args, &model) {
        let report = adapter.attach(&mut model, ADAPTER)?;
        eprintln!("{report}");
        let what = Trained {
            adapter: Some(adapter),
            base: args.model.model.display().to_string(),
            fields: inputs.checkpoint.fields().clone(),
            companions: inputs.checkpoint.dir().to_path_buf(),
            dtype: inputs.checkpoint.dtype()?,
            labels: Some(task.kept()),
            task_type: match inputs.train.kind() {
                RowKind::Tagged => "TOKEN_CLS",
                _ => "SEQ_CLS",
            },
        };
        let save_every = args
            .save_every
            .unwrap_or_else(|| config.length(examples.len()).steps_per_epoch);
        let mut run = Run::begin(&args, inputs.state, save_every, what)?;
        let valid = valid.as_deref();
        let model = train(
            model,
            objective,
            &examples,
            valid,
            config,
            inputs.state,
            &mut run,
        )?;
        run.finish(&model.valid())?;
        eprintln!("saved {}", args.out.display());
    }
    Ok(())
}
