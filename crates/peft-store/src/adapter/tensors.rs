//! [`TensorsFile`]: the tensors of a file, taken out of it one at a time, as f32.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{Layer, PeftError};
use peft_safetensors::{Dtype, ReadError, TensorPlace};

use super::AdapterFileError;
use super::key_forms::forms;
use crate::TensorProblem;
use crate::params::{in_out, shaped};
use crate::tensor_file::{read_f32, run_dtype};

/// What PEFT puts before the keys of what a model reads, and of what all layers share.
pub(super) const WRAPPED: &str = "base_model.";
/// What it puts before a layer's path: an adapter of weights wraps the model once more.
pub(crate) const WRAPPED_MODEL: &str = "base_model.model.";

/// Tensors by key, each of the shape that it has in a file.
pub(super) type NamedTensors = Vec<(String, TensorData)>;

/// A file of tensors, each of which is to be taken by what needs it.
///
/// A tensor is compared with what is asked for by the file's header; its values are read when it is
/// taken.
pub(super) struct TensorsFile {
    path: PathBuf,
    texts: HashMap<String, String>,
    places: BTreeMap<String, TensorPlace>,
    /// The file's keys by the others that each may stand for.
    forms: HashMap<String, String>,
    problems: Vec<TensorProblem>,
}

impl TensorsFile {
    pub(super) fn open(path: &Path) -> Result<Self, AdapterFileError> {
        let opened = peft_safetensors::open(path)?;
        Ok(Self {
            path: path.into(),
            texts: opened.texts,
            places: opened.tensors,
            forms: HashMap::new(),
            problems: Vec::new(),
        })
    }

    /// Know each tensor by the other forms of its key too, unless the file has one of that key.
    pub(super) fn with_forms(mut self, prefix: &str, tensors: &[&str]) -> Self {
        for key in self.places.keys() {
            for form in forms(key, prefix, tensors) {
                self.forms.entry(form).or_insert_with(|| key.clone());
            }
        }
        self
    }

    /// The file's key for this one.
    fn own_key(&self, key: &str) -> Option<String> {
        let has = |key: &&str| self.places.contains_key(*key);
        let other = || self.forms.get(key).map(String::as_str).filter(has);
        Some(key).filter(has).or_else(other).map(str::to_owned)
    }

    /// The tensors that have not been taken.
    pub(super) fn places(&self) -> &BTreeMap<String, TensorPlace> {
        &self.places
    }

    /// A text of the file's header.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// The largest rank that a tensor has whose key has this in it.
    pub(super) fn largest_rank(&self, within: &str) -> Option<usize> {
        let tensors = self.places.iter().filter(|(key, _)| key.contains(within));
        // Of a kernel all axes but the first are one side of a matrix.
        let rank = |shape: &[usize]| match shape {
            [] => 0,
            [only] => *only,
            [first, others @ ..] => {
                let inputs = others
                    .iter()
                    .fold(1, |all: usize, side| all.saturating_mul(*side));
                inputs.min(*first)
            }
        };
        tensors.map(|(_, place)| rank(place.shape())).max()
    }

    /// Whether the file has this tensor, in this shape and a precision that is read; what is not so
    /// is a problem.
    pub(super) fn has(&mut self, key: &str, shape: &[usize]) -> bool {
        self.fits(key, shape, |place| {
            let read = run_dtype(place.dtype()).is_some();
            (!read).then(|| TensorProblem::Dtype {
                key: place.key().into(),
                found: format!("{:?}", place.dtype()),
            })
        })
    }

    /// The same, where `wrong` says what a tensor's precision is not.
    fn fits(
        &mut self,
        key: &str,
        shape: &[usize],
        wrong: impl Fn(&TensorPlace) -> Option<TensorProblem>,
    ) -> bool {
        let own = self.own_key(key);
        let place = own.as_ref().and_then(|own| self.places.get(own));
        let problem = match place {
            None => TensorProblem::missing(key),
            Some(place) if place.shape() != shape => TensorProblem::Shape {
                key: place.key().into(),
                expected: shape.to_vec(),
                found: place.shape().to_vec(),
            },
            Some(place) => match wrong(place) {
                Some(problem) => problem,
                None => return true,
            },
        };
        self.problems.push(problem);
        if let Some(own) = own {
            self.places.remove(&own);
        }
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
        let Some(place) = self.pass_over(key) else {
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

    /// Take whole numbers from 0 on; none where that is a problem.
    fn take_indices(
        &mut self,
        key: &str,
        shape: &[usize],
    ) -> Result<Option<Vec<usize>>, AdapterFileError> {
        let not_whole = |place: &TensorPlace| TensorProblem::NotIndices {
            key: place.key().into(),
        };
        let wrong = |place: &TensorPlace| {
            let whole = width(place.dtype()).is_some();
            (!whole).then(|| not_whole(place))
        };
        if !self.fits(key, shape, wrong) {
            return Ok(None);
        }
        let Some(place) = self.pass_over(key) else {
            return Ok(None);
        };
        let mut indices = Some(Vec::with_capacity(place.shape().iter().product()));
        let (size, signed) = width(place.dtype()).unwrap_or((1, false));
        place.chunks(|bytes| {
            for bytes in bytes.chunks_exact(size) {
                let mut index = [0; 8];
                index[..size].copy_from_slice(bytes);
                let negative = signed && bytes[size - 1] & 0x80 != 0;
                let index = usize::try_from(u64::from_le_bytes(index));
                match (index, &mut indices) {
                    (Ok(index), Some(indices)) if !negative => indices.push(index),
                    _ => indices = None,
                }
            }
            indices.is_some()
        })?;
        if indices.is_none() {
            self.problems.push(not_whole(&place));
        }
        Ok(indices)
    }

    /// The values of a tensor without which nothing else is looked at.
    pub(super) fn need(
        &mut self,
        key: &str,
        shape: &[usize],
    ) -> Result<TensorData, AdapterFileError> {
        let data = self.take(key, shape)?;
        data.ok_or_else(|| self.failed())
    }

    /// The values that were taken last, if nothing is wrong with any tensor of the file.
    pub(super) fn last(mut self, data: Option<TensorData>) -> Result<TensorData, AdapterFileError> {
        match data {
            Some(data) => self.finish().map(|()| data),
            None => Err(self.failed()),
        }
    }

    /// These tensors are there, in these shapes, and no others: asked before anything of their
    /// sizes is made.
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

    /// Whether something was wrong so far.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// An error if something was wrong so far.
    pub(super) fn sound(&mut self) -> Result<(), AdapterFileError> {
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(self.failed()),
        }
    }

    /// Take a tensor without its values, if it is there.
    pub(super) fn pass_over(&mut self, key: &str) -> Option<TensorPlace> {
        self.places.remove(&self.own_key(key)?)
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

/// The tensors of a file as the layers of a model ask for them.
pub(super) struct LayerTensors<'a> {
    file: &'a mut TensorsFile,
    /// Where tensors go that are of no layer.
    device: Device,
    /// What could not be read, and is no fault of a tensor.
    failed: Option<AdapterFileError>,
}

impl<'a> LayerTensors<'a> {
    pub(super) fn new(file: &'a mut TensorsFile, layers: &[Layer]) -> Self {
        let device = layers.first().map(|layer| layer.device.clone());
        Self {
            file,
            device: device.unwrap_or_default(),
            failed: None,
        }
    }

    /// A tensor of this name of a layer, or of all layers together, of this shape; none where it is
    /// not in the file or does not fit, which is noted.
    pub(super) fn take<const D: usize>(
        &mut self,
        of: Option<&Layer>,
        name: &str,
        shape: [usize; D],
    ) -> Option<Tensor<D>> {
        let data = self.data(of, name, &shape)?;
        Some(Tensor::from_data(data, (self.device(of), DType::F32)))
    }

    /// As [`take`](Self::take), for a matrix that lies `[out, in]` in the file, which is its
    /// `shape`, or `[out, in…]` as a kernel does: as Burn has it, `[in, out]`.
    pub(super) fn matrix(
        &mut self,
        of: Option<&Layer>,
        name: &str,
        shape: impl AsRef<[usize]>,
    ) -> Option<Tensor<2>> {
        let shape = shape.as_ref();
        let data = self.data(of, name, shape)?;
        let [out, inputs @ ..] = shape else {
            return None;
        };
        let data = shaped(data, vec![*out, inputs.iter().product()]);
        Some(in_out(data, (self.device(of), DType::F32)))
    }

    /// As [`take`](Self::take), for a vector that lies under these axes.
    pub(super) fn vector(
        &mut self,
        of: Option<&Layer>,
        name: &str,
        shape: Vec<usize>,
    ) -> Option<Tensor<1>> {
        let data = self.data(of, name, &shape)?;
        let n = data.num_elements();
        let data = shaped(data, vec![n]);
        Some(Tensor::from_data(data, (self.device(of), DType::F32)))
    }

    /// As [`take`](Self::take), for whole numbers from 0 on, in the order in which they lie.
    pub(super) fn indices<const D: usize>(
        &mut self,
        of: Option<&Layer>,
        name: &str,
        shape: [usize; D],
    ) -> Option<Vec<usize>> {
        let found = self.file.take_indices(&Self::key(of, name), &shape);
        self.noted(found)
    }

    /// Take a tensor without its values, if it is there: by its name in the model, layers' paths
    /// included.
    pub(super) fn pass_over(&mut self, name: &str) {
        self.file.pass_over(&format!("{WRAPPED_MODEL}{name}"));
    }

    fn device<'b>(&'b self, of: Option<&'b Layer>) -> &'b Device {
        of.map_or(&self.device, |layer| &layer.device)
    }

    fn data(&mut self, of: Option<&Layer>, name: &str, shape: &[usize]) -> Option<TensorData> {
        let found = self.file.take(&Self::key(of, name), shape);
        self.noted(found)
    }

    fn key(of: Option<&Layer>, name: &str) -> String {
        match of {
            Some(layer) => format!("{WRAPPED_MODEL}{}.{name}", layer.path),
            None => format!("{WRAPPED}{name}"),
        }
    }

    fn noted<T>(&mut self, found: Result<Option<T>, AdapterFileError>) -> Option<T> {
        match found {
            Ok(found) => found,
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    /// An error that is no fault of a tensor.
    pub(super) fn failed(self) -> Result<(), AdapterFileError> {
        self.failed.map_or(Ok(()), Err)
    }
}

/// The bytes of a whole number, and whether it may be below zero; none of others.
fn width(dtype: Dtype) -> Option<(usize, bool)> {
    Some(match dtype {
        Dtype::U8 => (1, false),
        Dtype::I16 => (2, true),
        Dtype::I32 => (4, true),
        Dtype::I64 => (8, true),
        _ => return None,
    })
}

/// An adapter, or an error that stands for what was noted of its tensors.
pub(super) fn built<A>(adapter: Option<A>) -> Result<A, PeftError> {
    adapter.ok_or(PeftError::NoAdapter)
}
