//! `--adapter [NAME=]DIR[@WEIGHT]`: adapters that act together.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use crate::error::CliError;

/// An adapter, by its directory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdapterArg {
    /// What it is called in the model.
    pub(crate) name: Option<String>,
    pub(crate) dir: PathBuf,
    /// How much of what it adds is added.
    pub(crate) weight: f64,
}

impl FromStr for AdapterArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |dir: &str| Self {
            name: None,
            dir: dir.into(),
            weight: 1.0,
        };
        // A directory's own name may look like anything.
        if Path::new(text).exists() {
            return Ok(plain(text));
        }
        let weighted = text.rsplit_once('@');
        let weighted = weighted.and_then(|(dir, weight)| Some((dir, weight.parse::<f64>().ok()?)));
        let (rest, weight) = weighted.unwrap_or((text, 1.0));
        if !weight.is_finite() {
            return Err(format!("the weight {weight} is not finite"));
        }
        let is_name = |name: &str| {
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !name.is_empty() && name.chars().all(valid)
        };
        let named = rest.split_once('=').filter(|(name, _)| is_name(name));
        let (name, dir) = match named {
            Some((name, dir)) => (Some(name.to_owned()), dir),
            None => (None, rest),
        };
        Ok(Self {
            name,
            weight,
            ..plain(dir)
        })
    }
}

/// Adapters that act together.
#[derive(Args, Clone, Default)]
pub(crate) struct AdaptersArgs {
    /// Adapter directory, as DIR, NAME=DIR, or with a weight, DIR@0.5; several act together, each
    /// on what those before it have left
    #[arg(long = "adapter", value_name = "DIR[@WEIGHT]")]
    pub(crate) adapters: Vec<AdapterArg>,
}

impl AdaptersArgs {
    /// The first one's directory.
    pub(crate) fn first(&self) -> Option<&Path> {
        self.adapters.first().map(|first| first.dir.as_path())
    }

    /// The one adapter that acts whole, or none; an error where `what` asks for no more.
    pub(crate) fn whole(&self, what: &str) -> Result<Option<&Path>, CliError> {
        match self.act_whole() {
            true => Ok(self.first()),
            false => Err(CliError::Usage(format!(
                "{what} takes one --adapter, without a weight; `peft combine` makes one of several"
            ))),
        }
    }

    /// Whether there is one at most, and it acts whole.
    pub(crate) fn act_whole(&self) -> bool {
        matches!(
            self.adapters.as_slice(),
            [] | [AdapterArg { weight: 1.0, .. }]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_weights_are_read() {
        let read = |text: &str| {
            text.parse::<AdapterArg>()
                .map(|of| (of.name, of.dir, of.weight))
        };
        let found = |name: Option<&str>, dir: &str, weight| {
            Ok((name.map(str::to_owned), PathBuf::from(dir), weight))
        };
        assert_eq!(read("runs/a"), found(None, "runs/a", 1.0));
        assert_eq!(read("runs/a@0.5"), found(None, "runs/a", 0.5));
        assert_eq!(read("b=runs/a@-2"), found(Some("b"), "runs/a", -2.0));
        assert_eq!(read("b=runs/a"), found(Some("b"), "runs/a", 1.0));
        assert_eq!(read("runs/x=1"), found(None, "runs/x=1", 1.0));
        assert_eq!(read("me@home/a"), found(None, "me@home/a", 1.0));
        assert!(read("a@inf").is_err());
    }
}
