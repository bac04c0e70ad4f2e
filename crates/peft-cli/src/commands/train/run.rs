//! What a run leaves in its directory: settings, metrics, the best and the last adapter, and a state to go on from.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::DType;
use peft_core::Transformer;
use peft_store::{
    AdapterConfig, Labels, TrainedConfig, TrainedFormat, base_digest, save_trained,
    write_checkpoint,
};
use peft_train::{Observer, Progress, Report, StepReport, TrainError, TrainState, TrunkReport};
use serde_json::{Map, Value, json};

use crate::args::TrainArgs;
use crate::commands::adapted::{Adapted, save};
use crate::config_file::RESOLVED;
use crate::error::CliError;
use crate::progress::Display;

/// The state to go on from, while a run is not done.
const STATE: &str = "resume.safetensors";
const METRICS: &str = "metrics.jsonl";
const BEST: &str = "best";
/// What a run would write over.
const HELD: [(&str, &str); 2] = [
    ("config.json", "a model"),
    ("adapter_config.json", "an adapter"),
];

/// Shows a run and keeps its results.
pub(super) struct Run {
    display: Display,
    metrics: File,
    out: PathBuf,
    /// Steps between two states.
    save_every: usize,
    what: Trained,
    /// What has trained, by path.
    touched: BTreeSet<String>,
}

/// What of a model a run saves.
pub(super) enum Kind {
    /// An adapter.
    Adapter(Box<AdapterConfig>),
    /// All of it, as a checkpoint.
    Whole,
    /// Normalisation layers and modules of these paths, as PEFT's LN tuning.
    Norms(Vec<String>),
    /// The parameters that have trained; what trained them.
    Own(Value),
}

/// What the run saves.
pub(super) struct Trained {
    pub(super) kind: Kind,
    pub(super) base: String,
    /// The `config.json` of a whole model.
    pub(super) fields: Map<String, Value>,
    /// Where the files are that go with a whole model.
    pub(super) companions: PathBuf,
    pub(super) dtype: DType,
    /// What a classifier's outputs are called.
    pub(super) labels: Option<Labels>,
    /// What the adapter is for, in PEFT's words.
    pub(super) task_type: &'static str,
}

/// The state to go on from, if the run is to be resumed; an error where that, or a new run, does not fit what the directory holds.
pub(super) fn state(args: &TrainArgs) -> Result<Option<TrainState>, CliError> {
    let out = args.out.display();
    let begun = args.out.join(RESOLVED).exists();
    let path = args.out.join(STATE);
    match (args.resume, path.exists()) {
        (true, true) => Ok(Some(TrainState::load(&path)?)),
        (true, false) if begun => Err(CliError::Usage(format!(
            "{out} has no {STATE}: the run is done, or ended before it kept one"
        ))),
        (true, false) => Err(CliError::Usage(format!("{out} holds no run to resume"))),
        (false, _) if begun => Err(CliError::Usage(format!(
            "{out} holds a run already; name a new directory, or go on with --resume"
        ))),
        (false, _) => match HELD.iter().find(|(file, _)| args.out.join(file).exists()) {
            Some((_, what)) => Err(CliError::Usage(format!(
                "{out} holds {what} already; name a new directory"
            ))),
            None => Ok(None),
        },
    }
}

impl Run {
    /// Make the directory ready: settings written, metrics of steps after the resumed state taken out.
    pub(super) fn begin(
        args: &TrainArgs,
        resumed: Option<&TrainState>,
        save_every: usize,
        what: Trained,
    ) -> Result<Self, CliError> {
        let create = |source| CliError::Io {
            action: "create",
            path: args.out.clone(),
            source,
        };
        fs::create_dir_all(&args.out).map_err(create)?;
        let path = args.out.join(METRICS);
        let done = resumed.map_or(0, TrainState::step) as u64;
        let kept: String = fs::read_to_string(&path)
            .unwrap_or_default()
            .lines()
            .filter(|line| {
                let line: Option<Value> = serde_json::from_str(line).ok();
                line.and_then(|line| line["step"].as_u64())
                    .is_some_and(|step| step <= done)
            })
            .map(|line| format!("{line}\n"))
            .collect();
        write(&path, &kept)?;
        let metrics = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(|source| CliError::Io {
                action: "open",
                path,
                source,
            })?;
        let resolved = toml::to_string(args)
            .map_err(|error| CliError::Usage(format!("the settings: {error}")))?;
        write(&args.out.join(RESOLVED), &resolved)?;
        Ok(Self {
            display: Display::new(),
            metrics,
            out: args.out.clone(),
            save_every,
            what,
            touched: BTreeSet::new(),
        })
    }

    /// Keep what was trained; there is nothing to resume any more.
    pub(super) fn finish<M: Transformer>(&self, model: &Adapted<M>) -> Result<(), CliError> {
        self.save(model, &self.out)?;
        let path = self.out.join(STATE);
        if path.exists() {
            fs::remove_file(&path).map_err(|source| CliError::Io {
                action: "remove",
                path,
                source,
            })?;
        }
        Ok(())
    }

    fn save<M: Transformer>(&self, model: &Adapted<M>, dir: &Path) -> Result<(), CliError> {
        let what = &self.what;
        let format = match &what.kind {
            Kind::Whole => {
                let companions = Some(what.companions.as_path());
                write_checkpoint(model, &what.fields, companions, what.dtype, dir)?;
                return Ok(());
            }
            Kind::Adapter(config) => {
                let mut fields = Map::new();
                fields.insert("task_type".into(), what.task_type.into());
                save(model, config, &what.base, &fields, dir)?;
                None
            }
            Kind::Norms(modules) => Some(TrainedFormat::LnTuning {
                modules_to_save: modules.clone(),
            }),
            Kind::Own(method) => Some(TrainedFormat::Own {
                method: method.clone(),
                base_digest: base_digest(model, &self.touched),
            }),
        };
        if let Some(format) = format {
            let config = TrainedConfig {
                format,
                base: Some(what.base.clone()),
                task_type: Some(what.task_type.into()),
            };
            save_trained(model, &self.touched, &config, dir)?;
        }
        if let Some(labels) = &what.labels {
            labels.write(dir)?;
        }
        Ok(())
    }

    /// What has trained only grows.
    fn note(&mut self, touched: &BTreeSet<String>) {
        if touched.len() != self.touched.len() {
            self.touched.clone_from(touched);
        }
    }

    fn record(&mut self, line: &Value) -> Result<(), TrainError> {
        writeln!(self.metrics, "{line}").map_err(|source| TrainError::Io {
            action: "write",
            path: self.out.join(METRICS),
            source,
        })
    }
}

/// Written beside, then renamed.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|source| CliError::Io {
            action: "write",
            path: path.into(),
            source,
        })
}

impl<M: Transformer, R: Report> Observer<Adapted<M>, R> for Run {
    fn on_eval(
        &mut self,
        report: &R,
        best: bool,
        progress: &Progress<'_, Adapted<M>>,
    ) -> Result<(), TrainError> {
        self.display.line(&format!(
            "step {}: validation loss {:.4}{}{}",
            progress.step,
            report.loss(),
            report
                .headline()
                .iter()
                .filter(|(name, _)| *name != "loss")
                .map(|(name, value)| format!(", {name} {value:.3}"))
                .collect::<String>(),
            if best { " (best)" } else { "" }
        ));
        self.note(progress.trained());
        if best {
            self.save(&progress.model.valid(), &self.out.join(BEST))
                .map_err(|error| TrainError::Observer(Box::new(error)))?;
        }
        self.record(&json!({ "step": progress.step, "best": best, "valid": report }))
    }

    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, Adapted<M>>,
    ) -> Result<(), TrainError> {
        self.display.step(report);
        self.note(progress.trained());
        self.record(&json!({ "step": report.step, "train": report }))?;
        if report.step.is_multiple_of(self.save_every) && report.step < report.total_steps {
            progress.state().save(self.out.join(STATE))?;
        }
        Ok(())
    }

    fn on_trunk(&mut self, report: &TrunkReport) -> Result<(), TrainError> {
        self.display.line(&match report {
            TrunkReport::Kept { block } => {
                format!("the states before block {block} are computed once for each row")
            }
            TrunkReport::NotKept(reason) => format!("no states are kept: {reason}"),
        });
        Ok(())
    }
}
