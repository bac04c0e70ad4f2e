//! `peft train`.

mod adapter;
mod classifier;
mod run;

use burn::module::Module;
use peft_core::{ParamSet, Summary, freeze_all_but};
use peft_store::Checkpoint;
use peft_train::{
    Dataset, EncodeOptions, Encoded, NextToken, RowKind, Schedule, TextTokenizer, TrainConfig,
    Warmup, encode, pack, train,
};

use self::adapter::adapter_config;
use self::classifier::Inputs;
use self::run::{Run, Trained, state};
use super::ADAPTER;
use crate::args::{Method, ScheduleArg, TrainArgs};
use crate::device::{on_cores, placed};
use crate::error::CliError;

pub(crate) fn run(args: &TrainArgs) -> Result<(), CliError> {
    let args = &TrainArgs {
        workers: Some(workers(args)),
        ..args.clone()
    };
    let state = state(args)?;
    let train_rows = Dataset::read(&args.train)?;
    let valid_rows = args.valid.as_ref().map(Dataset::read).transpose()?;
    let checkpoint = Checkpoint::open(&args.model.model)?;
    let tokenizer = TextTokenizer::from_dir(&args.model.model)?;
    let config = train_config(args);
    config.validate()?;
    if args.save_every == Some(0) {
        return Err(CliError::Usage(
            "save-every is 0, but must be at least 1".into(),
        ));
    }
    if matches!(train_rows.kind(), RowKind::Labelled | RowKind::Tagged) {
        let inputs = Inputs {
            checkpoint: &checkpoint,
            tokenizer: &tokenizer,
            train: &train_rows,
            valid: valid_rows.as_ref(),
            state: state.as_ref(),
        };
        return classifier::run(args, &inputs, &config);
    }
    let options = EncodeOptions {
        max_length: args.max_length.min(checkpoint.config().max_positions()),
        append_eos: !args.no_eos,
        vocab_size: checkpoint.config().vocab_size(),
    };
    let mut train_set = encode(&train_rows, &tokenizer, &options)?;
    if args.pack {
        train_set.examples = pack(train_set.examples, options.max_length);
    }
    let valid_set = valid_rows
        .map(|rows| encode(&rows, &tokenizer, &options))
        .transpose()?;

    if let Some(state) = &state {
        state.check(&config, &train_set.examples)?;
    }

    let (device, dtype) = placed(&args.model)?;
    let device = device.autodiff();
    device.seed(args.seed);
    let mut model = match checkpoint.has_weights() {
        true => checkpoint.load(&device, dtype)?,
        false if args.method == Method::Full => checkpoint.language_model_config()?.init(&device),
        // Says which files are missing.
        false => checkpoint.load(&device, dtype)?,
    };
    if !checkpoint.has_weights() {
        let dir = args.model.model.display();
        eprintln!("{dir} has no weights: they are drawn by the seed");
    }
    let adapter = adapter_config(args, &model);
    match &adapter {
        Some(adapter) => {
            let report = adapter.attach(&mut model, ADAPTER)?;
            eprintln!("{report}");
        }
        None => {
            freeze_all_but(&mut model, &ParamSet::All)?;
            eprintln!("all parameters\n{}", Summary::of(&model));
        }
    }
    describe(&train_set, "training");
    if let Some(valid) = &valid_set {
        describe(valid, "validation");
    }

    let save_every = args
        .save_every
        .unwrap_or_else(|| config.length(train_set.examples.len()).steps_per_epoch);
    let what = Trained {
        adapter,
        base: args.model.model.display().to_string(),
        fields: checkpoint.fields_of(&model),
        companions: checkpoint.dir().to_path_buf(),
        dtype,
        labels: None,
        task_type: "CAUSAL_LM",
    };
    let mut run = Run::begin(args, state.as_ref(), save_every, what)?;
    if let Some(state) = &state {
        eprintln!("going on after step {}", state.step());
    }
    let valid = valid_set.as_ref().map(|set| set.examples.as_slice());
    let model = train(
        model,
        &NextToken,
        &train_set.examples,
        valid,
        &config,
        state.as_ref(),
        &mut run,
    )?;
    run.finish(&model.valid())?;
    eprintln!("saved {}", args.out.display());
    Ok(())
}

fn describe(set: &Encoded, what: &str) {
    let targets: usize = set.examples.iter().map(|example| example.n_targets()).sum();
    let rows: usize = set.examples.iter().map(|row| row.starts.len()).sum();
    let packed = match rows == set.examples.len() {
        true => String::new(),
        false => format!(", packed into {}", set.examples.len()),
    };
    eprintln!(
        "{rows} {what} rows{packed}, {targets} target tokens, {} cut, {} left out for having no target",
        set.truncated, set.dropped
    );
}

/// As many threads as are asked for, or as are of use.
fn workers(args: &TrainArgs) -> usize {
    let useful = || match on_cores(&args.model.device) && args.dropout == 0.0 {
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
        learning_rate: args.lr,
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
        weight_decay: args.weight_decay,
        max_grad_norm: Some(args.max_grad_norm),
        seed: args.seed,
        eval_every: args.eval_every,
        ..TrainConfig::default()
    }
}
