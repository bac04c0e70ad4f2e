//! [`open`]: where the tensors of a file are.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use safetensors::tensor::{Dtype, Metadata};

/// As large as the header of a safetensors file may be.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes that [`TensorPlace::chunks`] reads at once: a multiple of every element's size.
const CHUNK: usize = 4 << 20;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system says so.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no sound safetensors file.
    #[error("{} is no sound safetensors file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Values of a tensor that are no finite numbers.
    #[error("{}: {count} of the {total} values of `{key}` are NaN or infinite in {dtype}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// How many there are.
        count: usize,
        /// Of how many.
        total: usize,
        /// The precision that they are read in.
        dtype: &'static str,
    },
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Texts by name.
    pub texts: HashMap<String, String>,
    /// Tensors by key.
    pub tensors: BTreeMap<String, TensorPlace>,
}

/// Where a tensor is: in a file that is held open, so that what replaces the file does not change
/// it.
#[derive(Debug, Clone)]
pub struct TensorPlace {
    key: String,
    shape: Vec<usize>,
    dtype: Dtype,
    file: Arc<Open>,
    start: u64,
    len: usize,
}

/// Whether a file stays open as long as its tensors are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It does: what replaces it changes nothing.
    Open,
    /// It is opened when a tensor is read, and must be what it was: for more files than a process
    /// may have open.
    Reopen,
}

struct Open {
    path: PathBuf,
    /// None where it is opened anew.
    file: Option<Mutex<File>>,
    size: u64,
    modified: Option<SystemTime>,
}

impl Open {
    /// The bytes from `at` on.
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let read = |file: &mut File, bytes: &mut [u8]| {
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(bytes)
        };
        if let Some(file) = &self.file {
            return read(
                &mut file.lock().unwrap_or_else(PoisonError::into_inner),
                bytes,
            );
        }
        let mut file = peft_files::open(&self.path)?;
        let found = file.metadata()?;
        if (found.len(), found.modified().ok()) != (self.size, self.modified) {
            let changed = "it has changed since its header was read";
            return Err(io::Error::new(io::ErrorKind::InvalidData, changed));
        }
        read(&mut file, bytes)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// Read the header of a file.
///
/// # Errors
///
/// A [`ReadError`]: a header that does not parse, tensors whose shapes are not those of their
/// bytes, or that are not all of the file.
pub fn open(path: &Path) -> Result<Contents, ReadError> {
    open_with(path, Hold::Open)
}

/// As [`open`], for a file that is held open or not.
///
/// # Errors
///
/// As [`open`].
pub fn open_with(path: &Path, hold: Hold) -> Result<Contents, ReadError> {
    let failed = |source| ReadError::Io {
        path: path.into(),
        source,
    };
    let malformed = |reason: String| ReadError::Malformed {
        path: path.into(),
        reason,
    };
    let mut file = peft_files::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let size = found.len();
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| malformed("it is shorter than 8 bytes".into()))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || length > size.saturating_sub(8) {
        return Err(malformed(format!(
            "its header claims {length} bytes of a file of {size}"
        )));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(failed)?;
    // That each tensor's bytes are of its shape, and begin where those before it end, is checked in
    // here.
    let header: Metadata =
        serde_json::from_slice(&header).map_err(|error| malformed(error.to_string()))?;
    let data = 8 + length;
    if size - data != header.data_len() as u64 {
        return Err(malformed(format!(
            "its header tells of {} bytes of tensors, and there are {}",
            header.data_len(),
            size - data
        )));
    }
    let file = Arc::new(Open {
        path: path.into(),
        file: (hold == Hold::Open).then(|| Mutex::new(file)),
        size,
        modified: found.modified().ok(),
    });
    let place = |(key, info): (String, &safetensors::tensor::TensorInfo)| {
        let (start, end) = info.data_offsets;
        let place = TensorPlace {
            key: key.clone(),
            shape: info.shape.clone(),
            dtype: info.dtype,
            file: Arc::clone(&file),
            start: data + start as u64,
            len: end - start,
        };
        (key, place)
    };
    let tensors = header.tensors().into_iter().map(place).collect();
    let texts = header.metadata().clone().unwrap_or_default();
    Ok(Contents { texts, tensors })
}

impl TensorPlace {
    /// The tensor's key in the file.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its shape there.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its dtype there.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Its bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`].
    ///
    /// # Panics
    ///
    /// Where `bytes` are not as many.
    pub fn read_into(&self, bytes: &mut [u8]) -> Result<(), ReadError> {
        assert_eq!(bytes.len(), self.len, "`{}` has other bytes", self.key);
        self.read_at(0, bytes)
    }

    /// Its bytes in pieces that hold whole elements, for as long as `each` wants more.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`].
    pub fn chunks(&self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError> {
        let mut bytes = Vec::new();
        let mut done = 0;
        while done < self.len {
            bytes.resize((self.len - done).min(CHUNK), 0);
            self.read_at(done, &mut bytes)?;
            done += bytes.len();
            if !each(&bytes) {
                break;
            }
        }
        Ok(())
    }

    /// Whether another tensor has other bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`].
    pub fn differs_from(&self, other: &Self) -> Result<bool, ReadError> {
        if self.len != other.len {
            return Ok(true);
        }
        let mut theirs = Vec::new();
        let (mut done, mut differs, mut failure) = (0, false, Ok(()));
        self.chunks(|ours| {
            theirs.resize(ours.len(), 0);
            failure = other.read_at(done, &mut theirs);
            differs = theirs != ours;
            done += ours.len();
            failure.is_ok() && !differs
        })?;
        failure.map(|()| differs)
    }

    /// The bytes from byte `at` of the tensor on.
    fn read_at(&self, at: usize, bytes: &mut [u8]) -> Result<(), ReadError> {
        self.file
            .read_at(self.start + at as u64, bytes)
            .map_err(|source| ReadError::Io {
                path: self.file.path.clone(),
                source,
            })
    }
}
