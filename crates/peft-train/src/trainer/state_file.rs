//! A state's file: tensors by name and a text, as safetensors.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use burn::tensor::DType;
use peft_safetensors::{Dtype, Opened, ReadError, Writes};

use super::kept::Kept;
use super::state::cannot;
use crate::TrainError;

/// The name of the text in the file.
const TEXT: &str = "state";
/// What numbers are called here and in the file.
const DTYPES: [(DType, Dtype); 4] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
];

/// Write a file, beside `path` first and then in its place.
pub(super) fn write(
    path: &Path,
    tensors: Vec<(String, &Kept)>,
    text: String,
) -> Result<(), TrainError> {
    let entry = |(name, kept): (String, _)| {
        let of = Kept::dtype(kept);
        let dtype = stored(of).ok_or_else(|| cannot(format!("`{name}` is of {of:?}")))?;
        Ok((name, Entry { kept, dtype }))
    };
    let entries: Result<Vec<_>, TrainError> = tensors.into_iter().map(entry).collect();
    let texts = HashMap::from([(TEXT.to_owned(), text)]);
    peft_safetensors::write(path, texts, entries?).map_err(|source| TrainError::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

/// A tensor that is read when it is written.
struct Entry<'a> {
    kept: &'a Kept,
    dtype: Dtype,
}

impl Writes for Entry<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.kept.shape()
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let data = self.kept.read().map_err(|error| match error {
            ReadError::Io { source, .. } => source,
            error => io::Error::other(error),
        })?;
        out.write_all(data.as_bytes())
    }
}

/// The text of a file that [`write()`] wrote, and its tensors, which stay in it.
pub(super) fn open(path: &Path) -> Result<(String, BTreeMap<String, Kept>), TrainError> {
    let Opened { mut texts, tensors } = peft_safetensors::open(path).map_err(failed)?;
    let wrong = |reason: String| cannot(format!("{}: {reason}", path.display()));
    let text = texts
        .remove(TEXT)
        .ok_or_else(|| wrong("it is no training state".into()))?;
    let tensors = tensors.into_iter().map(|(name, place)| {
        let of = place.dtype();
        let dtype = loaded(of).ok_or_else(|| wrong(format!("`{name}` is of {of:?}")))?;
        Ok((name, Kept::in_file(place, dtype)))
    });
    Ok((text, tensors.collect::<Result<_, TrainError>>()?))
}

/// What could not be read of a state.
pub(super) fn failed(error: ReadError) -> TrainError {
    match error {
        ReadError::Io { path, source } => TrainError::Io {
            action: "read",
            path,
            source,
        },
        ReadError::Malformed { path, reason } => cannot(format!("{}: {reason}", path.display())),
    }
}

fn stored(dtype: DType) -> Option<Dtype> {
    let of = DTYPES.iter().find(|(here, _)| *here == dtype);
    of.map(|(_, stored)| *stored)
}

fn loaded(dtype: Dtype) -> Option<DType> {
    let of = DTYPES.iter().find(|(_, stored)| *stored == dtype);
    of.map(|(here, _)| *here)
}
