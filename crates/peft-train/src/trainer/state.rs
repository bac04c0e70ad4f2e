//! [`TrainState`]: what a run needs to go on to the same bits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::Module;
use peft_layerwise::Strategy;
use serde_json::{Map, Value, json};

use super::TrainConfig;
use super::adamw::{AdamW, Moments};
use super::kept::Kept;
use super::stages::Stages;
use super::state_file;
use super::trained::{self, Trained};
use crate::{Digest, TrainError, TrainExample};

/// The settings that may differ between a run and the one that goes on from it: they decide nothing that is trained.
const FREE: [&str; 1] = ["eval_every"];

/// The state of a run between two steps: the parameters that train, the optimizer's moments, and how far the run is.
///
/// Order of rows, learning rate and dropout masks follow from the settings and the step. What is frozen is not kept: the model that a run goes on with
/// must hold it. A state fits only a run of the same settings and rows, which is checked.
///
/// It holds handles, to tensors where they are or to places in its file: to save it, or to go on from it, reads one tensor at a time.
#[derive(Debug, Clone)]
pub struct TrainState {
    step: usize,
    best_loss: Option<f64>,
    settings: Map<String, Value>,
    /// What trained in the model that the run was given.
    given: BTreeSet<String>,
    /// What has trained in the run, by path.
    trained: BTreeMap<String, Trained>,
}

impl TrainState {
    /// Steps done.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The lowest validation loss so far.
    pub fn best_loss(&self) -> Option<f64> {
        self.best_loss
    }

    /// Whether a run of these settings and rows can go on from here.
    ///
    /// # Errors
    ///
    /// [`TrainError::Resume`] for the first setting that differs.
    pub fn check<E: TrainExample>(
        &self,
        config: &TrainConfig,
        examples: &[E],
    ) -> Result<(), TrainError> {
        self.check_settings(&of_rows(config, examples))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.trained.keys().map(String::as_str)
    }

    pub(super) fn check_settings(&self, settings: &Map<String, Value>) -> Result<(), TrainError> {
        for (name, now) in settings {
            let then = self.settings.get(name).unwrap_or(&Value::Null);
            if then != now && !FREE.contains(&name.as_str()) {
                return Err(cannot(format!("`{name}` was {then}, but is {now} now")));
            }
        }
        Ok(())
    }

    pub(super) fn capture<M: Module>(
        model: &M,
        step: usize,
        best_loss: Option<f64>,
        stages: &Stages<'_>,
        settings: &Map<String, Value>,
    ) -> Self {
        Self {
            step,
            best_loss,
            settings: settings.clone(),
            given: stages.given().clone(),
            trained: trained::capture(model, stages.adamw(), stages.touched()),
        }
    }

    /// Puts the parameters into `model`, in which `given` trains, and their moments into `adamw`.
    pub(super) fn restore<M: Module>(
        &self,
        model: M,
        adamw: &mut AdamW,
        given: &BTreeSet<String>,
    ) -> Result<M, TrainError> {
        if let Some(path) = given.difference(&self.given).next() {
            return Err(cannot(format!("`{path}` trains now, but did not")));
        }
        if let Some(path) = self.given.difference(given).next() {
            return Err(cannot(format!("`{path}` trained, but does not now")));
        }
        trained::restore(model, adamw, &self.trained)
    }

    /// Write the state to one file, beside `path` first and then in its place.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`], or [`TrainError::Resume`] for a parameter of numbers that are not saved.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        let time = |trained: &Trained| trained.moments.as_ref().map(|moments| moments.time);
        let times: Map<String, Value> = self
            .trained
            .iter()
            .map(|(path, trained)| (path.clone(), json!(time(trained))))
            .collect();
        let about = json!({
            "step": self.step,
            "best_loss": self.best_loss,
            "settings": self.settings,
            "given": self.given,
            "times": times,
        });
        let mut tensors = Vec::new();
        for (path, trained) in &self.trained {
            let [value, moment_1, moment_2] = names(path);
            tensors.push((value, &trained.value));
            if let Some(Moments { both, .. }) = &trained.moments {
                tensors.extend([moment_1, moment_2].into_iter().zip(both));
            }
        }
        state_file::write(path.as_ref(), tensors, about.to_string())
    }

    /// Read a state that [`save`](Self::save) wrote. Its tensors stay in the file, which may be replaced meanwhile.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`], or [`TrainError::Resume`] for a file that is no state.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TrainError> {
        let path = path.as_ref();
        let (about, tensors) = state_file::open(path)?;
        Self::parse(&about, tensors)
            .map_err(|reason| cannot(format!("{}: {reason}", path.display())))
    }

    fn parse(about: &str, mut tensors: BTreeMap<String, Kept>) -> Result<Self, String> {
        let about: Value = serde_json::from_str(about).map_err(|error| error.to_string())?;
        let field = |name: &str| {
            let value = about.get(name).cloned();
            value.ok_or_else(|| format!("it has no `{name}`"))
        };
        let (step, times, settings) = (field("step")?, field("times")?, field("settings")?);
        let mut tensor = |name: &str| {
            let tensor = tensors.remove(name);
            tensor.ok_or_else(|| format!("it has no `{name}`"))
        };
        let mut trained = BTreeMap::new();
        for (path, time) in times.as_object().ok_or("`times` is no table")? {
            let [value, moment_1, moment_2] = names(path);
            let moments = match time {
                Value::Null => None,
                time => Some(Moments {
                    time: time
                        .as_u64()
                        .and_then(|time| i32::try_from(time).ok())
                        .filter(|time| *time > 0)
                        .ok_or_else(|| format!("`{path}` has trained {time} steps"))?
                        as usize,
                    both: [tensor(&moment_1)?, tensor(&moment_2)?],
                }),
            };
            let value = tensor(&value)?;
            trained.insert(path.clone(), Trained { value, moments });
        }
        let given = field("given")?;
        let given = given.as_array().ok_or("`given` is no list")?;
        Ok(Self {
            step: step.as_u64().ok_or("`step` is no number")? as usize,
            best_loss: field("best_loss")?.as_f64(),
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

/// The names in a file of a parameter and of its moments.
fn names(path: &str) -> [String; 3] {
    ["parameter", "moment_1", "moment_2"].map(|what| format!("{what}.{path}"))
}

/// What decides the course of a run beside the model: its settings, a digest of its rows, what it minimises, and what trains when.
pub(super) fn settings<E: TrainExample>(
    config: &TrainConfig,
    examples: &[E],
    objective: &str,
    strategy: &dyn Strategy,
) -> Map<String, Value> {
    let mut settings = of_rows(config, examples);
    settings.insert("objective".into(), json!(objective));
    settings.insert("strategy".into(), strategy.settings());
    settings
}

fn of_rows<E: TrainExample>(config: &TrainConfig, examples: &[E]) -> Map<String, Value> {
    let mut settings = match json!(config) {
        Value::Object(settings) => settings,
        _ => Map::new(),
    };
    let mut digest = Digest::default();
    for example in examples {
        example.digest(&mut digest);
    }
    settings.insert("digest of the rows".into(), json!(digest.to_string()));
    settings
}

pub(super) fn cannot(reason: String) -> TrainError {
    TrainError::Resume { reason }
}
