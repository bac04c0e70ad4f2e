//! [`ModelInvariant`]: the rows of the table of models in `docs/conformance.md`.

use burn::tensor::Device;

use crate::evidence::row;
use crate::{backend, verified};

/// What is to hold of a model, so that every method is right on it, as a row of
/// `docs/conformance.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelInvariant {
    /// Its stages.
    Stages,
    /// The last block at some positions.
    Positions,
    /// Padding.
    Padding,
    /// Rows of a batch.
    Rows,
    /// Sequences of a row.
    Sequences,
    /// What a position sees.
    Sight,
    /// A cache.
    Parts,
    /// Keys and values that are given.
    Given,
    /// Embeddings.
    Embeddings,
    /// Soft prompts.
    Prompt,
    /// Its head.
    Head,
    /// LoRA on a layer.
    Lora,
    /// Adapters that no weight can express.
    Factored,
    /// LoRA merged.
    Merged,
    /// What trains.
    Trains,
    /// Copies that train.
    Copies,
    /// The places of parameters.
    Places,
    /// The top layers.
    TopLayers,
    /// The cached trunk.
    Trunk,
    /// Burn's records.
    Record,
    /// Devices, forks, validation.
    Moves,
    /// Half precision.
    HalfPrecision,
}

impl ModelInvariant {
    /// All, in the order of the rows.
    pub const ALL: [Self; 22] = [
        Self::Stages,
        Self::Positions,
        Self::Padding,
        Self::Rows,
        Self::Sequences,
        Self::Sight,
        Self::Parts,
        Self::Given,
        Self::Embeddings,
        Self::Prompt,
        Self::Head,
        Self::Lora,
        Self::Factored,
        Self::Merged,
        Self::Trains,
        Self::Copies,
        Self::Places,
        Self::TopLayers,
        Self::Trunk,
        Self::Record,
        Self::Moves,
        Self::HalfPrecision,
    ];

    /// What holds.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Stages => "Cut between any two blocks it gives the bits of the whole.",
            Self::Positions => {
                "At chosen positions alone it has the states and gradients of the whole."
            }
            Self::Padding => "Padding does not change a row.",
            Self::Rows => "A row does not depend on the rows beside it.",
            Self::Sequences => {
                "Sequences of one row do not see each other; what belongs to every sequence is seen by all."
            }
            Self::Sight => {
                "A decoder's position sees nothing that comes later; an encoder's sees both sides."
            }
            Self::Parts => {
                "Read in parts with a cache, rows of different lengths too, it gives what it gives at once, and it says when a cache no longer holds."
            }
            Self::Given => "Keys and values of a text stand where the text would.",
            Self::Embeddings => {
                "From its own embeddings, which know no positions, it gives the bits that it gives from tokens."
            }
            Self::Prompt => {
                "A prompt of tokens' embeddings stands where the tokens would, and trains alone."
            }
            Self::Head => "Its head reads the states that it says, and no others.",
            Self::Lora => {
                "On every layer LoRA can be put: fresh it changes no bit of the output, with values it changes it."
            }
            Self::Factored => "Every layer is read on the factored path.",
            Self::Merged => "LoRA merged equals LoRA unmerged.",
            Self::Trains => {
                "With LoRA exactly the adapters get gradients and change, and the base stays to the bit."
            }
            Self::Copies => {
                "A copy of any parameter acts as the parameter would, trains alone, and switched off leaves no trace."
            }
            Self::Places => "Each parameter is read by the stage that its place says.",
            Self::TopLayers => {
                "Training the top layers trains exactly them, and what is below is no part of the graph."
            }
            Self::Trunk => {
                "From states kept before any block it gives the loss and gradients of the whole, to the bit."
            }
            Self::Record => {
                "Every parameter has a path of its own, and a record restores the model bit for bit."
            }
            Self::Moves => "A move, a fork and leaving training change nothing.",
            Self::HalfPrecision => "With weights in bf16 and in f16 it is near what f32 gives.",
        }
    }

    /// The row of the table, its number first.
    pub fn row(self) -> String {
        let at = Self::ALL.iter().position(|other| *other == self);
        row(at, self.sentence())
    }

    /// Note that it was seen to hold of a model on the backend of a device: the last line of a
    /// case.
    pub fn verified(self, model: &str, device: &Device) {
        verified("model-invariants", &self.row(), model, backend(device));
    }
}
