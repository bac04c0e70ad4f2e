//! [`Pass`]: what a forward pass reads, and what is read of it.

use burn::tensor::{Int, Tensor};

/// What a forward pass reads beside its tokens, and what is read of its states.
///
/// By default each row is one sequence without padding, and the states of all of its text are read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Pass {
    /// The sequence of its row that each position belongs to, `[batch, cached + positions]`; a
    /// position sees its own sequence only, and those of
    /// [`EVERY_SEQUENCE`](crate::EVERY_SEQUENCE). So padding is a sequence of its own, and several
    /// sequences may share a row. None where each row is one.
    pub segments: Option<Tensor<2, Int>>,
    /// How many of the new positions of each row are text; what follows is padding, which is
    /// neither seen nor counted. None where all are. For rows that are one sequence each: with
    /// segments, padding is a segment.
    pub lengths: Option<Vec<usize>>,
    /// The type of each new position of the text, `[batch, positions]`, for models that have types:
    /// 1 in the second text of a pair. None where all are 0.
    pub types: Option<Tensor<2, Int>>,
    /// The largest noise at each new position of the text, `[batch, positions]`: to each number of
    /// its embedding one is added that is drawn uniformly between it and its negative. None where
    /// embeddings are read as they are.
    pub noise: Option<Tensor<2>>,
    /// Which states are read.
    pub read: Read,
}

/// Which states of a pass are read. The last block computes no others.
#[derive(Debug, Clone, Default)]
#[allow(clippy::large_enum_variant)] // a handle, of which there is one a pass
pub enum Read {
    /// Those of all of the text.
    #[default]
    Text,
    /// Those at some of the text's new positions of each row, `[batch, read]`, in this order.
    At(Tensor<2, Int>),
    /// All, also those of virtual tokens before the text.
    All,
    /// The first of all.
    First,
}

impl Pass {
    /// A pass over rows with these segments.
    pub fn new(segments: Option<Tensor<2, Int>>) -> Self {
        Self {
            segments,
            ..Self::default()
        }
    }

    /// A pass over rows of these lengths, padded on the right, one sequence each.
    pub fn of_lengths(lengths: Vec<usize>) -> Self {
        Self {
            lengths: Some(lengths),
            ..Self::default()
        }
    }

    /// The same, with these types.
    pub fn typed(self, types: Option<Tensor<2, Int>>) -> Self {
        Self { types, ..self }
    }

    /// The same, with this noise.
    pub fn noisy(self, noise: Option<Tensor<2>>) -> Self {
        Self { noise, ..self }
    }

    /// The same, with these states read.
    pub fn reading(self, read: Read) -> Self {
        Self { read, ..self }
    }
}
