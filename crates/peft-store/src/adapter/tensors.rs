//! [`TensorsFile`]: the tensors of a file, taken out of it one at a time, as f32.

#[cfg(feature = "inputs")]
use std::collections::HashSet;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use peft_safetensors::{ReadError, TensorPlace};

use super::{AdapterFileError, TensorProblem};
use crate::tensor_file::{read_f32, run_dtype};

/// A file of tensors, each of which is to be taken by what needs it.
///
/// A tensor is compared with what is asked for by the file's header; its values are read when it is
/// taken.
pub(super) struct TensorsFile {
    path: PathBuf,
    texts: HashMap<String, String>,
    places: BTreeMap<String, TensorPlace>,
    problems: Vec<TensorProblem>,
}

impl TensorsFile {
    pub(super) fn open(path: &Path) -> Result<Self, AdapterFileError> {
        let opened = peft_safetensors::open(path)?;
        Ok(Self {
            path: path.into(),
            texts: opened.texts,
            places: opened.tensors,
            problems: Vec::new(),
        })
    }

    /// The tensors that have not been taken.
    pub(super) fn places(&self) -> &BTreeMap<String, TensorPlace> {
        &self.places
    }

    /// A text of the file's header.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// Know each tensor whose key `own` gives another for by that one, unless the file has one of
    /// that key.
    pub(super) fn rename(&mut self, own: impl Fn(&str) -> Option<String>) {
        let keys: Vec<String> = self.places.keys().cloned().collect();
        for key in keys {
            let free = own(&key).filter(|own| !self.places.contains_key(own));
            if let (Some(own), true) = (free, self.places.contains_key(&key))
                && let Some(place) = self.places.remove(&key)
            {
                self.places.insert(own, place);
            }
        }
    }

    /// Whether the file has this tensor, in this shape and a precision that is read; what is not so
    /// is a problem.
    pub(super) fn has(&mut self, key: &str, shape: &[usize]) -> bool {
        let problem = match self.places.get(key) {
            None => TensorProblem::Missing { key: key.into() },
            Some(place) if place.shape() != shape => TensorProblem::Shape {
                key: place.key().into(),
                expected: shape.to_vec(),
                found: place.shape().to_vec(),
            },
            Some(place) if run_dtype(place.dtype()).is_none() => TensorProblem::Dtype {
                key: place.key().into(),
                found: format!("{:?}", place.dtype()),
            },
            Some(_) => return true,
        };
        self.problems.push(problem);
        self.places.remove(key);
        false
    }

    /// Take the values of the tensor of this key and shape; none where that is a problem.
    pub(super) fn take(
        &mut self,
        key: &str,
        shape: &[usize],
    ) -> Result<Option<TensorData>, AdapterFileError> {
        if !self.has(key, shape) {
            return Ok(None);
        }
        let Some(place) = self.places.remove(key) else {
            return Ok(None);
        };
        match read_f32(&place) {
            Ok(data) => Ok(Some(data)),
            Err(ReadError::NotFinite { key, .. }) => {
                self.problems.push(TensorProblem::NotFinite { key });
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The values of the one tensor that is asked for; others are of no interest.
    #[cfg(feature = "inputs")]
    pub(super) fn only(
        mut self,
        key: &str,
        shape: &[usize],
    ) -> Result<TensorData, AdapterFileError> {
        let data = self.take(key, shape)?;
        self.places.clear();
        self.last(data)
    }

    /// The values that were taken last, if nothing is wrong with any tensor of the file.
    #[cfg(feature = "inputs")]
    pub(super) fn last(mut self, data: Option<TensorData>) -> Result<TensorData, AdapterFileError> {
        match data {
            Some(data) => self.finish().map(|()| data),
            None => Err(self.failed()),
        }
    }

    /// These tensors are there, in these shapes, and no others: asked before anything of their
    /// sizes is made.
    #[cfg(feature = "inputs")]
    pub(super) fn expect(
        &mut self,
        wanted: &[(String, Vec<usize>)],
    ) -> Result<(), AdapterFileError> {
        for (key, shape) in wanted {
            self.has(key, shape);
        }
        let known: HashSet<&str> = wanted.iter().map(|(key, _)| key.as_str()).collect();
        for key in self
            .places
            .keys()
            .filter(|key| !known.contains(key.as_str()))
        {
            self.problems
                .push(TensorProblem::Unexpected { key: key.clone() });
        }
        self.sound()
    }

    /// Nothing was wrong so far.
    pub(super) fn sound(&mut self) -> Result<(), AdapterFileError> {
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(self.failed()),
        }
    }

    /// Take a tensor without its values, if it is there.
    pub(super) fn pass_over(&mut self, key: &str) -> Option<TensorPlace> {
        self.places.remove(key)
    }

    pub(super) fn refuse(&mut self, problem: TensorProblem) {
        self.problems.push(problem);
    }

    /// All that was wrong, and what nothing has taken, in one error.
    pub(super) fn finish(mut self) -> Result<(), AdapterFileError> {
        for place in self.places.values() {
            let key = place.key().into();
            self.problems.push(TensorProblem::Unexpected { key });
        }
        self.sound()
    }

    fn failed(&mut self) -> AdapterFileError {
        AdapterFileError::Tensors {
            path: self.path.clone(),
            problems: std::mem::take(&mut self.problems),
        }
    }
}
