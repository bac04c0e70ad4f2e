//! [`Invariant`]: the rows of `docs/conformance.md`.

use burn::tensor::Device;

use crate::evidence::row;
use crate::{backend, verified};

/// What is to hold of a method, as a row of `docs/conformance.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// What starts as the base does.
    Identity,
    /// With other values it acts.
    Acts,
    /// Exactly its parameters train.
    Trains,
    /// The base stays.
    Frozen,
    /// Gradients are right.
    FiniteDifference,
    /// The two paths agree.
    Paths,
    /// The factored path is factored.
    NoDenseGradient,
    /// A merge keeps the output.
    Merged,
    /// A merge is undone.
    Unmerged,
    /// A merge that would lose something is refused.
    MergeRefused,
    /// Switching off.
    Disabled,
    /// Only what is active acts.
    Activation,
    /// Several compose.
    Composition,
    /// Strengths.
    Strength,
    /// Names that hold one another.
    Names,
    /// Taking off.
    Detached,
    /// Two of one name.
    Duplicate,
    /// Mistakes change nothing.
    Refused,
    /// Burn's records.
    Record,
    /// What trains beside it.
    Beside,
    /// Half precision.
    HalfPrecision,
    /// Selection.
    Selection,
    /// Rows of a batch.
    Rows,
    /// Embeddings.
    Embeddings,
    /// What another one leaves.
    SecondTrains,
    /// Devices, forks, validation.
    Moves,
    /// Rows that choose.
    Routed,
    /// Values swapped in place.
    Replaced,
    /// Dropout and other chance.
    Chance,
    /// Padding.
    Padding,
    /// A cache.
    Cache,
    /// Tied output layers.
    Tied,
    /// The reference implementation.
    Reference,
    /// Files.
    Files,
    /// Accumulated gradients.
    Accumulation,
    /// Resumed runs.
    Resumed,
    /// What trains when.
    Stages,
    /// Learning rates.
    Schedule,
    /// Gradient checkpointing.
    Checkpointing,
    /// Bases in blocks.
    Packed,
}

impl Invariant {
    /// All, in the order of the rows.
    pub const ALL: [Self; 40] = [
        Self::Identity,
        Self::Acts,
        Self::Trains,
        Self::Frozen,
        Self::FiniteDifference,
        Self::Paths,
        Self::NoDenseGradient,
        Self::Merged,
        Self::Unmerged,
        Self::MergeRefused,
        Self::Disabled,
        Self::Activation,
        Self::Composition,
        Self::Strength,
        Self::Names,
        Self::Detached,
        Self::Duplicate,
        Self::Refused,
        Self::Record,
        Self::Beside,
        Self::HalfPrecision,
        Self::Selection,
        Self::Rows,
        Self::Embeddings,
        Self::SecondTrains,
        Self::Moves,
        Self::Routed,
        Self::Replaced,
        Self::Chance,
        Self::Padding,
        Self::Cache,
        Self::Tied,
        Self::Reference,
        Self::Files,
        Self::Accumulation,
        Self::Resumed,
        Self::Stages,
        Self::Schedule,
        Self::Checkpointing,
        Self::Packed,
    ];

    /// What holds.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Identity => "Fresh, it changes no bit of the output.",
            Self::Acts => {
                "With other values it changes the output on every layer that it is on, and all stays finite."
            }
            Self::Trains => {
                "In training exactly its parameters get a gradient, and every one of them changes."
            }
            Self::Frozen => "The base is bit-identical after training.",
            Self::FiniteDifference => {
                "Its gradients in f64 are the finite differences of the loss."
            }
            Self::Paths => "The factored path and the weight path agree, in outputs and gradients.",
            Self::NoDenseGradient => "The factored path forms no gradient of a weight's shape.",
            Self::Merged => "Merged equals unmerged, and what is merged is a plain model.",
            Self::Unmerged => "Undoing a merge gives the bits from before.",
            Self::MergeRefused => {
                "Merging twice, with idle adapters or to values that are not finite is refused and changes nothing."
            }
            Self::Disabled => {
                "Switched off it is the base to the bit, after training too; on again it is what it was."
            }
            Self::Activation => {
                "The first acts at once, a second one waits until it is activated and then acts alone."
            }
            Self::Composition => "Several act like functions, in the order of activation.",
            Self::Strength => "A strength w gives y + w (y' - y), for any w.",
            Self::Names => "Names that contain one another are told apart.",
            Self::Detached => "Taken off, nothing of it remains and the base is what it was.",
            Self::Duplicate => "A name that is taken is refused, and nothing changes.",
            Self::Refused => {
                "What cannot be attached is refused by name, and the model is as it was."
            }
            Self::Record => "A record of the model holds it and restores it bit for bit.",
            Self::Beside => {
                "Biases and modules that train beside it are copies: they merge, and switched off they are the base's."
            }
            Self::HalfPrecision => {
                "On a bf16 or f16 base it stays f32; a merge rounds once, to the base's type."
            }
            Self::Selection => "It goes on the chosen layers and on no other.",
            Self::Rows => "A row does not depend on the rows beside it.",
            Self::Embeddings => "It adapts embeddings as it does linear layers.",
            Self::SecondTrains => {
                "Attaching or activating another one does not change what of the first trains."
            }
            Self::Moves => "A move, a fork and leaving training keep it.",
            Self::Routed => {
                "A row of a batch of several adapters gives what it gives in a batch of its own adapter."
            }
            Self::Replaced => {
                "Put in the place of another one it acts as that one did, with its own values."
            }
            Self::Chance => "Dropout acts in training alone, and a seed decides it.",
            Self::Padding => "Padding does not change a row.",
            Self::Cache => "Read in parts with a cache it gives what it gives at once.",
            Self::Tied => {
                "On an embedding it leaves the output layer that is tied to it as it is, merged too."
            }
            Self::Reference => {
                "Logits, losses and gradients are those of the reference implementation."
            }
            Self::Files => {
                "Files of the reference implementation are read, and written ones are read back bit for bit."
            }
            Self::Accumulation => "Accumulated batches give the update of the large one.",
            Self::Resumed => "A run that is interrupted goes on to the same bits.",
            Self::Stages => {
                "At every stage of a strategy exactly the parameters that it names change."
            }
            Self::Schedule => "The learning rate of each step is that of the schedule.",
            Self::Checkpointing => {
                "Gradients are bit for bit those without gradient checkpointing."
            }
            Self::Packed => {
                "On a base in blocks of four or eight bits it has the outputs and gradients that it has on their dense values, and leaves the blocks."
            }
        }
    }

    /// The row of the table, its number first.
    pub fn row(self) -> String {
        let at = Self::ALL.iter().position(|other| *other == self);
        row(at, self.sentence())
    }

    /// Note that it was seen to hold of a method on the backend of a device: the last line of a
    /// case.
    pub fn verified(self, method: &str, device: &Device) {
        verified("conformance", &self.row(), method, backend(device));
    }
}
