//! Several runs of one command: `--sweep`, a run for each value of a flag, and `--runs`, a run for
//! each file of settings.

use std::path::Path;
use std::thread;

use burn::nn::Linear;
use peft_store::{Checkpoint, Held};

use super::company::{Company, Member};
use super::directory::{holds_result, same_settings};
use super::init;
use super::interrupt::Interrupts;
use crate::args::{Sweep, TrainArgs};
use crate::changed_flags::{changed_by, long_name, with_flags};
use crate::commands::print_line;
use crate::commands::run_record::RunRecord;
use crate::config_file::RESOLVED;
use crate::device::placed;
use crate::error::CliError;
use crate::say::{named, say};

/// Flags that name what all runs share, or that are no setting.
const SHARED: [&str; 5] = ["model", "train", "valid", "out", "device"];

/// A run among others.
struct Named {
    /// What it differs by, which also names it.
    name: String,
    args: TrainArgs,
}

/// Train once for each value, each in `OUT/FLAG-VALUE`, and say which did best. A run that is done
/// is not done again, and one that was interrupted goes on.
pub(super) fn run(args: &TrainArgs, sweep: &Sweep) -> Result<(), CliError> {
    if !args.has_validation() {
        return Err(CliError::Usage(
            "--sweep takes the value of the lowest validation loss: give --valid or --split".into(),
        ));
    }
    let long = long_name(&sweep.flag).unwrap_or_else(|| sweep.flag.clone());
    if SHARED.contains(&long.as_str()) {
        return Err(CliError::Usage(format!(
            "--sweep {}: it is the same for all runs of a sweep",
            sweep.flag
        )));
    }
    // All are understood before the first trains.
    let runs = sweep.values.iter().map(|value| {
        let changed = [(sweep.flag.as_str(), value.clone())];
        let mut run = with_flags(args, &changed)?;
        run.out = args.out.join(format!("{}-{value}", sweep.flag));
        Ok(Named {
            name: value.clone(),
            args: run,
        })
    });
    let runs = runs.collect::<Result<Vec<_>, CliError>>()?;
    let called = |name: &str| format!("--{} {name}", sweep.flag);
    let trained = train(&runs, args.at_once, true, called);
    if args.at_once {
        // The others have trained all the same.
        best(sweep, &runs)?;
        return trained;
    }
    trained?;
    best(sweep, &runs)
}

/// The table of a sweep, and which value did best.
fn best(sweep: &Sweep, runs: &[Named]) -> Result<(), CliError> {
    match report(&sweep.flag, runs)? {
        Some((loss, of)) => print_line(format!(
            "lowest: --{} {}, validation loss {loss:.4}, in {}",
            sweep.flag,
            of.name,
            of.args.out.join(super::run::BEST).display()
        )),
        None => print_line("no run was better than the model before training"),
    }
}

/// Train once for each file of settings, all at once: each run has the flags of the command line
/// but for what its file says, and is in `OUT/FILE` where that names no directory.
pub(super) fn run_files(args: &TrainArgs) -> Result<(), CliError> {
    let runs = args.runs.iter().map(|file| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let mut run = changed_by(args, file)?;
        if same_place(&run.out, &args.out) {
            run.out = args.out.join(&*name);
        }
        Ok(Named {
            name: name.into_owned(),
            args: run,
        })
    });
    let runs = runs.collect::<Result<Vec<_>, CliError>>()?;
    for (i, run) in runs.iter().enumerate() {
        let same = |other: &Named| same_place(&other.args.out, &run.args.out);
        if let Some(at) = runs[..i].iter().position(same) {
            return Err(CliError::Usage(format!(
                "--runs: {} and {} are both to be in {}; each names an `out` of its own",
                args.runs[at].display(),
                args.runs[i].display(),
                run.args.out.display()
            )));
        }
    }
    let trained = train(&runs, true, false, str::to_owned);
    report("run", &runs)?;
    trained
}

fn same_place(a: &Path, b: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).ok();
    absolute(a) == absolute(b)
}

/// Train what is not done yet, one run after the other or all at once.
fn train(
    runs: &[Named],
    at_once: bool,
    bad_values: bool,
    called: impl Fn(&str) -> String + Sync,
) -> Result<(), CliError> {
    let mut left = Vec::new();
    for run in runs {
        let mut args = run.args.clone();
        args.resume = args.out.join(RESOLVED).exists();
        if args.resume && holds_result(&args.out).is_some() {
            let (name, out) = (called(&run.name), args.out.display());
            let mut whole = args.clone();
            init::complete(&mut whole)?;
            whole.complete();
            match same_settings(&whole)? {
                true => say!("{name} is done already, in {out}"),
                false => say!(
                    "warning: {name} is done already, in {out}, with other settings: for these, name another --out"
                ),
            }
            continue;
        }
        left.push((called(&run.name), args));
    }
    // What a bad value does to a run is what a sweep is to show, and no failure of it.
    let shown = |name: &str, result: Result<(), CliError>| match result {
        Err(error @ (CliError::Diverged { .. } | CliError::Worse { .. })) if bad_values => {
            say!("{name}: {}", error.chain());
            Ok(())
        }
        other => other,
    };
    if !at_once {
        return left.iter().try_for_each(|(name, args)| {
            say!("{name}");
            shown(name, super::run_one(args, None))
        });
    }
    one_base(&left)?;
    // One that listens as long as any run is there, so that a signal is all runs'.
    let _listens = Interrupts::listen().map_err(|source| CliError::Io {
        action: "listen to signals in",
        path: ".".into(),
        source,
    })?;
    let company = Company::new(left.len());
    let results: Vec<Result<(), CliError>> = thread::scope(|scope| {
        let threads: Vec<_> = left
            .iter()
            .enumerate()
            .map(|(run, (name, args))| {
                let member = Member {
                    company: &company,
                    run,
                };
                let train = move || named(name, || super::run_one(args, Some(member)));
                scope.spawn(train)
            })
            .collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    // All that went wrong is said; the first of it is the outcome.
    let mut outcome = Ok(());
    for ((name, _), result) in left.iter().zip(results) {
        if let Err(error) = shown(name, result) {
            say!("{name}: {}", error.chain());
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

/// That runs have one base, in one form and on one device.
fn one_base(runs: &[(String, TrainArgs)]) -> Result<(), CliError> {
    let of = |args: &TrainArgs| {
        let model = &args.model;
        let place = model.model.canonicalize().ok();
        let place = place.unwrap_or_else(|| model.model.clone());
        [
            ("--model", place.display().to_string()),
            ("--device", model.device.clone()),
            ("--dtype", model.dtype.clone()),
            (
                "--quantise-embeddings",
                model.quantise_embeddings.to_string(),
            ),
        ]
    };
    let Some((first, others)) = runs.split_first() else {
        return Ok(());
    };
    let device = &first.1.model;
    let is_here = matches!(device.devices()[..], [one] if !one.starts_with("remote:"));
    if !is_here || device.split_model {
        return Err(CliError::Usage(format!(
            "runs at once are on one device of this machine, and --device is {}",
            device.device
        )));
    }
    let form_of_first = form(&first.1)?;
    for (name, args) in others {
        let pairs = of(&first.1).into_iter().zip(of(args));
        if let Some(((flag, a), (_, b))) = pairs.into_iter().find(|((_, a), (_, b))| a != b) {
            return Err(CliError::Usage(format!(
                "runs at once adapt one base: of {flag}, {} has {a}, and {name} has {b}",
                first.0
            )));
        }
        if form(args)? != form_of_first {
            return Err(CliError::Usage(format!(
                "runs at once adapt one base in one form: {} and {name} do not hold its weights alike; with --quantise none they do",
                first.0
            )));
        }
    }
    Ok(())
}

/// What a run would hold its base in; none where that is not known, which is told when it is read.
fn form(args: &TrainArgs) -> Result<Option<Held>, CliError> {
    let mut args = args.clone();
    init::complete(&mut args)?;
    args.complete();
    let Ok(checkpoint) = Checkpoint::open(&args.model.model) else {
        return Ok(None);
    };
    let checkpoint = checkpoint
        .with_quantise(args.held())
        .with_quantised_vocabulary(args.model.quantise_embeddings);
    let (device, dtype) = placed(&args.model)?;
    // Of files; a model without them is refused later.
    Ok(checkpoint.held(&Vec::<Linear>::new(), &device, dtype).ok())
}

/// What came of the runs, a line each; that of the lowest validation loss.
fn report<'a>(what: &str, runs: &'a [Named]) -> Result<Option<(f64, &'a Named)>, CliError> {
    let mut best: Option<(f64, &Named)> = None;
    let width = runs.iter().map(|run| run.name.chars().count()).max();
    let width = width.unwrap_or(0).max(12);
    print_line(format!(
        "{what:>width$} | before   best      at step  training loss"
    ))?;
    for run in runs {
        // One that ended before it began has left nothing.
        let Ok(record) = RunRecord::read(&run.args.out) else {
            print_line(format!("{:>width$} | no steps", run.name))?;
            continue;
        };
        let number = |value: Option<f64>| {
            value.map_or_else(|| "      –".into(), |value| format!("{value:7.4}"))
        };
        let step = record
            .best
            .map_or_else(|| "–".into(), |step| step.to_string());
        print_line(format!(
            "{:>width$} | {}  {}  {step:>7}  {}",
            run.name,
            number(record.valid_loss(0.0)),
            number(record.best_loss()),
            number(RunRecord::last(&record.train, "loss")),
        ))?;
        if let Some(loss) = record.best_loss()
            && best.as_ref().is_none_or(|(least, _)| loss < *least)
        {
            best = Some((loss, run));
        }
    }
    Ok(best)
}
