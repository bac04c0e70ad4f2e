//! [`PrefixConfig`]: what to put before a model's text.

use burn::tensor::{DType, Device, Tensor};
use peft_core::{AttachReport, PeftError};
use peft_model::Transformer;
use serde::{Deserialize, Serialize};

use crate::prefix::{no_positions, wrong};
use crate::{Prefix, PrefixInit, PrefixProjection, PrefixShape, Prefixed, init};

/// A prefix for a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrefixConfig {
    /// How many positions the prefix has.
    pub n_virtual_tokens: usize,
    /// Width inside the projection through which the prefix is trained. Default: none, the keys and
    /// values are trained by themselves.
    pub projection: Option<usize>,
    /// What the prefix starts from. Default: [`PrefixInit::Random`].
    pub init: PrefixInit,
    /// Modules, by suffix, that train whole beside it: a fresh head for instance. Default: none.
    #[serde(alias = "modules_to_save")]
    pub whole_modules: Vec<String>,
}

impl PrefixConfig {
    /// A prefix of so many positions whose keys and values are trained by themselves, from small
    /// random ones.
    pub fn new(n_virtual_tokens: usize) -> Self {
        Self {
            n_virtual_tokens,
            projection: None,
            init: PrefixInit::Random,
            whole_modules: Vec::new(),
        }
    }

    /// Train the prefix through a projection of this width inside. PEFT's default is the width of a
    /// layer's keys, [`PrefixShape::width`].
    pub fn with_projection(mut self, hidden: usize) -> Self {
        self.projection = Some(hidden);
        self
    }

    /// What the prefix starts from.
    pub fn with_init(mut self, init: PrefixInit) -> Self {
        self.init = init;
        self
    }

    /// Modules that train whole, by suffix.
    pub fn with_whole_modules<S: Into<String>>(
        mut self,
        modules: impl IntoIterator<Item = S>,
    ) -> Self {
        self.whole_modules = modules.into_iter().map(Into::into).collect();
        self
    }

    /// Put a fresh prefix before `model`, and freeze the model itself; `name` is what the modules
    /// that train whole are called by. Adapters that the model has train on.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched: settings that cannot be, more positions than the
    /// model has, tokens that it does not know, a prefix that is there.
    pub fn attach<M: Transformer>(
        &self,
        model: &mut Prefixed<M>,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        let (limit, vocabulary) = (model.model.max_positions(), model.model.vocab_size());
        if self.n_virtual_tokens >= limit {
            return Err(wrong(
                "the number of virtual tokens",
                format!(
                    "{}, of the model's {limit} positions",
                    self.n_virtual_tokens
                ),
                "fewer, so that some are left for a text",
            ));
        }
        if let PrefixInit::Tokens(ids) = &self.init
            && let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary)
        {
            return Err(wrong(
                "a token of the prefix's init",
                format!("{id}, of a vocabulary of {vocabulary}"),
                "in the vocabulary",
            ));
        }
        self.check()?;
        Prefix::check_place(model)?;
        let prefix = self.init(&model.model)?;
        prefix.attach(model, name, &self.whole_modules)
    }

    fn check(&self) -> Result<(), PeftError> {
        if self.n_virtual_tokens == 0 {
            return Err(no_positions());
        }
        if self.projection == Some(0) {
            return Err(wrong("the projection's width", "0".into(), "at least 1"));
        }
        self.init.check(self.projection.is_some())
    }

    fn init<M: Transformer>(&self, model: &M) -> Result<Prefix, PeftError> {
        let shape = PrefixShape::of(model);
        let device = &model.devices().into_iter().next().unwrap_or_default();
        let n = self.n_virtual_tokens;
        let embedding = match &self.init {
            PrefixInit::Tokens(ids) => {
                let data = init::read(&model.valid(), &shape, ids, n)?;
                Tensor::from_data(data, (device, DType::F32))
            }
            init => self.fresh(init, shape, device),
        };
        let zero = self.init == PrefixInit::Zero;
        let projection = self
            .projection
            .map(|hidden| PrefixProjection::fresh(&shape, hidden, zero, device));
        Prefix::new(embedding, projection, shape)
    }

    fn fresh(&self, init: &PrefixInit, shape: PrefixShape, device: &Device) -> Tensor<2> {
        let n = self.n_virtual_tokens;
        match (self.projection, init) {
            (None, PrefixInit::Zero) => {
                Tensor::zeros([n, shape.flat_width()], (device, DType::F32))
            }
            (None, _) => init::random(n, shape.flat_width(), false, device),
            (Some(_), _) => init::random(n, shape.width(), true, device),
        }
    }
}
