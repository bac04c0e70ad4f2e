//! What `train` and `predict` show while they run: a bar on a terminal, plain lines elsewhere.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use peft_train::StepReport;

use crate::say::{clean, is_named, say};

/// Lines in a run where there is no terminal.
const LINES: usize = 40;

/// Places of the picture of a run's losses.
const PLACES: usize = 24;

pub(crate) struct Display {
    bar: Option<ProgressBar>,
    /// The losses so far, of the steps and of the evaluations.
    losses: RefCell<[Vec<f64>; 2]>,
}

impl Display {
    pub(crate) fn new() -> Self {
        let alone = std::io::stderr().is_terminal() && !is_named();
        let bar = alone.then(|| {
            let bar = ProgressBar::new(0);
            let template = "{bar:24} {pos}/{len} {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Self {
            bar,
            losses: RefCell::default(),
        }
    }

    /// An evaluation found this loss.
    pub(crate) fn evaluation(&self, loss: f64) {
        self.losses.borrow_mut()[1].push(loss);
    }

    pub(crate) fn step(&self, report: &StepReport) {
        let mut losses = self.losses.borrow_mut();
        losses[0].push(report.loss);
        let text = format!(
            "loss {:.4}  lr {:.2e}  {:.0} target tokens/s  {:.0} s left",
            report.loss, report.learning_rate, report.targets_per_second, report.seconds_left
        );
        match &self.bar {
            Some(bar) => {
                bar.set_length(report.total_steps as u64);
                bar.set_position(report.step as u64);
                let memory = crate::commands::peak_memory();
                let memory = memory.map_or_else(String::new, |memory| format!("  {memory}"));
                let pictures = losses.each_ref().map(|losses| sparkline(losses, PLACES));
                let validation = match pictures[1].is_empty() {
                    true => String::new(),
                    false => format!("  validation {}", pictures[1]),
                };
                bar.set_message(format!("{text}{memory}\n{}{validation}", pictures[0]));
            }
            None => {
                let every = (report.total_steps / LINES).max(1);
                if report.step == 1
                    || report.step == report.total_steps
                    || report.step.is_multiple_of(every)
                {
                    say!("step {}/{}  {text}", report.step, report.total_steps);
                }
            }
        }
    }

    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(clean(text)),
            None => say!("{text}"),
        }
    }

    /// Take the bar away: what follows are lines.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Values as bars of eighths, the means of those that share a place; nothing where there is none.
fn sparkline(values: &[f64], places: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let places = places.min(values.len());
    let mean = |place: usize| {
        let of = &values[place * values.len() / places..(place + 1) * values.len() / places];
        of.iter().sum::<f64>() / of.len() as f64
    };
    let means: Vec<f64> = (0..places).map(mean).collect();
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    let most = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let height = |mean: &f64| ((mean - least) / (most - least).max(1e-12) * 7.0).round() as usize;
    means.iter().map(|mean| BARS[height(mean).min(7)]).collect()
}

/// How many rows are done.
pub(crate) struct RowsDone {
    bar: Option<ProgressBar>,
    total: usize,
    before: usize,
    done: Cell<usize>,
    started: Instant,
}

impl RowsDone {
    /// Of so many rows, some of which were done before.
    pub(crate) fn new(total: usize, before: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64);
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} rows  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            total,
            before,
            done: Cell::new(before),
            started: Instant::now(),
        }
    }

    /// So many more.
    pub(crate) fn advance(&self, rows: usize) {
        let last = self.done.get();
        let done = last + rows;
        self.done.set(done);
        let rate = (done - self.before) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let left = (self.total - done) as f64 / rate;
        let text = format!("{rate:.1} rows/s  {left:.0} s left");
        match &self.bar {
            Some(bar) => {
                bar.set_position(done as u64);
                bar.set_message(text);
            }
            None => {
                let every = (self.total / LINES).max(1);
                if last / every < done / every || done == self.total {
                    say!("row {done}/{}  {text}", self.total);
                }
            }
        }
    }

    /// Take the bar away: what follows are lines.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_drawn_by_their_means() {
        assert_eq!(sparkline(&[], 4), "");
        assert_eq!(sparkline(&[2.0], 4), "▁");
        assert_eq!(sparkline(&[8.0, 6.0, 1.0], 4), "█▆▁");
        assert_eq!(sparkline(&[8.0, 8.0, 1.0, 1.0, 4.0, 5.0], 3), "█▁▅");
        assert_eq!(sparkline(&[f64::NAN, 1.0], 2).chars().count(), 2);
    }
}
