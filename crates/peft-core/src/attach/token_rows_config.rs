//! [`TokenRowsConfig`]: chosen rows of an embedding that train, and nothing beside.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::{
    AttachReport, Layer, LayerKind, PeftError, Placed, Placement, Targets, TokenChoice, TokenRows,
    attach,
};

/// Rows of an embedding that train alone: PEFT's `TRAINABLE_TOKENS`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenRowsConfig {
    /// The rows, each once.
    pub tokens: Vec<u32>,
    /// Which embedding, and what trains beside.
    pub placement: Placement,
}

impl Placed for TokenRowsConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl TokenRowsConfig {
    /// These rows of the embedding at `path`, which may be its last names.
    pub fn new(tokens: impl IntoIterator<Item = u32>, path: impl Into<String>) -> Self {
        Self {
            tokens: tokens.into_iter().collect(),
            placement: Placement::new(Targets::suffixes([path])),
        }
    }

    /// Attach to `model` under `name`, the rows as they are. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, TokenRows::of)
    }

    /// As [`attach`](Self::attach), with the rows that `build` makes: of a file's tensor, for
    /// instance.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, &TokenChoice) -> Result<TokenRows, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let choice = TokenChoice::new(self.tokens.iter().copied());
        let supported = [LayerKind::Embedding];
        attach(model, name, &self.placement, &supported, |layers| {
            layers.iter().map(|layer| build(layer, &choice)).collect()
        })
    }
}
