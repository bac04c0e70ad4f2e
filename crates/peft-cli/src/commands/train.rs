//! `peft train`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Module;
use peft_core::{ForwardPath, Names, ParamSet, Summary, Targets, freeze_all_but, layers};
use peft_ia3::Ia3Config;
use peft_lora::{LoraConfig, LoraScaling};
use peft_models::LlamaForCausalLm;
use peft_store::{AdapterConfig, Checkpoint, save_adapter, write_checkpoint};
use peft_train::{
    Dataset, EncodeOptions, Encoded, EvalReport, Observer, Progress, Schedule, StepReport,
    TextTokenizer, TrainConfig, TrainError, Warmup, encode, train,
};
use serde_json::{Map, Value, json};

use super::ADAPTER;
use crate::args::{Method, ScheduleArg, TrainArgs};
use crate::device::{device, dtype};
use crate::error::CliError;
use crate::progress::Display;

/// The output layer, which `all-linear` leaves out as PEFT does.
const OUTPUT_LAYER: &str = "lm_head";

pub(crate) fn run(args: &TrainArgs) -> Result<(), CliError> {
    let train_rows = Dataset::read(&args.train)?;
    let valid_rows = args.valid.as_ref().map(Dataset::read).transpose()?;
    let checkpoint = Checkpoint::open(&args.model.model)?;
    let tokenizer = TextTokenizer::from_dir(&args.model.model)?;
    let config = train_config(args);
    config.validate()?;
    let options = EncodeOptions {
        max_length: args.max_length.min(checkpoint.config().max_positions),
        append_eos: !args.no_eos,
        vocab_size: checkpoint.config().vocab_size,
    };
    let train_set = encode(&train_rows, &tokenizer, &options)?;
    let valid_set = valid_rows
        .map(|rows| encode(&rows, &tokenizer, &options))
        .transpose()?;

    let device = device(&args.model.device)?.autodiff();
    device.seed(args.seed);
    let dtype = dtype(&args.model.dtype)?;
    let mut model = match checkpoint.has_weights() {
        true => checkpoint.load(&device, dtype)?,
        false if args.method == Method::Full => checkpoint.config().init(&device),
        // Says which files are missing.
        false => checkpoint.load(&device, dtype)?,
    };
    let adapter = adapter_config(args, &model)?;
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

    fs::create_dir_all(&args.out).map_err(|source| CliError::Io {
        action: "create",
        path: args.out.clone(),
        source,
    })?;
    let metrics_path = args.out.join("metrics.jsonl");
    let metrics = File::create(&metrics_path).map_err(|source| CliError::Io {
        action: "create",
        path: metrics_path.clone(),
        source,
    })?;
    let mut run = Run {
        display: Display::new(),
        metrics,
        metrics_path,
        adapter,
        base: args.model.model.display().to_string(),
        checkpoint: &checkpoint,
        dtype,
        out: args.out.clone(),
    };
    let valid = valid_set.as_ref().map(|set| set.examples.as_slice());
    let model = train(model, &train_set.examples, valid, &config, None, &mut run)?;
    run.save(&model.valid(), &args.out)?;
    eprintln!("saved {}", args.out.display());
    Ok(())
}

fn describe(set: &Encoded, what: &str) {
    let targets: usize = set.examples.iter().map(|example| example.n_targets()).sum();
    eprintln!(
        "{} {what} rows, {targets} target tokens, {} cut, {} left out for having no target",
        set.examples.len(),
        set.truncated,
        set.dropped
    );
}

fn train_config(args: &TrainArgs) -> TrainConfig {
    TrainConfig {
        epochs: args.epochs,
        max_steps: args.max_steps,
        batch_size: args.batch_size,
        grad_accum: args.grad_accum,
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

/// The adapter that the flags ask for; none for full fine-tuning.
fn adapter_config(
    args: &TrainArgs,
    model: &LlamaForCausalLm,
) -> Result<Option<AdapterConfig>, CliError> {
    let all_linear = args.targets == ["all-linear"];
    let mut exclude = args.exclude.clone();
    let mut targets = match all_linear {
        true => Targets::all_linear(),
        false => Targets::suffixes(args.targets.clone()),
    };
    if all_linear && layers(model).iter().any(|layer| layer.path == OUTPUT_LAYER) {
        exclude.push(OUTPUT_LAYER.into());
    }
    if !exclude.is_empty() {
        targets = targets.excluding(exclude);
    }
    if let Some(n) = args.last_layers {
        targets = targets.last(n);
    }
    Ok(match args.method {
        Method::Full => None,
        Method::Lora => {
            let alpha = args.alpha.unwrap_or(2.0 * args.rank as f64);
            let config = LoraConfig::new(args.rank, alpha)
                .with_targets(targets)
                .with_dropout(args.dropout)
                .with_scaling(if args.rslora {
                    LoraScaling::RankStabilised
                } else {
                    LoraScaling::Standard
                })
                .with_modules_to_save(args.modules_to_save.clone())
                .with_path(ForwardPath::Factored);
            Some(AdapterConfig::Lora(config))
        }
        Method::Ia3 => {
            let targets = match all_linear {
                true => Targets::suffixes(["k_proj", "v_proj", "down_proj"]),
                false => targets,
            };
            let config = Ia3Config::new(targets)
                .with_modules_to_save(args.modules_to_save.clone())
                .with_path(ForwardPath::Factored);
            let feedforward = all_linear || args.targets.iter().any(|name| name == "down_proj");
            Some(AdapterConfig::Ia3(match feedforward {
                true => config.with_feedforward(Names::suffixes(["down_proj"])),
                false => config,
            }))
        }
    })
}

/// Shows the run and keeps its results.
struct Run<'a> {
    display: Display,
    metrics: File,
    metrics_path: PathBuf,
    /// The adapter to save; the whole model where there is none.
    adapter: Option<AdapterConfig>,
    base: String,
    checkpoint: &'a Checkpoint,
    dtype: burn::tensor::DType,
    out: PathBuf,
}

impl Run<'_> {
    fn save(&self, model: &LlamaForCausalLm, dir: &Path) -> Result<(), CliError> {
        match &self.adapter {
            Some(config) => {
                save_adapter(model, ADAPTER, config, Some(&self.base), &Map::new(), dir)?;
            }
            None => write_checkpoint(
                model,
                self.checkpoint.fields(),
                Some(self.checkpoint.dir()),
                self.dtype,
                dir,
            )?,
        }
        Ok(())
    }

    fn record(&mut self, line: &Value) -> Result<(), TrainError> {
        writeln!(self.metrics, "{line}").map_err(|source| TrainError::Io {
            action: "write",
            path: self.metrics_path.clone(),
            source,
        })
    }
}

impl Observer<LlamaForCausalLm> for Run<'_> {
    fn on_step(
        &mut self,
        report: &StepReport,
        _: &Progress<'_, LlamaForCausalLm>,
    ) -> Result<(), TrainError> {
        self.display.step(report);
        self.record(&json!({ "train": report }))
    }

    fn on_eval(
        &mut self,
        report: &EvalReport,
        best: bool,
        progress: &Progress<'_, LlamaForCausalLm>,
    ) -> Result<(), TrainError> {
        self.display.line(&format!(
            "step {}: validation loss {:.4}, perplexity {:.3}, exact match {:.3}{}",
            progress.step,
            report.loss,
            report.perplexity,
            report.exact_match,
            if best { " (best)" } else { "" }
        ));
        if best {
            self.save(&progress.model.valid(), &self.out.join("best"))
                .map_err(|error| TrainError::Observer(Box::new(error)))?;
        }
        self.record(&json!({ "step": progress.step, "best": best, "valid": report }))
    }
}
