//! [`Matching`]: parameters by a regular expression.

use burn::module::Module;
use peft_core::{Names, ParamSet, PeftError};
use serde_json::{Value, json};

use crate::Strategy;
use crate::chosen::ChosenParams;

/// The parameters whose whole path, or that of a module around them, matches a regular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    pattern: String,
    chosen: ChosenParams,
}

impl Matching {
    /// The parameters that `pattern` chooses.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidRegex`], or [`PeftError::Unmatched`] where it chooses none.
    pub fn new<M: Module>(model: &M, pattern: impl Into<String>) -> Result<Self, PeftError> {
        let pattern = pattern.into();
        let paths = ParamSet::Names(Names::Regex(pattern.clone())).paths(model)?;
        Ok(Self {
            pattern,
            chosen: ChosenParams::new(paths),
        })
    }
}

impl Strategy for Matching {
    fn rate(&self, _: usize, path: &str, _: bool) -> Option<f64> {
        self.chosen.rate(path)
    }

    fn settings(&self) -> Value {
        json!({ "matching": self.pattern })
    }
}
