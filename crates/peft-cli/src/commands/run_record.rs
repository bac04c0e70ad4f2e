//! [`RunRecord`]: what a run's directory says of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use toml::Table;

use super::train::read_metrics;
use crate::config_file::{LARGEST, RESOLVED};
use crate::error::CliError;

/// Figures of a step or an evaluation, by step.
pub(crate) type Points = Vec<(f64, f64)>;

/// A run, as it is on disk.
pub(crate) struct RunRecord {
    /// Its directory.
    pub(crate) name: String,
    /// The settings that it had, by name.
    pub(crate) settings: BTreeMap<String, String>,
    /// Figures of its steps, by name: `loss`, `learning_rate`, `grad_norm`.
    pub(crate) train: BTreeMap<String, Points>,
    /// Figures of its evaluations, by name.
    pub(crate) valid: BTreeMap<String, Points>,
    /// The step that is kept as the best.
    pub(crate) best: Option<f64>,
    /// What its last steps cost, planned and used, by name, where they were planned.
    pub(crate) cost: BTreeMap<String, Points>,
    /// What the model answered to some rows, by step, where that was shown.
    pub(crate) samples: Vec<(f64, Vec<Value>)>,
    /// How many steps it was to have.
    pub(crate) planned: Option<f64>,
    /// Lines that could not be read.
    pub(crate) damaged: usize,
}

impl RunRecord {
    pub(crate) fn read(dir: &Path) -> Result<Self, CliError> {
        let path = dir.join(RESOLVED);
        if !path.is_file() {
            return Err(CliError::Usage(format!(
                "{} is no run: it has no {RESOLVED}, which `peft train` writes to --out",
                dir.display()
            )));
        }
        let text = peft_files::read_text(&path, LARGEST).map_err(|source| CliError::Io {
            action: "read",
            path: path.clone(),
            source,
        })?;
        let table: Table = text
            .parse()
            .map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
        let settings = table.into_iter().map(|(name, value)| {
            let shown = value.as_str().map(str::to_owned);
            (name, shown.unwrap_or_else(|| value.to_string()))
        });
        let mut record = Self {
            name: dir.display().to_string(),
            settings: settings.collect(),
            train: BTreeMap::new(),
            valid: BTreeMap::new(),
            best: None,
            cost: BTreeMap::new(),
            samples: Vec::new(),
            planned: None,
            damaged: 0,
        };
        let found = read_metrics(dir)?;
        record.damaged = found.damaged;
        for line in &found.lines {
            record.note(line);
        }
        Ok(record)
    }

    fn note(&mut self, line: &Value) {
        let Some(step) = line["step"].as_f64() else {
            return;
        };
        let put = |into: &mut BTreeMap<String, Points>, of: &Value| {
            for (name, value) in of.as_object().into_iter().flatten() {
                if let Some(value) = value.as_f64() {
                    into.entry(name.clone()).or_default().push((step, value));
                }
            }
        };
        put(&mut self.train, &line["train"]);
        put(&mut self.valid, &line["valid"]);
        put(&mut self.cost, &line["cost"]);
        if let Some(samples) = line["samples"].as_array() {
            self.samples.push((step, samples.clone()));
        }
        if line["best"] == Value::Bool(true) {
            self.best = Some(step);
        }
        if let Some(total) = line["train"]["total_steps"].as_f64() {
            self.planned = Some(total);
        }
    }

    /// The last figure of a name among the steps', or the evaluations'.
    pub(crate) fn last(of: &BTreeMap<String, Points>, name: &str) -> Option<f64> {
        of.get(name)?.last().map(|point| point.1)
    }

    /// Seconds that its steps took.
    pub(crate) fn seconds(&self) -> Option<f64> {
        let points = self.train.get("seconds")?;
        Some(points.iter().map(|point| point.1).sum())
    }

    /// Steps done.
    pub(crate) fn steps(&self) -> f64 {
        let last = |points: &Points| points.last().map_or(0.0, |point| point.0);
        self.train.get("loss").map_or(0.0, last)
    }

    /// The lowest validation loss after a step.
    pub(crate) fn best_loss(&self) -> Option<f64> {
        self.best.and_then(|step| self.valid_loss(step))
    }

    /// The validation loss of a step.
    pub(crate) fn valid_loss(&self, step: f64) -> Option<f64> {
        let points = self.valid.get("loss")?;
        let found = points.iter().rev().find(|point| point.0 == step);
        found.map(|point| point.1)
    }

    /// What it came to, in one line.
    pub(crate) fn line(&self) -> String {
        let of = |what: &str, value: Option<f64>| {
            value.map_or_else(String::new, |value| format!(", {what} {value:.4}"))
        };
        format!(
            "{}: {} steps{}{}{}",
            self.name,
            self.steps(),
            of("training loss", Self::last(&self.train, "loss")),
            of("validation loss before", self.valid_loss(0.0)),
            of("best", self.best_loss()),
        )
    }
}
