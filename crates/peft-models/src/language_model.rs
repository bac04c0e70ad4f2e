//! [`LanguageModel`]: a decoder of any family.

use burn::tensor::{Device, Tensor};
use peft_core::slots;
use peft_model::{CausalLm, Stages, Transformer};

use crate::transparent::transparent_module;
use crate::{DecoderConfig, DecoderForCausalLm, Gpt2Config, Gpt2LmHeadModel, ModelConfigError};

/// A model that predicts the next token, of whatever family; the paths of its parameters are those
/// of the model in it.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum LanguageModel {
    /// Llama and those after it.
    Decoder(DecoderForCausalLm),
    /// GPT-2.
    Gpt2(Gpt2LmHeadModel),
}

transparent_module!(LanguageModel { Decoder, Gpt2 });

impl Transformer for LanguageModel {
    fn stages(&self) -> &dyn Stages {
        match self {
            Self::Decoder(model) => model,
            Self::Gpt2(model) => model,
        }
    }
}

/// The sizes of a [`LanguageModel`].
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum LanguageModelConfig {
    /// Llama and those after it.
    Decoder(DecoderConfig),
    /// GPT-2.
    Gpt2(Gpt2Config),
}

impl LanguageModelConfig {
    /// Whether a model can be made of this.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be.
    pub fn validate(&self) -> Result<(), ModelConfigError> {
        match self {
            Self::Decoder(config) => config.validate(),
            Self::Gpt2(config) => config.validate(),
        }
    }

    /// A model with fresh weights. Parameters are initialised when first read.
    pub fn init(&self, device: &Device) -> LanguageModel {
        match self {
            Self::Decoder(config) => LanguageModel::Decoder(config.init(device)),
            Self::Gpt2(config) => LanguageModel::Gpt2(config.init(device)),
        }
    }

    /// The same sizes, with an output layer that is the transposed embedding or one of its own.
    pub fn with_tied_head(mut self, tied: bool) -> Self {
        match &mut self {
            Self::Decoder(config) => config.tie_word_embeddings = tied,
            Self::Gpt2(config) => config.tie_word_embeddings = tied,
        }
        self
    }

    /// Whether the output layer is the transposed embedding.
    pub fn has_tied_head(&self) -> bool {
        match self {
            Self::Decoder(config) => config.tie_word_embeddings,
            Self::Gpt2(config) => config.tie_word_embeddings,
        }
    }

    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Decoder(config) => config.vocab_size,
            Self::Gpt2(config) => config.vocab_size,
        }
    }

    /// The longest sequence that the model is made for.
    pub fn max_positions(&self) -> usize {
        match self {
            Self::Decoder(config) => config.max_positions,
            Self::Gpt2(config) => config.max_positions,
        }
    }

    /// How many blocks there are.
    pub fn n_layers(&self) -> usize {
        match self {
            Self::Decoder(config) => config.n_layers,
            Self::Gpt2(config) => config.n_layers,
        }
    }
}

impl LanguageModel {
    /// The sizes.
    pub fn config(&self) -> LanguageModelConfig {
        match self {
            Self::Decoder(model) => LanguageModelConfig::Decoder(model.config().clone()),
            Self::Gpt2(model) => LanguageModelConfig::Gpt2(model.config().clone()),
        }
    }

    /// Give a tied output layer weights of its own, equal to the embedding's base.
    ///
    /// An adapter on the embedding does not change a tied output layer; once it is merged into the
    /// embedding, the two differ: see [`untie_if_adapted`](Self::untie_if_adapted).
    pub fn untie(self) -> Self {
        match self {
            Self::Decoder(model) => Self::Decoder(model.untie()),
            Self::Gpt2(model) => Self::Gpt2(model.untie()),
        }
    }

    /// As [`untie`](Self::untie), where adapters are on the embedding: to be done before they are
    /// merged, or the output layer would change with it.
    pub fn untie_if_adapted(self) -> Self {
        let embedding = format!("{}.weight", self.embedding_path());
        let apart = slots(&self)
            .iter()
            .any(|(path, slot)| *path == embedding && slot.leaves_tied());
        match apart {
            true => self.untie(),
            false => self,
        }
    }

    /// The path of the token embedding.
    pub fn embedding_path(&self) -> &'static str {
        match self {
            Self::Decoder(_) => "model.embed_tokens",
            Self::Gpt2(_) => "transformer.wte",
        }
    }
}

impl CausalLm for LanguageModel {
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Decoder(model) => model.logits(hidden),
            Self::Gpt2(model) => model.logits(hidden),
        }
    }
}
