//! What `train` and `predict` show while they run: a bar on a terminal, plain lines elsewhere.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use peft_train::StepReport;

use crate::say::{clean, say};

/// Lines in a run where there is no terminal.
const LINES: usize = 40;

pub(crate) struct Display {
    bar: Option<ProgressBar>,
}

impl Display {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Self { bar }
    }

    pub(crate) fn step(&self, report: &StepReport) {
        let text = format!(
            "loss {:.4}  lr {:.2e}  {:.0} target tokens/s  {:.0} s left",
            report.loss, report.learning_rate, report.targets_per_second, report.seconds_left
        );
        match &self.bar {
            Some(bar) => {
                bar.set_length(report.total_steps as u64);
                bar.set_position(report.step as u64);
                bar.set_message(text);
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
