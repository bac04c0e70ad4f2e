//! [`Directory`]: what a run finds in its directory.

use std::path::Path;

use peft_train::{FoundState, StateDir};

use super::lock::Lock;
use super::run::BEST;
use crate::args::TrainArgs;
use crate::config_file::{LARGEST, RESOLVED, resolved};
use crate::error::CliError;
use crate::say::say;

/// What a run leaves when it is done, or would write over.
const HELD: [(&str, &str); 2] = [
    ("config.json", "a model"),
    ("adapter_config.json", "an adapter"),
];

/// A directory that fits what is asked for: a new run, or one to go on with.
pub(super) struct Directory {
    /// Held where there is a run already; a new directory is made, and locked, when everything else
    /// has been checked.
    pub(super) lock: Option<Lock>,
    /// The state to go on from.
    pub(super) found: Option<FoundState>,
}

/// Whether a run that ended well has left something here.
pub(super) fn holds_result(out: &Path) -> Option<&'static str> {
    let held = HELD.iter().find(|(file, _)| out.join(file).exists());
    held.map(|(_, what)| *what)
}

/// Whether the run that began in `--out` had these settings, whatever the number of its threads,
/// which is not decided yet.
pub(super) fn same_settings(args: &TrainArgs) -> Result<bool, CliError> {
    let path = args.out.join(RESOLVED);
    let text = peft_files::read_text(&path, LARGEST).map_err(|source| CliError::Io {
        action: "read",
        path,
        source,
    })?;
    let settings = |text: &str| {
        let mut table: toml::Table = text.parse().ok()?;
        table.remove("workers");
        Some(table)
    };
    let before = settings(&text);
    Ok(before.is_some() && before == settings(&resolved(args)?))
}

/// Whether a run has begun here.
pub(super) fn has_begun(out: &Path) -> bool {
    out.join(RESOLVED).exists()
}

impl Directory {
    /// One of a run that keeps nothing.
    pub(super) fn untouched() -> Self {
        Self {
            lock: None,
            found: None,
        }
    }

    /// Look at `--out`; an error where what it holds does not fit.
    pub(super) fn open(args: &TrainArgs) -> Result<Self, CliError> {
        let (dir, out) = (&args.out, args.out.display());
        let wrong = |text: String| Err(CliError::Usage(text));
        if !has_begun(dir) {
            return match (args.resume, holds_result(dir)) {
                (true, _) => wrong(format!("{out} holds no run to resume")),
                (false, Some(what)) => {
                    wrong(format!("{out} holds {what} already; name a new directory"))
                }
                (false, None) => Ok(Self {
                    lock: None,
                    found: None,
                }),
            };
        }
        let lock = Some(Lock::take(dir)?);
        let states = StateDir::new(dir);
        let kept = states.is_any() || holds_result(dir).is_some();
        if !args.resume && kept {
            return wrong(format!(
                "{out} holds a run already; name a new directory, or go on with --resume"
            ));
        }
        // What is best so far is found again by a run of the same settings, and by no other.
        if !kept && dir.join(BEST).exists() && !same_settings(args)? {
            return wrong(format!(
                "{out} holds the best model of a run that ended before it kept a state, and {RESOLVED} there says that its settings were others; name a new directory"
            ));
        }
        let found = states.load()?;
        match &found {
            None if holds_result(dir).is_some() => {
                return wrong(format!(
                    "{out} has no state to go on from: the run is done, and what it kept was removed"
                ));
            }
            None => {
                say!("an earlier run in {out} ended before it kept a state: it begins anew");
            }
            Some(found) => {
                if let Some(damaged) = &found.damaged {
                    say!("the newest state is not used: {damaged}");
                    say!("{} is, the one before it", found.path.display());
                }
            }
        }
        Ok(Self { lock, found })
    }
}
