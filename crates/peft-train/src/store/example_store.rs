//! [`ExampleStore`]: the examples of a file, of any size.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Examples, ValueStore};
use crate::{Digest, TrainError, TrainExample};

/// Examples by their index. The first 64 MiB of them are in memory, the others in a temporary file,
/// which has no name and is gone with the store; of each, its length and its number of targets are
/// at hand.
pub struct ExampleStore<E> {
    values: ValueStore<E>,
    lengths: Vec<u32>,
    targets: Vec<u32>,
    digest: Digest,
}

impl<E: TrainExample + Serialize + DeserializeOwned> ExampleStore<E> {
    /// Keep these.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] of the temporary file.
    pub fn of(examples: impl IntoIterator<Item = E>) -> Result<Self, TrainError> {
        let mut store = Self::default();
        for example in examples {
            store.push(&example)?;
        }
        Ok(store)
    }

    /// Keep one more.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] of the temporary file.
    pub fn push(&mut self, example: &E) -> Result<(), TrainError> {
        self.values.push(example)?;
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.lengths.push(small(example.length()));
        self.targets.push(small(example.n_targets()));
        example.digest(&mut self.digest);
        Ok(())
    }

    /// All of them, in memory.
    ///
    /// # Errors
    ///
    /// As [`Examples::get`].
    pub fn to_vec(&self) -> Result<Vec<E>, TrainError> {
        (0..self.len())
            .map(|index| self.values.get(index))
            .collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// As what a run takes.
    pub fn examples(&self) -> Examples<'_, E> {
        self.into()
    }
}

impl<E: TrainExample + Serialize + DeserializeOwned> Default for ExampleStore<E> {
    fn default() -> Self {
        Self {
            values: ValueStore::default(),
            lengths: Vec::new(),
            targets: Vec::new(),
            digest: Digest::default(),
        }
    }
}

impl<E> fmt::Debug for ExampleStore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ExampleStore");
        shown
            .field("len", &self.lengths.len())
            .finish_non_exhaustive()
    }
}

/// What [`Examples`] ask of a store.
pub(super) trait Stored<E>: Sync {
    fn len(&self) -> usize;
    fn length(&self, index: usize) -> usize;
    fn n_targets(&self, index: usize) -> usize;
    fn get(&self, index: usize) -> Result<E, TrainError>;
    fn digest(&self) -> Digest;
}

impl<E: TrainExample + Serialize + DeserializeOwned> Stored<E> for ExampleStore<E> {
    fn len(&self) -> usize {
        self.lengths.len()
    }

    fn length(&self, index: usize) -> usize {
        self.lengths[index] as usize
    }

    fn n_targets(&self, index: usize) -> usize {
        self.targets[index] as usize
    }

    fn get(&self, index: usize) -> Result<E, TrainError> {
        self.values.get(index)
    }

    fn digest(&self) -> Digest {
        self.digest
    }
}
