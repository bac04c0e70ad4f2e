//! [`Head`]: a new head on a frozen model, the first step of transfer learning.

use burn::module::Module;
use peft_core::{Names, ParamSet, PeftError, module_paths};
use serde_json::{Value, json};

use crate::Strategy;
use crate::chosen::ChosenParams;

/// The modules of these paths and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    modules: Vec<String>,
    chosen: ChosenParams,
}

impl Head {
    /// The modules whose path is one of `modules`, or ends in `.` and one of them.
    ///
    /// # Errors
    ///
    /// [`PeftError::Unmatched`] for one that the model does not have.
    pub fn new<M: Module, S: Into<String>>(
        model: &M,
        modules: impl IntoIterator<Item = S>,
    ) -> Result<Self, PeftError> {
        let modules: Vec<String> = modules.into_iter().map(Into::into).collect();
        let names = Names::Suffixes(modules.clone());
        let all = module_paths(model);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        names.matching("module", &all)?;
        let paths = ParamSet::Names(names).paths(model)?;
        Ok(Self {
            modules,
            chosen: ChosenParams::new(paths),
        })
    }
}

impl Strategy for Head {
    fn rate(&self, _: usize, path: &str, _: bool) -> Option<f64> {
        self.chosen.rate(path)
    }

    fn settings(&self) -> Value {
        json!({ "head": self.modules })
    }
}
