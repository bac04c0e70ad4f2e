//! `peft plan`: what a step of training costs, before anything runs.

mod advice;
mod check;
mod divided;
mod probe;
mod rows;
mod shared;
mod sizes;
mod storages;
mod table;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use burn::tensor::{DType, Device};
use peft_model::Transformer;
use peft_plan::{Devices, ModelSizes, Plan, Run, plan};
use peft_store::{Checkpoint, CheckpointConfig, Held, MemoryError};
use peft_train::{Examples, TrainExample, TrunkCache};
use serde_json::{Value, json};

use self::check::{check, of_one_device};
use self::divided::Divided;
pub(super) use self::probe::Probe;
use self::rows::PlannedRows;
use self::shared::Shared;
use self::storages::{Storages, with_weights};
pub(super) use self::table::bytes;
use super::train::{names_output_layer, workers};
use super::{opened, print_line};
use crate::args::{Cli, HoldArg, Method, MethodArgs, ModelArgs, PlanArgs, TrainArgs, Verb};
use crate::device::{on_cores, placed, placed_on};
use crate::error::CliError;
use crate::say::say;

pub(crate) fn run(args: &PlanArgs) -> Result<(), CliError> {
    check(args)?;
    let checkpoint = opened(&of_one_device(&args.model))?;
    let most = checkpoint.config().max_positions();
    if args.max_length > most {
        say!(
            "warning: --max-length is {}, and the model was made for {most} positions",
            args.max_length
        );
    }
    let rows = match args.train.as_slice() {
        [] => None,
        _ => Some(PlannedRows::read(args, &checkpoint)?),
    };
    let given = args;
    let args = &rows
        .as_ref()
        .map_or_else(|| args.clone(), |rows| rows.largest(args));
    let mut sized = Sized::of(args, &checkpoint)?;
    sized.tokens = rows.as_ref().map(PlannedRows::tokens);
    let chosen = sized.case(args);
    let full = Case::of(
        &PlanArgs {
            method: Some(Method::Full),
            of_method: with_defaults()?,
            model: ModelArgs {
                quantise: Some(HoldArg::None),
                quantise_embeddings: false,
                ..args.model.clone()
            },
            ..args.clone()
        },
        &checkpoint,
    )?;
    let probe = match args.no_probe {
        true => None,
        false => Some(Probe::measure(&args.model.dtype)?),
    };
    let epoch = |of: &dyn Fn(&Plan) -> f64| rows.as_ref().map(|rows| rows.epoch(given, &sized, of));
    let epoch_seconds = probe
        .as_ref()
        .and_then(|probe| epoch(&|plan| probe.seconds(plan)));
    let epoch = epoch(&|plan| plan.computation.total());
    let advice = args
        .memory
        .map(|size| advice::of(args, &checkpoint, size.0));
    let advice = advice.transpose()?;
    if args.json {
        let seconds = |case: &Case| probe.as_ref().map(|probe| probe.seconds(&case.plan));
        return print_line(json!({
            "method": chosen.name,
            "plan": as_json(&chosen.plan),
            "weights": chosen.held.storages().collect::<BTreeMap<_, _>>(),
            "full": as_json(&full.plan),
            "devices": chosen.shared.as_ref().map(Shared::as_json),
            "divided": chosen.divided.as_ref().map(Divided::as_json),
            "later": chosen.later.as_ref().map(as_json),
            "multiply_adds_a_second": probe.as_ref().map(|probe| probe.rates),
            "seconds_a_step": seconds(&chosen),
            "seconds_a_step_of_full": seconds(&full),
            "fits": advice.as_ref().map(|advice| advice.as_json()),
            "rows": rows.as_ref().zip(epoch).map(|(rows, epoch)| rows.as_json(given, epoch, epoch_seconds)),
        }));
    }
    print_line(table::of(args, &chosen, &full, probe.as_ref()))?;
    if let Some(rows) = &rows {
        print_line(format!("\n{}", rows.text(given, epoch_seconds)))?;
    }
    match advice {
        Some(advice) => print_line(advice.text()),
        None => Ok(()),
    }
}

fn as_json(plan: &Plan) -> Value {
    let mut value = json!(plan);
    value["computation"]["total"] = json!(plan.computation.total());
    value["memory"]["total"] = json!(plan.memory.total());
    value["memory"]["activations"]["total"] = json!(plan.memory.activations.total());
    value
}

/// Labels of a head that is not known.
const LABELS: usize = 2;

/// A method on a model, and what its step costs.
struct Case {
    name: String,
    tokens: f64,
    plan: Plan,
    /// A step of an epoch after the first, where the trunk is cached.
    later: Option<Plan>,
    /// The same step on several devices.
    shared: Option<Shared>,
    divided: Option<Divided>,
    /// What the weights are held as.
    held: Storages,
}

impl Case {
    fn of(args: &PlanArgs, checkpoint: &Checkpoint) -> Result<Self, CliError> {
        Ok(Sized::of(args, checkpoint)?.case(args))
    }
}

/// What a model is made of and what trains of it: enough for steps of any batch.
struct Sized {
    train: TrainArgs,
    /// Whether the model itself drops something in training.
    drops: bool,
    sizes: ModelSizes,
    held: Storages,
    /// Tokens of all rows, where they are known.
    tokens: Option<usize>,
}

impl Sized {
    fn of(args: &PlanArgs, checkpoint: &Checkpoint) -> Result<Self, CliError> {
        let train = train_args(args)?;
        let (device, dtype) = placed(&train.model)?;
        let bytes = dtype.size() as f64;
        let drops = checkpoint.config().has_dropout();
        let run = run_of(&train, drops, Run::new(args.batch_size, args.max_length));
        let checkpoint = checkpoint
            .clone()
            .with_quantise(train.held())
            .with_quantised_vocabulary(train.model.quantise_embeddings);
        let (sizes, held) = match checkpoint.config() {
            CheckpointConfig::LanguageModel(config) => {
                let untied = names_output_layer(&train);
                let tied = config.has_tied_head() && !untied;
                let model = config.clone().with_tied_head(tied).init(&device);
                let sizes = sizes::sizes(&train, &checkpoint, &model, bytes, &run)?;
                (sizes, checkpoint.held(&model, &device, dtype)?)
            }
            CheckpointConfig::Encoder(config) => {
                let model = config.encoder(true, &device);
                let sizes = sizes::sizes(&train, &checkpoint, &model, bytes, &run)?;
                // A head tells some labels, and no vocabulary.
                let sizes = ModelSizes {
                    vocabulary: LABELS,
                    ..sizes
                };
                (sizes, checkpoint.held(&model, &device, dtype)?)
            }
        };
        let dense = train.model.dtype.clone();
        Ok(Self {
            train,
            drops,
            sizes,
            held: Storages { held, dense },
            tokens: None,
        })
    }

    /// A step of one batch of these sizes.
    fn run(&self, rows: usize, tokens: usize) -> Run {
        run_of(&self.train, self.drops, Run::new(rows, tokens))
    }

    fn case(&self, args: &PlanArgs) -> Case {
        // A classifier's head reads a position of each row.
        let one = !self.sizes.causal && args.train.is_empty();
        let run = Run {
            batches: args.grad_accum,
            targets: match one {
                true => args.targets_part.min(1.0 / args.max_length as f64),
                false => args.targets_part,
            },
            ..self.run(args.batch_size, args.max_length)
        };
        let n = args.batch_size.saturating_mul(args.grad_accum);
        let tokens = self.tokens.unwrap_or(n.saturating_mul(args.max_length));
        let run = Run {
            kept: (tokens as f64, run.kept.1),
            ..run
        };
        let later = self.train.of_method.cache_trunk.then(|| {
            let cached = Run {
                cached: true,
                ..run.clone()
            };
            plan(&self.sizes, &cached)
        });
        let of = |run: &Run| {
            let mut plan = plan(&self.sizes, run);
            with_weights(&mut plan, &self.held.held);
            plan
        };
        let plan = of(&run);
        let divided = Divided::of(args, &plan, self.sizes.d_model);
        let shared = (args.devices > 1 && divided.is_none()).then(|| {
            let rows = args.batch_size.div_ceil(args.devices);
            Shared {
                devices: Devices::new(args.devices, plan.trainable),
                rows,
                of_each: of(&Run {
                    rows,
                    ..run.clone()
                }),
            }
        });
        Case {
            name: self.train.method().to_string(),
            tokens: [args.batch_size, args.grad_accum, args.max_length]
                .iter()
                .map(|n| *n as f64)
                .product(),
            plan,
            later,
            shared,
            divided,
            held: self.held.clone(),
        }
    }
}

/// A run of these batches, by the flags that are not of their sizes.
fn run_of(args: &TrainArgs, model_drops: bool, run: Run) -> Run {
    let of = &args.of_method;
    Run {
        recompute: args.recompute,
        dropout: of.dropout.is_some_and(|rate| rate > 0.0),
        moments: args.learning.optimizer.moments(),
        small_moments: args.learning.optimizer.small_moments(),
        kept: match of.cache_trunk {
            true => (run.kept.0, TrunkCache::default().memory as f64),
            false => (0.0, 0.0),
        },
        workers: match args.model.devices().len() {
            // Blocks are run again by one, however many there may be.
            1 if args.recompute => 1,
            1 => workers(args, model_drops).min(run.rows.max(1)),
            several => several * args.workers.unwrap_or(1),
        },
        ..run
    }
}

/// The batch of a run that takes most: its rows, the tokens of each as they are read, and the part
/// of them that are targets. Rows are `padded` to the longest, or put behind each other.
fn largest_batch<E: TrainExample>(
    args: &TrainArgs,
    examples: Examples<'_, E>,
    padded: bool,
) -> (usize, usize, f64) {
    let mut longest: Vec<usize> = (0..examples.len()).collect();
    longest.sort_by_key(|row| Reverse(examples.length(*row)));
    longest.truncate(args.batch_size);
    let lengths = || longest.iter().map(|row| examples.length(*row));
    let (rows, all) = (longest.len(), lengths().sum::<usize>());
    let targets: usize = longest.iter().map(|row| examples.n_targets(*row)).sum();
    let of = &args.of_method;
    let padded = padded || args.pad || of.cache_trunk || of.n_virtual_tokens(args.method()) > 0;
    let tokens = match padded {
        true => lengths().max().unwrap_or(0),
        false => all.div_ceil(rows.max(1)),
    };
    (rows, tokens, (targets as f64 / all.max(1) as f64).min(1.0))
}

/// What a step of a run costs, whose model and rows are there; none where that is not known, as of
/// a run that goes on from another's adapter.
pub(super) fn of_run<M: Transformer, E: TrainExample>(
    args: &TrainArgs,
    checkpoint: &Checkpoint,
    model: &M,
    examples: Examples<'_, E>,
    outputs: Option<usize>,
) -> Option<Plan> {
    let names = args.model.devices();
    let one = names.iter().all(|name| *name == names[0] && on_cores(name));
    if args.init_adapter.is_some() || !one {
        return None;
    }
    let (_, dtype) = placed_on(&args.model).ok()?;
    let (rows, tokens, targets) = largest_batch(args, examples, outputs.is_some());
    let drops = checkpoint.config().has_dropout();
    let run = run_of(args, drops, Run::new(rows, tokens));
    let all: usize = examples.lengths().iter().sum();
    let run = Run {
        batches: args.grad_accum,
        targets,
        kept: (all as f64, run.kept.1),
        ..run
    };
    let mut sizes = sizes::sizes(args, checkpoint, model, dtype.size() as f64, &run).ok()?;
    sizes.vocabulary = outputs.unwrap_or(sizes.vocabulary);
    let mut plan = plan(&sizes, &run);
    with_weights(&mut plan, &Held::of(model));
    Some(plan)
}

/// An error where the machine does not hold what a step needs beside the weights, which are there,
/// and `with_others`, those of runs at once.
pub(super) fn check_step(
    plan: &Plan,
    with_others: impl FnOnce(f64) -> f64,
    device: &Device,
) -> Result<(), CliError> {
    let memory = &plan.memory;
    let needed = with_others(memory.total() - memory.weights - memory.program);
    let shape = [(needed / 4.0) as usize];
    MemoryError::check(
        || "a step of this run, by its plan,".into(),
        [&shape[..]],
        DType::F32,
        device,
    )
    .map_err(|error| {
        CliError::Usage(format!(
            "{error}: `peft plan` with these flags and --memory says what would fit; --any-size tries all the same"
        ))
    })
}

/// The most memory that this process has had, in bytes, where the system tells.
pub(super) fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

/// What `train` would be given.
fn train_args(args: &PlanArgs) -> Result<TrainArgs, CliError> {
    let words = [
        "peft", "train", "--model", ".", "--train", ".", "--out", ".",
    ];
    let Ok(Some(Verb::Train(mut train))) = Cli::read(words).map(|cli| cli.verb) else {
        return Err(CliError::Usage("the flags of `train` have changed".into()));
    };
    train.model = of_one_device(&args.model);
    train.method = args.method;
    train.of_method = args.of_method.clone();
    train.learning.optimizer = args.optimizer;
    train.batch_size = args.batch_size;
    train.grad_accum = args.grad_accum;
    train.max_length = args.max_length;
    train.recompute = args.recompute;
    train.pack = args.pack;
    train.pad = args.pad;
    train.of_method.check(train.method())?;
    train.check_held()?;
    train.complete();
    Ok(*train)
}

/// The flags of methods, none of them given.
fn with_defaults() -> Result<MethodArgs, CliError> {
    let words = ["peft", "plan", "--model", "."];
    match Cli::read(words).map(|cli| cli.verb) {
        Ok(Some(Verb::Plan(args))) => Ok(args.of_method),
        _ => Err(CliError::Usage("the flags of `plan` have changed".into())),
    }
}
