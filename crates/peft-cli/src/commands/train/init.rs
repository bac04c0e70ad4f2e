//! `--init-adapter`: a run that goes on from what another one trained, on new rows.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use peft_core::Transformer;
use peft_store::{AdapterConfig, Checkpoint, TrainedFormat};
use serde_json::Value;

use crate::args::{Cli, Method, TrainArgs, Verb};
use crate::commands::adapted::{Adapted, Saved};
use crate::config_file::{RESOLVED, expand};
use crate::error::CliError;

/// What a directory holds, for a run to begin with.
pub(super) struct Init {
    dir: PathBuf,
    pub(super) saved: Saved,
}

/// Put the method and the settings of `--init-adapter` into the flags; what contradicts them is an error.
pub(super) fn complete(args: &mut TrainArgs) -> Result<Option<Init>, CliError> {
    let Some(dir) = args.init_adapter.clone() else {
        return Ok(None);
    };
    // A base that cannot be opened is told later.
    let base = Checkpoint::open(&args.model.model).ok();
    let saved = Saved::open(&dir, base.as_ref())?;
    let method = match &saved {
        Saved::Adapter(of) => Some(match of.config() {
            AdapterConfig::Ia3(_) => Method::Ia3,
            AdapterConfig::PromptTuning(_) => Method::PromptTuning,
            AdapterConfig::PTuning(_) => Method::PTuning,
            AdapterConfig::Prefix(_) => Method::PrefixTuning,
            AdapterConfig::Lora(_) => Method::Lora,
            other => {
                return Err(CliError::Usage(format!(
                    "{} holds an adapter of {}, which this command does not train",
                    dir.display(),
                    other.method()
                )));
            }
        }),
        Saved::Trained(of) => match of.config().format {
            TrainedFormat::LnTuning { .. } => Some(Method::Norms),
            TrainedFormat::Own { .. } => None,
        },
    };
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

/// The settings of an adapter are the directory's.
fn settle(args: &mut TrainArgs, saved: &Saved, dir: &Path) -> Result<(), CliError> {
    let tokens = Some(saved.virtual_tokens()).filter(|n| *n > 0);
    let dropout = match saved {
        Saved::Adapter(of) => match of.config() {
            AdapterConfig::Lora(config) => Some(config.dropout),
            _ => None,
        },
        Saved::Trained(_) => None,
    };
    let of = &mut args.of_method;
    // These two are known to other parts of the run by their flags, and a resumed run gives them.
    if of.virtual_tokens == tokens {
        of.virtual_tokens = None;
    }
    if of.dropout == dropout {
        of.dropout = None;
    }
    if let Some((flag, _)) = of.given().first() {
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
        match &self.saved {
            Saved::Adapter(of) => Some(of.config()),
            Saved::Trained(_) => None,
        }
    }

    /// An error where it was trained for what the model is not run for.
    pub(super) fn check(&self, checkpoint: &Checkpoint) -> Result<(), CliError> {
        self.saved.check_task(&self.dir, checkpoint)
    }

    /// Put what was trained into a model; the paths of the base's parameters that are others now.
    pub(super) fn attach<M: Transformer>(
        &self,
        model: &mut Adapted<M>,
        strategy: Option<Value>,
    ) -> Result<Vec<String>, CliError> {
        let dir = self.dir.display();
        if let (Saved::Trained(of), Some(now)) = (&self.saved, strategy)
            && let TrainedFormat::Own { method, .. } = &of.config().format
            && *method != now
        {
            return Err(CliError::Usage(format!(
                "{dir} was trained by {method}, but the flags ask for {now}"
            )));
        }
        Ok(self.saved.attach(model)?.replaced)
    }
}
