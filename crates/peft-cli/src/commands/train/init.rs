//! `--init-adapter`: a run that goes on from what another one trained, on new rows.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use peft_model::Transformer;
use peft_store::{Adaptable, AdapterConfig, Checkpoint, SavedAdapter, TrainedFormat};
use serde_json::Value;

use crate::args::{Cli, Method, TrainArgs, Verb};
use crate::commands::adapted::{attach, open};
use crate::config_file::{RESOLVED, expand};
use crate::error::CliError;

/// What a directory holds, for a run to begin with.
pub(super) struct Init {
    dir: PathBuf,
    pub(super) saved: SavedAdapter,
}

/// Put the method and the settings of `--init-adapter` into the flags; what contradicts them is an
/// error.
pub(super) fn complete(args: &mut TrainArgs) -> Result<Option<Init>, CliError> {
    let Some(dir) = args.init_adapter.clone() else {
        return Ok(None);
    };
    // A base that cannot be opened is told later.
    let base = Checkpoint::open(&args.model.model).ok();
    let saved = open(&dir, base.as_ref())?;
    let method = method(&saved)?;
    match (method, args.method) {
        (Some(method), given) => {
            if let Some(given) = given.filter(|given| *given != method) {
                return Err(CliError::Usage(format!(
                    "--method {given} is asked for, but {} was trained by {method}; leave --method out",
                    dir.display()
                )));
            }
            args.method = Some(method);
            settle(args, &saved, &dir)?;
        }
        // What trained parameters of the model itself is in the settings of its run.
        (None, None) => {
            let made = settings_of(&dir)?;
            args.method = made.method;
            args.of_method = made.of_method;
        }
        // The strategy is compared when it is made.
        (None, Some(_)) => {}
    }
    Ok(Some(Init { dir, saved }))
}

/// The method that a directory's adapter is of; none for parameters of the model itself, of which
/// the settings of their run say it.
fn method(saved: &SavedAdapter) -> Result<Option<Method>, CliError> {
    if let SavedAdapter::Trained(of) = saved
        && let TrainedFormat::Own { .. } = of.config().format
    {
        return Ok(None);
    }
    let name = saved.method();
    let name = name.as_str().unwrap_or_default();
    let method = Method::from_str(name, false).map_err(|_| {
        CliError::Usage(format!(
            "{} holds an adapter of {name}, which this command does not train",
            saved.dir().display()
        ))
    });
    method.map(Some)
}

/// The settings of an adapter are the directory's.
fn settle(args: &mut TrainArgs, saved: &SavedAdapter, dir: &Path) -> Result<(), CliError> {
    let tokens = Some(saved.n_virtual_tokens()).filter(|n| *n > 0);
    let mut dropout = None;
    if let SavedAdapter::Peft(of) = saved {
        dropout = match of.config() {
            AdapterConfig::Lora(config) => Some(config.dropout),
            AdapterConfig::AdaLora(config) => Some(config.dropout),
            AdapterConfig::Vera(config) => Some(config.dropout),
            AdapterConfig::Miss(config) => Some(config.dropout),
            AdapterConfig::Hira(config) => Some(config.dropout),
            AdapterConfig::Delora(config) => Some(config.dropout),
            AdapterConfig::Gralora(config) => Some(config.dropout),
            AdapterConfig::RandLora(config) => Some(config.dropout),
            AdapterConfig::Vblora(config) => Some(config.dropout),
            _ => None,
        };
    }
    let of = &mut args.of_method;
    // These two are known to other parts of the run by their flags, and a resumed run gives them.
    if of.virtual_tokens == tokens {
        of.virtual_tokens = None;
    }
    if of.dropout == dropout {
        of.dropout = None;
    }
    // How fast it learns is no setting of an adapter.
    let mut given = of.given().into_iter();
    if let Some((flag, _)) = given.find(|(flag, _)| *flag != "lora-plus-ratio") {
        return Err(CliError::Usage(format!(
            "--{flag} is given, but the method's settings are those of {}; leave --{flag} out",
            dir.display()
        )));
    }
    of.virtual_tokens = tokens;
    of.dropout = dropout;
    Ok(())
}

/// The flags of the run that left this directory, or the best model in it.
fn settings_of(dir: &Path) -> Result<TrainArgs, CliError> {
    let places = [Some(dir), dir.parent()].into_iter().flatten();
    let files: Vec<PathBuf> = places.map(|place| place.join(RESOLVED)).collect();
    let Some(file) = files.iter().find(|file| file.is_file()) else {
        return Err(CliError::Usage(format!(
            "{} holds parameters of a model, and no {RESOLVED} says how they were trained: say it by --method and its flags",
            dir.display()
        )));
    };
    let words = ["peft", "train", "--config"]
        .map(OsString::from)
        .into_iter();
    let words = expand(words.chain([file.into()]).collect())?;
    match Cli::read(words).map(|cli| cli.verb) {
        Ok(Some(Verb::Train(args))) => Ok(*args),
        _ => Err(CliError::Usage(format!(
            "{} holds no settings of a run",
            file.display()
        ))),
    }
}

impl Init {
    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The config of the adapter, if it is one.
    pub(super) fn adapter(&self) -> Option<&AdapterConfig> {
        let SavedAdapter::Peft(of) = &self.saved else {
            return None;
        };
        Some(of.config())
    }

    /// An error where it was trained for what the model is not run for.
    pub(super) fn check(&self, checkpoint: &Checkpoint) -> Result<(), CliError> {
        Ok(self.saved.check_task(checkpoint)?)
    }

    /// Put what was trained into a model; the paths of the base's parameters that are others now.
    pub(super) fn attach<M: Transformer>(
        &self,
        model: &mut Adaptable<M>,
        strategy: Option<Value>,
    ) -> Result<Vec<String>, CliError> {
        let dir = self.dir.display();
        if let (SavedAdapter::Trained(of), Some(now)) = (&self.saved, strategy)
            && let TrainedFormat::Own { method, .. } = &of.config().format
            && *method != now
        {
            return Err(CliError::Usage(format!(
                "{dir} was trained by {method}, but the flags ask for {now}"
            )));
        }
        Ok(attach(&self.saved, model)?.replaced)
    }
}
