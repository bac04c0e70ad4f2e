//! A state's file: tensors by name and a text, as safetensors, with checksums of all of them in a
//! last tensor.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use burn::tensor::DType;
use peft_files::FloatType;
use peft_safetensors::{Contents, Dtype, ReadError, Writes};

use super::checksum::{Checksum, Checksums};
use super::lazy_tensor::LazyTensor;
use super::state::{cannot, io_error};
use crate::TrainError;

/// The name of the text in the file.
const TEXT: &str = "state";
/// The name of the tensor of checksums: the last of all names, as it is written behind all others,
/// among which are bytes too. Before there were such it was called otherwise.
const SUMS: &str = "~checksums";
const OLD_SUMS: &str = "checksums";
/// What numbers are called here and in the file.
const DTYPES: [(DType, Dtype, Option<FloatType>); 5] = [
    (DType::F64, Dtype::F64, Some(FloatType::F64)),
    (DType::F32, Dtype::F32, Some(FloatType::F32)),
    (DType::F16, Dtype::F16, Some(FloatType::F16)),
    (DType::BF16, Dtype::BF16, Some(FloatType::BF16)),
    (DType::U8, Dtype::U8, None),
];

/// Write a file, beside `path` first and then in its place, and see that it is on disk.
pub(super) fn write(
    path: &Path,
    tensors: Vec<(String, &LazyTensor)>,
    text: String,
) -> Result<(), TrainError> {
    let shared = Shared::default();
    let mut sum = Checksum::new(TEXT, "");
    sum.add(text.as_bytes());
    shared.sums.borrow_mut().insert(TEXT.into(), sum);
    let parts = tensors.len() + 1;
    let entry = |(name, kept): (String, _)| {
        let of = LazyTensor::dtype(kept);
        let (dtype, float) = stored(of).ok_or_else(|| cannot(format!("`{name}` is of {of:?}")))?;
        let entry = Entry::Tensor {
            name: name.clone(),
            kept,
            dtype,
            float,
            shared: &shared,
        };
        Ok((name, entry))
    };
    let entries: Result<Vec<_>, TrainError> = tensors.into_iter().map(entry).collect();
    let mut entries = entries?;
    let sums = Entry::Sums {
        shape: [Checksums::n_bytes(parts)],
        shared: &shared,
    };
    entries.push((SUMS.to_owned(), sums));
    let texts = HashMap::from([(TEXT.to_owned(), text)]);
    let written = peft_safetensors::write(path, texts, entries);
    match (written, shared.not_finite.into_inner()) {
        (Err(_), Some(name)) => Err(TrainError::NotFinite { name }),
        (written, _) => written.map_err(|source| io_error("write", path, source)),
    }
}

/// What is found while tensors are written.
#[derive(Default)]
struct Shared {
    sums: RefCell<Checksums>,
    not_finite: RefCell<Option<String>>,
}

/// A tensor that is read when it is written; and, behind all of them as bytes are the narrowest
/// numbers, what they were.
enum Entry<'a> {
    Tensor {
        name: String,
        kept: &'a LazyTensor,
        dtype: Dtype,
        float: Option<FloatType>,
        shared: &'a Shared,
    },
    Sums {
        shape: [usize; 1],
        shared: &'a Shared,
    },
}

impl Writes for Entry<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::Tensor { dtype, .. } => *dtype,
            Self::Sums { .. } => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Tensor { kept, .. } => kept.shape(),
            Self::Sums { shape, .. } => shape,
        }
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let (name, kept, float, shared) = match self {
            Self::Sums { shared, .. } => return shared.sums.borrow().write(out),
            Self::Tensor {
                name,
                kept,
                float,
                shared,
                ..
            } => (name, kept, float, shared),
        };
        let data = kept.read().map_err(|error| match error {
            ReadError::Io { source, .. } => source,
            error => io::Error::other(error),
        })?;
        if float.is_some_and(|float| float.count_not_finite(data.as_bytes()) > 0) {
            *shared.not_finite.borrow_mut() = Some(name.clone());
            return Err(io::Error::other("a number is not finite"));
        }
        let mut sum = Checksum::new(name, &format!("{kept:?}"));
        sum.add(data.as_bytes());
        shared.sums.borrow_mut().insert(name.clone(), sum);
        out.write_all(data.as_bytes())
    }
}

/// The text of a file that [`write()`] wrote, and its tensors, which stay in it; all of it is read
/// once, and is what was written.
pub(super) fn open(path: &Path) -> Result<(String, BTreeMap<String, LazyTensor>), TrainError> {
    let Contents {
        mut texts,
        mut tensors,
    } = peft_safetensors::open(path).map_err(failed)?;
    let wrong = |reason: String| cannot(format!("{}: {reason}", path.display()));
    let text = texts
        .remove(TEXT)
        .ok_or_else(|| wrong("it is no training state".into()))?;
    let stored = tensors.remove(SUMS).or_else(|| tensors.remove(OLD_SUMS));
    let stored = stored.ok_or_else(|| {
        wrong("it has no checksums, so another version of this program wrote it".into())
    })?;
    let mut sums = Checksums::default();
    let mut sum = Checksum::new(TEXT, "");
    sum.add(text.as_bytes());
    sums.insert(TEXT.into(), sum);
    let mut found = BTreeMap::new();
    for (name, place) in tensors {
        let of = place.dtype();
        let dtype = loaded(of).ok_or_else(|| wrong(format!("`{name}` is of {of:?}")))?;
        let kept = LazyTensor::in_file(place.clone(), dtype);
        let mut sum = Checksum::new(&name, &format!("{kept:?}"));
        place
            .chunks(|bytes| {
                sum.add(bytes);
                true
            })
            .map_err(failed)?;
        sums.insert(name.clone(), sum);
        found.insert(name, kept);
    }
    let n_bytes = Checksums::n_bytes(found.len() + 1);
    if stored.dtype() != Dtype::U8 || *stored.shape() != [n_bytes] {
        return Err(wrong(
            "it is damaged: its checksums are not those of its tensors".into(),
        ));
    }
    let mut bytes = vec![0; n_bytes];
    stored.read_into(&mut bytes).map_err(failed)?;
    match sums.damaged(&bytes) {
        Some(name) => Err(wrong(format!(
            "it is damaged: `{name}` has another checksum"
        ))),
        None => Ok((text, found)),
    }
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
        error @ ReadError::NotFinite { .. } => cannot(error.to_string()),
    }
}

fn stored(dtype: DType) -> Option<(Dtype, Option<FloatType>)> {
    let of = DTYPES.iter().find(|(here, ..)| *here == dtype);
    of.map(|(_, stored, float)| (*stored, *float))
}

fn loaded(dtype: Dtype) -> Option<DType> {
    let of = DTYPES.iter().find(|(_, stored, _)| *stored == dtype);
    of.map(|(here, ..)| *here)
}
