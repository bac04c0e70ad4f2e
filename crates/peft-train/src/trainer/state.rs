//! [`TrainState`]: what a run needs to go on to the same bits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::Module;
use serde_json::{Map, Value, json};

use super::evaluations::Evaluations;
use super::initial_digests::InitialDigests;
use super::lazy_tensor::LazyTensor;
use super::run_optimizer::{Moments, RunOptimizer};
use super::settings::{differences, of_rows};
use super::state_file;
use super::trained::{self, TrainedParam};
use super::{Progress, TrainConfig};
use crate::{Examples, TrainError, TrainExample};

/// What is written now; a file of another version is refused by it.
const VERSION: u64 = 2;

/// The state of a run between two steps: the parameters that train, the optimizer's moments, and
/// how far the run is.
///
/// Order of rows, learning rate and dropout masks follow from the settings and the step. What is
/// frozen is not kept but in a digest: the model that a run goes on with must hold it. A state fits
/// only a run of the same settings, rows and model, which is checked; but for its length, so that a
/// finished run can go on.
///
/// It holds handles, to tensors where they are or to places in its file: to save it, or to go on
/// from it, reads one tensor at a time.
#[derive(Debug, Clone)]
pub struct TrainState {
    step: usize,
    total_steps: usize,
    evaluations: Evaluations,
    /// A digest of what has not trained.
    untouched: String,
    settings: Map<String, Value>,
    /// What trained in the model that the run was given.
    given: BTreeSet<String>,
    /// What has trained in the run, by path.
    trained: BTreeMap<String, TrainedParam>,
}

impl TrainState {
    /// Steps done.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The steps of the run that it is of.
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// What the run's evaluations have found.
    pub fn evaluations(&self) -> Evaluations {
        self.evaluations
    }

    /// Whether a run of these settings and rows can go on from here.
    ///
    /// # Errors
    ///
    /// [`TrainError::Resume`] with all settings that differ, or where the run is to have fewer
    /// steps than are done.
    pub fn check<'a, E: TrainExample + 'a>(
        &self,
        config: &TrainConfig,
        examples: impl Into<Examples<'a, E>>,
    ) -> Result<(), TrainError> {
        let examples = examples.into();
        self.check_settings(&of_rows(config, examples))?;
        self.check_steps(config.length(examples.len()).total_steps)
    }

    /// Whether a run can go on from here of which the caller says this, some of what
    /// [`Trainer::with_context`](crate::Trainer::with_context) is to be given.
    ///
    /// # Errors
    ///
    /// [`TrainError::Resume`] with all that differs.
    pub fn check_context(&self, context: &Map<String, Value>) -> Result<(), TrainError> {
        self.check_settings(context)
    }

    pub(super) fn check_steps(&self, total: usize) -> Result<(), TrainError> {
        match self.step > total {
            true => Err(cannot(format!(
                "{} steps are done, and the run is to have {total}",
                self.step
            ))),
            false => Ok(()),
        }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.trained.keys().map(String::as_str)
    }

    pub(super) fn check_settings(&self, settings: &Map<String, Value>) -> Result<(), TrainError> {
        match differences(&self.settings, settings).as_slice() {
            [] => Ok(()),
            differences => Err(cannot(differences.join("; "))),
        }
    }

    /// Whether `model` is the one that the run was given, in all that has not trained.
    fn check_model<M: Module>(&self, model: &M) -> Result<(), TrainError> {
        let touched = self.paths().map(str::to_owned).collect();
        match InitialDigests::default().untouched(model, &touched) == self.untouched {
            true => Ok(()),
            false => Err(cannot(
                "the model's weights are not those that the run began with".into(),
            )),
        }
    }

    pub(super) fn capture<M: Module>(progress: &Progress<'_, M>) -> Self {
        let Progress {
            model,
            step,
            total_steps,
            evaluations,
            stages,
            settings,
            given,
            ..
        } = progress;
        Self {
            step: *step,
            total_steps: *total_steps,
            evaluations: *evaluations,
            untouched: given.untouched(*model, stages.touched()),
            settings: (*settings).clone(),
            given: stages.given().clone(),
            trained: trained::capture(*model, stages.optimizer(), stages.touched()),
        }
    }

    /// Puts the parameters into `model`, in which `given` trains, and their moments into
    /// `optimizer`.
    pub(super) fn restore<M: Module>(
        &self,
        model: M,
        optimizer: &mut RunOptimizer,
        given: &BTreeSet<String>,
    ) -> Result<M, TrainError> {
        if let Some(path) = given.difference(&self.given).next() {
            return Err(cannot(format!("`{path}` trains now, but did not")));
        }
        if let Some(path) = self.given.difference(given).next() {
            return Err(cannot(format!("`{path}` trained, but does not now")));
        }
        self.check_model(&model)?;
        trained::restore(model, optimizer, &self.trained)
    }

    /// Write the state to one file, beside `path` first and then in its place, with checksums; it
    /// is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`], [`TrainError::NotFinite`] for values that no run should go on from, or
    /// [`TrainError::Resume`] for a parameter of numbers that are not saved; what was there before
    /// is as it was.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        let time = |trained: &TrainedParam| trained.moments.as_ref().map(|moments| moments.time);
        let times: Map<String, Value> = self
            .trained
            .iter()
            .map(|(path, trained)| (path.clone(), json!(time(trained))))
            .collect();
        let about = json!({
            "version": VERSION,
            "step": self.step,
            "total_steps": self.total_steps,
            "evaluations": self.evaluations,
            "untouched": self.untouched,
            "settings": self.settings,
            "given": self.given,
            "times": times,
        });
        let mut tensors = Vec::new();
        for (path, trained) in &self.trained {
            tensors.push((parameter(path), &trained.value));
            if let Some(Moments { tensors: of, .. }) = &trained.moments {
                let moments = of.iter().enumerate();
                tensors.extend(moments.map(|(i, kept)| (moment(i, path), kept)));
            }
        }
        state_file::write(path.as_ref(), tensors, about.to_string())
    }

    /// Read a state that [`save`](Self::save) wrote. Its tensors stay in the file, which may be
    /// replaced meanwhile.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`], or [`TrainError::Resume`] for a file that is no state, or that is
    /// damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TrainError> {
        let path = path.as_ref();
        let (about, tensors) = state_file::open(path)?;
        Self::parse(&about, tensors)
            .map_err(|reason| cannot(format!("{}: {reason}", path.display())))
    }

    fn parse(about: &str, mut tensors: BTreeMap<String, LazyTensor>) -> Result<Self, String> {
        let about: Value = serde_json::from_str(about).map_err(|error| error.to_string())?;
        let field = |name: &str| {
            let value = about.get(name).cloned();
            value.ok_or_else(|| format!("it has no `{name}`"))
        };
        let version = about.get("version").unwrap_or(&Value::Null);
        if *version != VERSION {
            return Err(format!(
                "it is of version {version}, and this program reads version {VERSION}: go on with the one that wrote it"
            ));
        }
        let number = |name: &str| {
            let value = field(name)?.as_u64().map(|value| value as usize);
            value.ok_or_else(|| format!("`{name}` is no number"))
        };
        let (times, settings) = (field("times")?, field("settings")?);
        let mut trained = BTreeMap::new();
        for (path, time) in times.as_object().ok_or("`times` is no table")? {
            let moments = match time {
                Value::Null => None,
                time => Some(Moments {
                    time: time
                        .as_u64()
                        .and_then(|time| i32::try_from(time).ok())
                        .filter(|time| *time > 0)
                        .ok_or_else(|| format!("`{path}` has trained {time} steps"))?
                        as usize,
                    tensors: (0..)
                        .map_while(|i| tensors.remove(&moment(i, path)))
                        .collect(),
                }),
            };
            let value = tensors.remove(&parameter(path));
            let value = value.ok_or_else(|| format!("it has no value of `{path}`"))?;
            trained.insert(path.clone(), TrainedParam { value, moments });
        }
        let given = field("given")?;
        let given = given.as_array().ok_or("`given` is no list")?;
        Ok(Self {
            step: number("step")?,
            total_steps: number("total_steps")?,
            evaluations: serde_json::from_value(field("evaluations")?)
                .map_err(|error| format!("`evaluations`: {error}"))?,
            untouched: field("untouched")?.as_str().unwrap_or_default().to_owned(),
            settings: settings
                .as_object()
                .ok_or("`settings` is no table")?
                .clone(),
            given: given
                .iter()
                .map(|path| {
                    path.as_str()
                        .map(str::to_owned)
                        .ok_or("a path is no string")
                })
                .collect::<Result<_, _>>()?,
            trained,
        })
    }
}

/// The name in a file of a parameter.
fn parameter(path: &str) -> String {
    format!("parameter.{path}")
}

/// That of one of its moments, from 0.
fn moment(i: usize, path: &str) -> String {
    format!("moment_{}.{path}", i + 1)
}

pub(super) fn cannot(reason: String) -> TrainError {
    TrainError::Resume { reason }
}

pub(super) fn io_error(action: &'static str, path: &Path, source: std::io::Error) -> TrainError {
    TrainError::Io {
        action,
        path: path.into(),
        source,
    }
}
