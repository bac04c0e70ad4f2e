//! `peft train`.

mod adapter;
mod announce;
mod cadence;
mod checks;
mod classifier;
mod company;
mod cost;
mod directory;
mod fit;
mod from_rows;
mod init;
mod interrupt;
mod lock;
mod metrics;
mod output;
mod questions;
mod rate_finder;
mod run;
mod sampler;
mod strategy;
mod summary;
mod sweep;
mod tensorboard;
mod weights;

use peft_models::LanguageModel;
use peft_store::{Adaptable, Checkpoint, TaskType};
use peft_train::{
    Answered, Dataset, EncodeOptions, EncodedExamples, PackedNextToken, RowKind, Schedule,
    TextTokenizer, TrainConfig, Warmup, encode,
};

pub(crate) use self::adapter::{names_output_layer, token_choice};
use self::checks::{check, check_evaluations};
use self::classifier::Inputs;
use self::company::Member;
use self::directory::Directory;
use self::fit::{Job, fit};
pub(crate) use self::interrupt::{Signal, end_without_traces};
pub(crate) use self::metrics::read_metrics;
use self::sampler::Sampler;
pub(crate) use self::strategy::strategy;
pub(crate) use self::weights::weights;
use super::tokenizer::tokenizer;
use crate::args::{Method, ScheduleArg, TrainArgs};
use crate::device::{on_cores, placed_on, seed};
use crate::error::CliError;
use crate::say::say;

pub(crate) fn run(args: &TrainArgs) -> Result<(), CliError> {
    match &args.sweep {
        Some(sweep) => sweep::run(args, sweep),
        None if !args.runs.is_empty() => sweep::run_files(args),
        None => run_one(args, None),
    }
}

/// One run, by itself or with others at once.
fn run_one(args: &TrainArgs, member: Option<Member<'_>>) -> Result<(), CliError> {
    let preparing = member.map(Member::prepare);
    let mut args = args.clone();
    let init = init::complete(&mut args)?;
    args.complete();
    let args = &args;
    check(args)?;
    let directory = match args.learning.lr_find {
        true => Directory::untouched(),
        false => Directory::open(args)?,
    };
    if let Some(found) = &directory.found {
        found.state.check_context(&fit::flags(args))?;
    }
    let (train_rows, valid_rows) = rows(args)?;
    check_evaluations(args, train_rows.kind(), valid_rows.is_some())?;
    super::data::say_repeats(&train_rows, valid_rows.as_ref())?;
    let checkpoint = super::opened(&args.model)?.with_quantise(args.held());
    super::say_left_alone(&checkpoint, &placed_on(&args.model)?.0[0])?;
    if let Some(init) = &init {
        init.check(&checkpoint)?;
    }
    let (tokenizer, companions) = tokenizer(
        &checkpoint,
        args.init_adapter.as_deref(),
        args.model.tokenizer.as_deref(),
    )?;
    companions.check(args.method() == Method::Full)?;
    let args = &TrainArgs {
        workers: Some(workers(args, checkpoint.config().has_dropout())),
        ..args.clone()
    };
    let config = train_config(args);
    if matches!(train_rows.kind(), RowKind::Labelled | RowKind::Tagged) {
        if preparing.is_some() {
            return Err(CliError::Usage(
                "runs at once are of rows of text, and these have labels: train them one after the other".into(),
            ));
        }
        let inputs = Inputs {
            checkpoint: &checkpoint,
            tokenizer: &tokenizer,
            companions,
            train: &train_rows,
            valid: valid_rows.as_ref(),
            directory,
            init,
        };
        return classifier::run(args, inputs, &config);
    }
    if args.new_head {
        return Err(CliError::Usage(
            "--new-head is for labelled rows, {\"text\", \"label\"} or {\"tokens\", \"tags\"}"
                .into(),
        ));
    }
    let options = encode_options(args, &checkpoint)?;
    let train_set = encoded(args, &checkpoint, &tokenizer, &train_rows)?;
    config.check_length(train_set.examples.len())?;
    let sampler = Sampler::new(args, valid_rows.as_ref().unwrap_or(&train_rows), &tokenizer)?;
    let (questions, longest) =
        questions::of(args, valid_rows.as_ref(), &tokenizer, options.max_length)?;
    let valid_set = valid_rows
        .map(|rows| encode(&rows, &tokenizer, &options))
        .transpose()?;
    // With its temporary file, where it has one.
    drop(train_rows);

    if let Some(found) = &directory.found {
        found.state.check(&config, &train_set.examples)?;
    }

    let (devices, dtype) = placed_on(&args.model)?;
    let device = devices[0].clone().autodiff();
    seed(&args.model, &device, args.seed)?;
    if preparing.is_some() && !checkpoint.has_weights() {
        return Err(CliError::Usage(format!(
            "runs at once share the weights of their model, and {} has none",
            args.model.model.display()
        )));
    }
    let load = || match checkpoint.has_weights() {
        true => Ok(checkpoint.load(&device, dtype)?),
        false if args.method() == Method::Full => Ok(checkpoint.draw(&device)?),
        // Says which files are missing.
        false => Ok(checkpoint.load(&device, dtype)?),
    };
    let model = match &preparing {
        Some(preparing) => preparing.base(load)?,
        None => load()?,
    };
    let model = match &init {
        Some(init) => init.saved.untied(model)?,
        None => untied(args, model),
    };
    if !checkpoint.has_weights() {
        let dir = args.model.model.display();
        say!("{dir} has no weights: they are drawn by the seed");
    }
    describe(&train_set, "training");
    if let Some(valid) = &valid_set {
        describe(valid, "validation");
    }
    let begun = from_rows::begin(
        args,
        &checkpoint,
        &tokenizer,
        &model,
        train_set.examples.examples(),
    )?;
    let fields = checkpoint.fields_of(&model);
    let job = Job {
        checkpoint: &checkpoint,
        tokenizer: &tokenizer,
        companions,
        model,
        train: train_set.examples.examples(),
        valid: valid_set.as_ref().map(|set| set.examples.examples()),
        directory,
        init,
        begun,
        sampler: sampler.as_ref().map(|sampler| {
            let answers = |model: &Adaptable<LanguageModel>| sampler.answers(model);
            Box::new(answers) as _
        }),
        uniform: Some((options.vocab_size as f64).ln()),
        heads: Vec::new(),
        labels: None,
        task: TaskType::CausalLm,
        fields,
        preparing,
    };
    let objective = Answered {
        objective: PackedNextToken {
            regularisation: args.learning.regularisation(),
            row_length: match args.pad || args.of_method.cache_trunk {
                true => 0,
                false => options.max_length,
            },
        },
        tokenizer: &tokenizer,
        questions,
        longest,
    };
    fit(args, &config, &objective, job)
}

/// Rows of text as a run trains on them.
pub(crate) fn encoded(
    args: &TrainArgs,
    checkpoint: &Checkpoint,
    tokenizer: &TextTokenizer,
    rows: &Dataset,
) -> Result<EncodedExamples, CliError> {
    let options = encode_options(args, checkpoint)?;
    super::check_end(rows, tokenizer, &options)?;
    let mut set = encode(rows, tokenizer, &options)?;
    if args.pack {
        set.examples = set.examples.packed(options.max_length)?;
    }
    Ok(set)
}

fn encode_options(args: &TrainArgs, checkpoint: &Checkpoint) -> Result<EncodeOptions, CliError> {
    let virtual_tokens = args.of_method.n_virtual_tokens(args.method());
    Ok(EncodeOptions {
        max_length: args.max_length.min(left(checkpoint, virtual_tokens)?),
        append_eos: !args.no_eos,
        vocab_size: checkpoint.config().vocab_size(),
    })
}

/// The rows of training, and those of validation if there are any.
fn rows(args: &TrainArgs) -> Result<(Dataset, Option<Dataset>), CliError> {
    let train = super::read_rows(&args.train, &args.rows)?;
    match (args.split, args.valid.as_slice()) {
        (Some(taken), _) => {
            let (train, valid) = train.split(taken, args.shuffle_seed)?;
            say!(
                "{} of {} rows are taken for validation",
                valid.len(),
                valid.len() + train.len()
            );
            Ok((train, Some(valid)))
        }
        (None, []) => Ok((train, None)),
        (None, paths) => Ok((train, Some(super::read_rows(paths, &args.rows)?))),
    }
}

/// The model with an output layer of its own, where the flags name it and it is tied to the
/// embedding; that costs as much memory as the embedding.
fn untied(args: &TrainArgs, model: LanguageModel) -> LanguageModel {
    if !model.config().has_tied_head() || !adapter::names_output_layer(args) {
        return model;
    }
    say!(
        "the output layer, which is tied to the embedding, has weights of its own from here on: the flags name it"
    );
    model.untie()
}

fn describe(set: &EncodedExamples, what: &str) {
    let examples = set.examples.examples();
    let targets: usize = (0..examples.len()).map(|row| examples.n_targets(row)).sum();
    let packed = match set.rows == examples.len() {
        true => String::new(),
        false => format!(", packed into {}", examples.len()),
    };
    say!(
        "{} {what} rows{packed}, {targets} target tokens, {} cut, {} left out for having no target",
        set.rows,
        set.truncated,
        set.dropped
    );
    if set.apart > 0 {
        say!(
            "warning: in {} rows the chat template does not write before an answer all that it writes where one is asked for, as <think>; what is trained begins where the two part",
            set.apart
        );
    }
}

/// The positions that are left for a text.
fn left(checkpoint: &Checkpoint, virtual_tokens: usize) -> Result<usize, CliError> {
    let all = checkpoint.config().max_positions();
    let left = all.checked_sub(virtual_tokens).filter(|left| *left > 0);
    left.ok_or_else(|| {
        CliError::Usage(format!(
            "--virtual-tokens is {virtual_tokens}, but the model has {all} positions in all"
        ))
    })
}

/// As many threads on each device as are asked for, or as are of use: several draw what they drop,
/// or what a `model_drops`, in no fixed order.
pub(crate) fn workers(args: &TrainArgs, model_drops: bool) -> usize {
    let drops = args.of_method.dropout.is_some_and(|rate| rate != 0.0)
        || args.learning.neftune_alpha != 0.0
        || model_drops;
    let on_one = || matches!(args.model.devices()[..], [device] if on_cores(device));
    let useful = || match on_one() && !drops {
        true => std::thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    };
    args.workers.unwrap_or_else(useful)
}

fn train_config(args: &TrainArgs) -> TrainConfig {
    TrainConfig {
        epochs: args.epochs,
        max_steps: args.max_steps,
        batch_size: args.batch_size,
        grad_accum: args.grad_accum,
        workers: args.workers.unwrap_or(1),
        recompute: args.recompute,
        learning_rate: args.peak(),
        schedule: match args.schedule {
            ScheduleArg::Constant => Schedule::Constant,
            ScheduleArg::Linear => Schedule::Linear,
            ScheduleArg::Cosine => Schedule::Cosine,
        },
        warmup: if args.warmup >= 1.0 {
            Warmup::Steps(args.warmup as usize)
        } else {
            Warmup::Fraction(args.warmup)
        },
        optimizer: args.learning.optimizer.kind(),
        betas: args.learning.optimizer.kind().betas(),
        weight_decay: args.weight_decay,
        max_grad_norm: Some(args.max_grad_norm),
        seed: args.seed,
        eval_every: args.eval_every,
        patience: args.patience,
        best_by: args.learning.eval_metric.clone(),
        ..TrainConfig::default()
    }
}
