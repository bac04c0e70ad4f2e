//! A state's file: tensors by name and a text, as safetensors.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use burn::tensor::DType;
use safetensors::tensor::{Dtype, Metadata, View};

use super::kept::Kept;
use super::state::cannot;
use crate::TrainError;

/// The name of the text among the file's metadata.
const TEXT: &str = "state";
/// As large as the header of a safetensors file may be.
const MAX_HEADER: u64 = 100_000_000;

/// Write a file, beside `path` first and then in its place, with one tensor at a time in memory.
pub(super) fn write(
    path: &Path,
    tensors: &[(String, &Kept)],
    text: String,
) -> Result<(), TrainError> {
    let io = |source| TrainError::Io {
        action: "write",
        path: path.into(),
        source,
    };
    let failure = RefCell::new(None);
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, kept) in tensors {
        let dtype = stored(kept.dtype());
        let dtype = dtype.ok_or_else(|| cannot(format!("`{name}` is of {:?}", kept.dtype())))?;
        let failure = &failure;
        let entry = Entry {
            kept,
            dtype,
            failure,
        };
        entries.push((name, entry));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    let beside = Path::new(&beside);
    // What safetensors puts in this file's place is readable by its owner alone: it is to be as any file is.
    let permissions = File::create(beside)
        .and_then(|file| file.metadata())
        .map_err(io)?
        .permissions();
    let metadata = HashMap::from([(TEXT.to_owned(), text)]);
    let written = safetensors::serialize_to_file(entries, Some(metadata), beside);
    let written = match failure.take() {
        Some(failure) => Err(failure),
        None => written.map_err(io::Error::other),
    };
    written
        .and_then(|()| fs::set_permissions(beside, permissions))
        .and_then(|()| fs::rename(beside, path))
        .map_err(|source| {
            let _ = fs::remove_file(beside);
            io(source)
        })
}

/// A tensor that is read when it is written.
struct Entry<'a> {
    kept: &'a Kept,
    dtype: Dtype,
    /// Where the first error of reading is put; zeros are written instead, to a file that is then removed.
    failure: &'a RefCell<Option<io::Error>>,
}

impl View for Entry<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.kept.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.kept.read() {
            Ok(data) => Cow::Owned(data.as_bytes().to_vec()),
            Err(error) => {
                self.failure.borrow_mut().get_or_insert(error);
                Cow::Owned(vec![0; self.data_len()])
            }
        }
    }

    fn data_len(&self) -> usize {
        self.kept.shape().iter().product::<usize>() * self.kept.dtype().size()
    }
}

/// The text of a file that [`write()`] wrote, and where its tensors are. The file is held open: what replaces it does not change them.
pub(super) fn open(path: &Path) -> Result<(String, HashMap<String, Kept>), TrainError> {
    let io = |source| TrainError::Io {
        action: "read",
        path: path.into(),
        source,
    };
    let wrong = |reason: String| cannot(format!("{}: {reason}", path.display()));
    let mut file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let mut length = [0; 8];
    if size < 8 {
        return Err(wrong(format!("it has {size} bytes")));
    }
    file.read_exact(&mut length).map_err(io)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || length > size - 8 {
        let reason = format!("its header claims {length} bytes of a file of {size}");
        return Err(wrong(reason));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(io)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| wrong(error.to_string()))?;
    let data = 8 + length;
    let end = data + metadata.data_len() as u64;
    if end != size {
        return Err(wrong(format!("its tensors end at byte {end} of {size}")));
    }
    let text = metadata
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(TEXT));
    let text = text
        .ok_or_else(|| wrong("it is no training state".into()))?
        .clone();
    let file = Arc::new(Mutex::new(file));
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let dtype = loaded(info.dtype);
        let dtype = dtype.ok_or_else(|| wrong(format!("`{name}` is of {:?}", info.dtype)))?;
        let at = data + info.data_offsets.0 as u64;
        let kept = Kept::in_file(Arc::clone(&file), at, info.shape.clone(), dtype);
        Ok((name, kept))
    });
    Ok((text, tensors.collect::<Result<_, _>>()?))
}

fn stored(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        _ => return None,
    })
}

fn loaded(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        _ => return None,
    })
}
