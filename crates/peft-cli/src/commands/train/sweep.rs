//! `train --sweep`: a run for each value of a flag.

use super::directory::holds_result;
use crate::args::{Sweep, TrainArgs};
use crate::commands::print_line;
use crate::commands::run_record::RunRecord;
use crate::config_file::{RESOLVED, with_flags};
use crate::error::CliError;
use crate::say::say;

/// Flags that name what all runs share, or that are no setting.
const SHARED: [&str; 5] = ["model", "train", "valid", "out", "device"];

/// Train once for each value, each in `OUT/FLAG-VALUE`, and say which did best. A run that is done
/// is not done again, and one that was interrupted goes on.
pub(super) fn run(args: &TrainArgs, sweep: &Sweep) -> Result<(), CliError> {
    if !args.has_validation() {
        return Err(CliError::Usage(
            "--sweep takes the value of the lowest validation loss: give --valid or --split".into(),
        ));
    }
    if SHARED.contains(&sweep.flag.as_str()) {
        return Err(CliError::Usage(format!(
            "--sweep {}: it is the same for all runs of a sweep",
            sweep.flag
        )));
    }
    // All are understood before the first trains.
    let runs = sweep.values.iter().map(|value| {
        let out = args.out.join(format!("{}-{value}", sweep.flag));
        let changed = [(sweep.flag.as_str(), value.clone())];
        let mut run = with_flags(args, &changed)?;
        run.resume = out.join(RESOLVED).exists();
        run.out = out;
        Ok((value, run))
    });
    let runs: Vec<(&String, TrainArgs)> = runs.collect::<Result<_, CliError>>()?;
    for (value, run) in &runs {
        if run.resume && holds_result(&run.out).is_some() {
            say!(
                "--{} {value} is done already, in {}",
                sweep.flag,
                run.out.display()
            );
            continue;
        }
        say!("--{} {value}", sweep.flag);
        match super::run(run) {
            // What a bad value does to a run is what a sweep is to show.
            Err(error @ (CliError::Diverged { .. } | CliError::Worse { .. })) => {
                say!("--{} {value}: {}", sweep.flag, error.chain());
            }
            other => other?,
        }
    }
    report(sweep, &runs)
}

fn report(sweep: &Sweep, runs: &[(&String, TrainArgs)]) -> Result<(), CliError> {
    let mut best: Option<(f64, &String, &TrainArgs)> = None;
    print_line(format!(
        "{:>12} | before   best      at step  training loss",
        sweep.flag
    ))?;
    for (value, run) in runs {
        let record = RunRecord::read(&run.out)?;
        let number = |value: Option<f64>| {
            value.map_or_else(|| "      –".into(), |value| format!("{value:7.4}"))
        };
        let step = record
            .best
            .map_or_else(|| "–".into(), |step| step.to_string());
        print_line(format!(
            "{value:>12} | {}  {}  {step:>7}  {}",
            number(record.valid_loss(0.0)),
            number(record.best_loss()),
            number(RunRecord::last(&record.train, "loss")),
        ))?;
        if let Some(loss) = record.best_loss()
            && best.is_none_or(|(least, ..)| loss < least)
        {
            best = Some((loss, value, run));
        }
    }
    match best {
        Some((loss, value, run)) => print_line(format!(
            "lowest: --{} {value}, validation loss {loss:.4}, in {}",
            sweep.flag,
            run.out.join(super::run::BEST).display()
        )),
        None => print_line("no run was better than the model before training"),
    }
}
