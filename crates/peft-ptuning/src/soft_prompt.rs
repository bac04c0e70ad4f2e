//! [`SoftPrompt`]: vectors that a model reads before its text, `[p₁ … pₙ, embed(text)]`.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use peft_core::{AttachReport, PeftError, Summary, train_whole};
use peft_model::{Context, InputAdapter, Transformer, WithInput};

use crate::PromptEncoder;

/// A model with a soft prompt, or without.
pub type Prompted<M> = WithInput<M, SoftPrompt>;

/// Trained vectors before the embeddings of a text (Lester et al. 2021), which an encoder may make
/// (Liu et al. 2021).
#[derive(Module, Debug)]
pub struct SoftPrompt {
    /// `[n_virtual_tokens, d_model]`: the vectors, or what the encoder makes them of. In f32
    /// whatever the model's precision.
    pub inputs: Param<Tensor<2>>,
    /// What makes the vectors.
    pub encoder: Option<PromptEncoder>,
}

impl SoftPrompt {
    /// A prompt that is these vectors.
    ///
    /// # Shapes
    ///
    /// `vectors` is `[n_virtual_tokens, d_model]`.
    pub fn new(vectors: Tensor<2>) -> Self {
        Self {
            inputs: Param::from_tensor(vectors.detach().cast(DType::F32)),
            encoder: None,
        }
    }

    /// A prompt that `encoder` makes of `inputs`.
    ///
    /// # Shapes
    ///
    /// `inputs` is `[n_virtual_tokens, d_model]`.
    pub fn encoded(inputs: Tensor<2>, encoder: PromptEncoder) -> Self {
        Self {
            encoder: Some(encoder),
            ..Self::new(inputs)
        }
    }

    /// The vectors that a model reads.
    ///
    /// # Shapes
    ///
    /// `[n_virtual_tokens, d_model]`.
    pub fn vectors(&self) -> Tensor<2> {
        let inputs = self.inputs.val();
        match &self.encoder {
            Some(encoder) => encoder.forward(inputs),
            None => inputs,
        }
    }

    /// Put the prompt before `model` and freeze the model itself, but for `modules`, by suffix,
    /// which train whole under `name`. Adapters that the model has train on. `method` is what the
    /// report calls it; `max_positions` how many positions the model has, [`usize::MAX`] where
    /// there is no end.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched: a prompt that is there, has no vectors or more
    /// than there are positions, vectors that are not as wide as the embeddings, modules that are
    /// not there.
    pub fn attach<M: Transformer>(
        self,
        model: &mut Prompted<M>,
        name: &str,
        modules: &[String],
        method: &'static str,
        max_positions: usize,
    ) -> Result<AttachReport, PeftError> {
        if model.input.is_some() {
            return Err(PeftError::AlreadyThere {
                method: "soft prompt",
            });
        }
        let [n_virtual_tokens, width] = self.inputs.lazy_shape().dims();
        check_count(n_virtual_tokens, max_positions)?;
        let d_model = model.model.d_model();
        if width != d_model {
            return Err(PeftError::InvalidSetting {
                field: "the width of the prompt's vectors".into(),
                value: format!("{width}, beside embeddings of {d_model}"),
                expected: "the width of the embeddings",
            });
        }
        let trained_whole = train_whole(&mut model.model, name, modules)?;
        model.input = Some(self);
        Ok(AttachReport {
            adapter: name.into(),
            method,
            layers: Vec::new(),
            trained_whole,
            replaced: Vec::new(),
            active: true,
            summary: Summary::of(model),
            warnings: Vec::new(),
        })
    }
}

impl InputAdapter for SoftPrompt {
    const NAME: &'static str = "prompt";

    fn n_virtual_tokens(&self) -> usize {
        self.inputs.lazy_shape()[0]
    }

    fn prepare(&self, context: &mut Context) {
        context.insert(self.n_virtual_tokens());
    }

    /// The vectors before the embeddings of each row.
    fn begin(&self, embeds: Tensor<3>) -> Tensor<3> {
        let [batch, _, d_model] = embeds.dims();
        let vectors = self.vectors().cast(embeds.dtype()).unsqueeze::<3>();
        let vectors = vectors.expand([batch, self.n_virtual_tokens(), d_model]);
        Tensor::cat(vec![vectors, embeds], 1)
    }

    fn finish(&self, states: Tensor<3>) -> Tensor<3> {
        let (n, all) = (self.n_virtual_tokens(), states.dims()[1]);
        states.narrow(1, n, all - n)
    }
}

/// At least one vector, and fewer than a model has positions.
pub(crate) fn check_count(n_virtual_tokens: usize, max_positions: usize) -> Result<(), PeftError> {
    let (value, expected) = match n_virtual_tokens {
        0 => ("0".to_owned(), "at least 1"),
        n if n >= max_positions => (
            format!("{n}, of the model's {max_positions} positions"),
            "fewer, so that some are left for a text",
        ),
        _ => return Ok(()),
    };
    Err(PeftError::InvalidSetting {
        field: "the number of virtual tokens".into(),
        value,
        expected,
    })
}
