//! [`write_tensors`]: a safetensors file, with one of its tensors at a time in memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, View};

use super::layout::transpose;
use crate::params::stored_params;

/// A tensor that is read, converted and laid out as a file has it when it is written.
pub(crate) struct Stored {
    /// In the file's layout.
    shape: Vec<usize>,
    dtype: DType,
    /// Whether what is read lies the other way round.
    transposed: bool,
    read: Box<dyn Fn() -> TensorData>,
}

impl Stored {
    /// Values that are at hand, in the precision that they have.
    #[cfg(feature = "adapters")]
    pub(crate) fn of(shape: Vec<usize>, data: TensorData) -> Self {
        Self {
            shape,
            dtype: data.dtype(),
            transposed: false,
            read: Box::new(move || data.clone()),
        }
    }

    /// In another precision.
    #[cfg(feature = "models")]
    pub(crate) fn in_dtype(self, dtype: DType) -> Self {
        Self { dtype, ..self }
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            DType::BF16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let data = (self.read)().convert_dtype(match self.dtype {
            DType::BF16 | DType::F16 => self.dtype,
            _ => DType::F32,
        });
        let bytes = data.as_bytes();
        Cow::Owned(match (self.transposed, self.shape.as_slice()) {
            // What is stored as [out, in] is held as [in, out].
            (true, &[d_out, d_in]) => transpose(bytes, d_in, d_out, data.dtype().size()),
            _ => bytes.to_vec(),
        })
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype().bitsize() / 8
    }
}

/// The model's own parameters that are `wanted`, by path, in the precision that they have.
pub(crate) fn stored_tensors<M: Module>(
    model: &M,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, Stored> {
    let own = stored_params(model).into_iter();
    let own = own.filter(|param| wanted(&param.path));
    let mut collect = Collect {
        path: Vec::new(),
        transposed: own.map(|param| (param.path, param.transposed)).collect(),
        found: BTreeMap::new(),
    };
    model.visit(&mut collect);
    collect.found
}

struct Collect {
    path: Vec<String>,
    transposed: HashMap<String, bool>,
    found: BTreeMap<String, Stored>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        let Some(transposed) = self.transposed.get(&path).copied() else {
            return;
        };
        let tensor = param.base();
        let mut shape = tensor.dims().to_vec();
        if transposed {
            shape.reverse();
        }
        let stored = Stored {
            shape,
            dtype: tensor.dtype(),
            transposed,
            read: Box::new(move || tensor.clone().into_data()),
        };
        self.found.insert(path, stored);
    }
}

/// Write tensors by key, beside their place and then in it.
///
/// # Errors
///
/// Those of the file.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Stored)>,
) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = Path::new(&beside);
    // What safetensors puts in this file's place is readable by its owner alone: it is to be as any file is.
    let permissions = File::create(beside)?.metadata()?.permissions();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = safetensors::serialize_to_file(tensors, Some(metadata), beside);
    let written = written.map_err(|error| match error {
        SafeTensorError::IoError(error) => error,
        error => io::Error::other(error),
    });
    written
        .and_then(|()| fs::set_permissions(beside, permissions))
        .and_then(|()| fs::rename(beside, path))
        .inspect_err(|_| drop(fs::remove_file(beside)))
}
