//! `train --lr-find`: the loss at rising learning rates. *Cyclical Learning Rates for Training
//! Neural Networks*, Smith 2017, [arXiv:1506.01186](https://arxiv.org/abs/1506.01186).

use burn::module::Module;
use peft_train::{
    LEAST, Observer, Progress, Report, Schedule, StepReport, TrainConfig, TrainError, Warmup,
};

use crate::args::TrainArgs;
use crate::commands::print_line;
use crate::error::CliError;
use crate::say::say;

/// Steps where the caller gives no number.
const STEPS: usize = 100;
/// What the method's own rate is multiplied by for the highest.
const ABOVE: f64 = 1e3;
/// What of a mean of losses goes on into the next.
const SMOOTH: f64 = 0.9;
/// The loss, of the lowest so far, at which nothing higher need be tried.
const LOST: f64 = 2.0;
/// Steps before and behind, between which a slope is taken.
const REACH: usize = 3;
/// Lines of the table.
const LINES: usize = 16;

/// The settings of a run that tries rates.
pub(super) fn config(args: &TrainArgs, config: &TrainConfig) -> TrainConfig {
    TrainConfig {
        max_steps: Some(config.max_steps.unwrap_or(STEPS)),
        learning_rate: args.default_lr() * ABOVE,
        weight_decay: 0.0,
        schedule: Schedule::Rising,
        warmup: Warmup::Steps(0),
        eval_first: false,
        eval_every: None,
        patience: None,
        best_by: None,
        ..config.clone()
    }
}

/// Say what is tried.
pub(super) fn announce(args: &TrainArgs, config: &TrainConfig) {
    let peak = config.learning_rate;
    let steps = config.max_steps.unwrap_or_default();
    say!(
        "{steps} steps at learning rates from {:.0e} to {peak:.0e}; nothing is kept",
        peak * LEAST
    );
    if args.lr_origin.is_empty() {
        say!(
            "--lr plays no part in it: the highest rate is the method's own default times {ABOVE:e}"
        );
    }
}

/// The losses so far.
#[derive(Default)]
pub(super) struct RateFinder {
    /// Rate, and the loss before it was applied.
    points: Vec<(f64, f64)>,
    mean: f64,
    lowest: Option<f64>,
}

/// What ends the run where no higher rate need be tried.
#[derive(Debug, thiserror::Error)]
#[error("enough")]
struct Enough;

impl RateFinder {
    /// The loss at a step is that of the parameters before its update: what a rate did shows in the
    /// next one.
    fn note(&mut self, rate: f64, loss: f64) -> bool {
        let n = self.points.len() as i32 + 1;
        self.mean = SMOOTH * self.mean + (1.0 - SMOOTH) * loss;
        let mean = self.mean / (1.0 - SMOOTH.powi(n));
        self.points.push((rate, mean));
        let lowest = self.lowest.map_or(mean, |lowest| lowest.min(mean));
        self.lowest = Some(lowest);
        mean > LOST * lowest
    }

    /// The rate at which the loss falls most steeply, by the logarithm of the rate, and the one at
    /// which it is lowest.
    fn found(&self) -> Option<(f64, f64)> {
        let lowest = (0..self.points.len()).min_by(|a, b| {
            let loss = |i: &usize| self.points[*i].1;
            loss(a).total_cmp(&loss(b))
        })?;
        // Over a few steps, since each rate is tried once; the first means are of hardly any.
        let slope = |i: usize| {
            let (from, to) = (i - REACH, i + REACH);
            let ((low, before), (high, after)) = (self.points[from], self.points[to]);
            (after - before) / (high / low).ln()
        };
        // What is less is noise.
        if self.points[lowest].1 > 0.99 * self.points[0].1 {
            return None;
        }
        let first = (self.points.len() / 5).max(REACH);
        let last = (lowest + 1).min(self.points.len().saturating_sub(REACH));
        let steepest = (first..last).min_by(|a, b| slope(*a).total_cmp(&slope(*b)))?;
        Some((self.points[steepest].0, self.points[lowest].0))
    }

    /// Say what was found; nothing is kept.
    pub(super) fn finish(
        &self,
        args: &TrainArgs,
        ended: Result<(), TrainError>,
    ) -> Result<(), CliError> {
        match ended {
            Ok(()) | Err(TrainError::Diverged { .. }) => {}
            Err(TrainError::Observer(error)) if error.is::<Enough>() => {}
            Err(error) => return Err(error.into()),
        }
        print_line("      rate | loss")?;
        let every = self.points.len().div_ceil(LINES).max(1);
        let (least, most) = self
            .points
            .iter()
            .fold((f64::MAX, f64::MIN), |(a, b), point| {
                (a.min(point.1), b.max(point.1))
            });
        for (rate, loss) in self.points.iter().step_by(every) {
            let part = (loss - least) / (most - least).max(1e-9);
            let bar = "▪".repeat((part * 40.0).round() as usize);
            print_line(format!("{rate:>10.1e} | {loss:7.4} {bar}"))?;
        }
        match self.found() {
            Some((steepest, lowest)) => {
                // Beyond a third of the lowest it is about to rise.
                let taken = steepest.min(lowest / 3.0);
                print_line(format!(
                    "steepest at {steepest:.1e}, lowest at {lowest:.1e}: take about --lr {taken:.0e}; {}'s default is {:.0e}",
                    args.method(),
                    args.default_lr()
                ))
            }
            None => {
                say!(
                    "warning: the loss fell at no rate: there are too few steps, or what trains does not reach it"
                );
                Ok(())
            }
        }
    }
}

impl<M: Module, R: Report> Observer<M, R> for RateFinder {
    fn on_eval(&mut self, _: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }

    fn on_step(&mut self, report: &StepReport, _: &Progress<'_, M>) -> Result<(), TrainError> {
        match self.note(report.learning_rate, report.loss) {
            true => Err(TrainError::Observer(Box::new(Enough))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_where_the_loss_falls() {
        let mut finder = RateFinder::default();
        let mut ended = None;
        for i in 0..100 {
            let exponent = -5.0 + 5.0 * f64::from(i) / 99.0;
            // Flat, falling from 1e-3.5, lost from 1e-1.5.
            let loss = match exponent {
                e if e < -3.5 => 4.0,
                e if e < -1.5 => 4.0 - 1.5 * (e + 3.5),
                e => 1.0 + 20.0 * (e + 1.5),
            };
            if finder.note(10f64.powf(exponent), loss) {
                ended = Some(exponent);
                break;
            }
        }
        assert!(ended.is_some_and(|at| at > -1.5 && at < -0.5), "{ended:?}");
        let (steepest, lowest) = finder.found().expect("it falls");
        assert!((-3.5..-1.4).contains(&steepest.log10()), "{steepest}");
        assert!((-1.6..-1.2).contains(&lowest.log10()), "{lowest}");
        let mut flat = RateFinder::default();
        let ended = (1..50).any(|i| flat.note(1e-5 * f64::from(i), 4.0));
        assert!(!ended);
        assert_eq!(flat.found(), None);
    }
}
