//! [`Examples`]: examples by their index, wherever they are.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ExampleStore;
use super::example_store::Stored;
use crate::{Digest, TrainError, TrainExample, digest_of};

/// Examples by their index: a slice of them, or an [`ExampleStore`].
pub struct Examples<'a, E>(Source<'a, E>);

enum Source<'a, E> {
    Slice(&'a [E]),
    Store(&'a dyn Stored<E>),
}

impl<E> Clone for Source<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Source<'_, E> {}

impl<E> Clone for Examples<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Examples<'_, E> {}

impl<'a, E: TrainExample> Examples<'a, E> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self.0 {
            Source::Slice(slice) => slice.len(),
            Source::Store(store) => store.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// How many tokens an example has.
    ///
    /// # Panics
    ///
    /// If there is no such example.
    pub fn length(self, index: usize) -> usize {
        match self.0 {
            Source::Slice(slice) => slice[index].length(),
            Source::Store(store) => store.length(index),
        }
    }

    /// How many tokens each has.
    pub fn lengths(self) -> Vec<usize> {
        (0..self.len()).map(|index| self.length(index)).collect()
    }

    /// How many targets an example has.
    ///
    /// # Panics
    ///
    /// If there is no such example.
    pub fn n_targets(self, index: usize) -> usize {
        match self.0 {
            Source::Slice(slice) => slice[index].n_targets(),
            Source::Store(store) => store.n_targets(index),
        }
    }

    /// An example.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] and [`TrainError::RowLost`] of a temporary file.
    ///
    /// # Panics
    ///
    /// If there is no such example.
    pub fn get(self, index: usize) -> Result<Cow<'a, E>, TrainError> {
        match self.0 {
            Source::Slice(slice) => Ok(Cow::Borrowed(&slice[index])),
            Source::Store(store) => store.get(index).map(Cow::Owned),
        }
    }

    /// Some examples.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    pub fn at(self, indices: &[usize]) -> Result<Vec<Cow<'a, E>>, TrainError> {
        indices.iter().map(|index| self.get(*index)).collect()
    }

    /// The digest of all of them, in their order.
    pub fn digest(self) -> Digest {
        match self.0 {
            Source::Slice(slice) => digest_of(slice),
            Source::Store(store) => store.digest(),
        }
    }
}

impl<'a, E> From<&'a [E]> for Examples<'a, E> {
    fn from(slice: &'a [E]) -> Self {
        Self(Source::Slice(slice))
    }
}

impl<'a, E> From<&'a Vec<E>> for Examples<'a, E> {
    fn from(examples: &'a Vec<E>) -> Self {
        Self(Source::Slice(examples))
    }
}

impl<'a, E, const N: usize> From<&'a [E; N]> for Examples<'a, E> {
    fn from(examples: &'a [E; N]) -> Self {
        Self(Source::Slice(examples))
    }
}

impl<'a, E: TrainExample + Serialize + DeserializeOwned> From<&'a ExampleStore<E>>
    for Examples<'a, E>
{
    fn from(store: &'a ExampleStore<E>) -> Self {
        Self(Source::Store(store))
    }
}

/// As references.
pub(crate) fn borrowed<'a, E: Clone>(rows: &'a [Cow<'_, E>]) -> Vec<&'a E> {
    rows.iter().map(AsRef::as_ref).collect()
}
