//! A fixed set of parameters.

use std::collections::HashSet;

use burn::module::Module;
use peft_core::{PeftError, parameters};

use crate::Role;

/// The parameters of these paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChosenParams(HashSet<String>);

impl ChosenParams {
    pub(crate) fn new(paths: impl IntoIterator<Item = String>) -> Self {
        Self(paths.into_iter().collect())
    }

    /// The parameters whose role is among `roles`.
    pub(crate) fn by_role<M: Module>(
        model: &M,
        what: &str,
        roles: &[Role],
    ) -> Result<Self, PeftError> {
        let all = parameters(model);
        let chosen = all.iter().filter(|found| roles.contains(&Role::of(found)));
        let chosen = Self::new(chosen.map(|parameter| parameter.path.clone()));
        match chosen.0.is_empty() {
            false => Ok(chosen),
            true => Err(PeftError::Unmatched {
                what: "parameter",
                entry: what.into(),
                nearest: None,
                available: all.into_iter().map(|parameter| parameter.path).collect(),
            }),
        }
    }

    pub(crate) fn rate(&self, path: &str) -> Option<f64> {
        self.0.contains(path).then_some(1.0)
    }
}
