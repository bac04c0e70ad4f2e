//! `peft train` on labelled rows: an encoder with a head.

use peft_model::Transformer;
use peft_store::{Adaptable, Checkpoint, Companions, HeadLabels, HeadedModel, TaskType};
use peft_train::{
    Dataset, ExampleStore, Objective, ProblemType, RowKind, SequenceClassification, TextTokenizer,
    TokenClassification, TrainConfig, TrainExample,
};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::directory::Directory;
use super::fit::{Job, fit};
use super::init::Init;
use super::left;
use crate::args::TrainArgs;
use crate::commands::classifier::{Task, check_encoder, without_head};
use crate::device::{placed_on, seed};
use crate::error::CliError;
use crate::say::say;

/// The module that tells classes in each family.
const HEAD: &str = "classifier";

/// What a run reads.
pub(super) struct Inputs<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) tokenizer: &'a TextTokenizer,
    pub(super) companions: Companions,
    pub(super) train: &'a Dataset,
    pub(super) valid: Option<&'a Dataset>,
    pub(super) directory: Directory,
    pub(super) init: Option<Init>,
}

impl Inputs<'_> {
    fn of_tokens(&self) -> bool {
        self.train.kind() == RowKind::Tagged
    }
}

pub(super) fn run(
    args: &TrainArgs,
    inputs: Inputs<'_>,
    config: &TrainConfig,
) -> Result<(), CliError> {
    let checkpoint = inputs.checkpoint;
    check_encoder(checkpoint, inputs.train)?;
    let files: Vec<&Dataset> = [inputs.train].into_iter().chain(inputs.valid).collect();
    let saved = inputs.init.as_ref().map(|init| &init.saved);
    let begins = saved
        .map(|saved| HeadLabels::of_saved(checkpoint, saved))
        .transpose()?;
    if args.new_head && begins.is_some() {
        return Err(CliError::Usage(
            "--new-head is given, but the head is that of --init-adapter; leave one out".into(),
        ));
    }
    let task = Task::of_run(checkpoint, begins.flatten(), &files, args.new_head)?;
    say!("{}", task.describe());
    if let (true, Some(init)) = (task.is_fresh(), &inputs.init)
        && init.adapter().is_some()
    {
        return Err(CliError::Usage(format!(
            "neither {} nor {} has a head for labels, and an adapter that goes on gets no fresh one; leave --init-adapter out",
            init.dir().display(),
            checkpoint.dir().display()
        )));
    }
    let checkpoint = &match task.is_fresh() {
        true => dropping(checkpoint)?,
        false => without_head(checkpoint.clone(), saved)?,
    };
    let inputs = Inputs {
        checkpoint,
        ..inputs
    };
    let virtual_tokens = args.of_method.n_virtual_tokens(args.method());
    let max_length = args.max_length.min(left(checkpoint, virtual_tokens)?);
    let (vocab, n) = (checkpoint.config().vocab_size(), task.of.labels.len());
    let (devices, dtype) = placed_on(&args.model)?;
    let device = devices[0].clone().autodiff();
    seed(&args.model, &device, args.seed)?;
    let regularisation = args.learning.regularisation();
    if inputs.of_tokens() {
        let rows = |set| task.tags(set, inputs.tokenizer, max_length, vocab);
        let sets = (rows(inputs.train)?, inputs.valid.map(rows).transpose()?);
        config.check_length(sets.0.len())?;
        let loaded = checkpoint.load_tagger(n, &device, dtype)?;
        return headed(
            args,
            inputs,
            config,
            &task,
            loaded,
            &TokenClassification { regularisation },
            &sets,
        );
    }
    let rows = |set| task.texts(set, inputs.tokenizer, max_length, vocab);
    let sets = (rows(inputs.train)?, inputs.valid.map(rows).transpose()?);
    config.check_length(sets.0.len())?;
    let loaded = checkpoint.load_classifier(n, &device, dtype)?;
    let objective = SequenceClassification {
        problem: task.of.problem,
        regularisation,
    };
    headed(args, inputs, config, &task, loaded, &objective, &sets)
}

/// A checkpoint in whose models the head in its files is a fresh one; says what is dropped.
fn dropping(checkpoint: &Checkpoint) -> Result<Checkpoint, CliError> {
    let dropped = checkpoint.output_layer()?;
    if !dropped.is_empty() {
        let tensors = dropped
            .iter()
            .map(|(key, shape)| format!("{key} {shape:?}"));
        say!(
            "dropped of {}, for a fresh head: {}",
            checkpoint.dir().display(),
            tensors.collect::<Vec<_>>().join(", ")
        );
    }
    Ok(checkpoint.clone().with_new_head())
}

/// The rows of training and of validation.
type Sets<E> = (ExampleStore<E>, Option<ExampleStore<E>>);

fn headed<M: Transformer + Sync, O: Objective<Adaptable<M>>>(
    args: &TrainArgs,
    inputs: Inputs<'_>,
    config: &TrainConfig,
    task: &Task,
    HeadedModel { model, mut fresh }: HeadedModel<M>,
    objective: &O,
    (train, valid): &Sets<O::Example>,
) -> Result<(), CliError>
where
    O::Example: TrainExample + Serialize + DeserializeOwned,
{
    if !fresh.iter().any(|module| module == HEAD) {
        fresh.push(HEAD.into());
    }
    let labels = task.labels();
    let of_tokens = inputs.of_tokens();
    let n_classes = labels.names.len() as f64;
    let uniform = match task.of.problem {
        ProblemType::SingleLabel => Some(n_classes.ln()),
        ProblemType::MultiLabel | ProblemType::Regression => None,
    };
    let job = Job {
        checkpoint: inputs.checkpoint,
        tokenizer: inputs.tokenizer,
        companions: inputs.companions,
        model,
        train: train.examples(),
        valid: valid.as_ref().map(ExampleStore::examples),
        directory: inputs.directory,
        init: inputs.init,
        begun: None,
        sampler: None,
        heads: fresh,
        fields: inputs.checkpoint.classifier_fields(&labels, of_tokens)?,
        uniform,
        labels: Some(labels),
        task: match of_tokens {
            true => TaskType::TokenClassification,
            false => TaskType::SequenceClassification,
        },
        preparing: None,
    };
    fit(args, config, objective, job)
}
