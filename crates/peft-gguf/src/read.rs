//! [`open`]: what a file says, and where its tensors are.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::header::{Header, HeaderError};
use crate::{ALIGNMENT_KEY, MAGIC, MAX_AXES, Metadata, TensorType};

/// Bytes that [`TensorPlace::chunks`] reads at once, at most.
const CHUNK: usize = 4 << 20;
/// The fewest bytes of a key with its value, and of what is said of a tensor.
const LEAST: (u64, u64) = (13, 24);

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system says so.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no sound GGUF file.
    #[error("{} is no sound GGUF file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor of a type that is not read.
    #[error(
        "{}: `{key}` is of type {found}, which is not read; these are: {}", path.display(),
        TensorType::ALL.map(|ty| ty.to_string()).join(", ")
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Its type.
        found: String,
    },
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Contents {
    /// What it says beside its tensors.
    pub metadata: Metadata,
    /// Its tensors, in its order.
    pub tensors: Vec<TensorPlace>,
}

/// Where a tensor is: in a file that is held open, so that what replaces the file does not change
/// it.
#[derive(Debug, Clone)]
pub struct TensorPlace {
    key: String,
    shape: Vec<usize>,
    ty: TensorType,
    file: Arc<Open>,
    start: u64,
    len: usize,
}

struct Open {
    path: PathBuf,
    file: Mutex<File>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// Read the metadata of a file, and where its tensors are.
///
/// # Errors
///
/// A [`ReadError`]: a header that does not parse or claims more than the file has, tensors that do
/// not follow each other or do not lie in the file, types that are not read.
pub fn open(path: &Path) -> Result<Contents, ReadError> {
    let failed = |source| ReadError::Io {
        path: path.into(),
        source,
    };
    let mut file = peft_files::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let header = Header::new(BufReader::with_capacity(1 << 16, &mut file), size);
    let (metadata, told, data) = contents(header).map_err(|error| match error {
        HeaderError::Io(source) => failed(source),
        HeaderError::Malformed(reason) => ReadError::Malformed {
            path: path.into(),
            reason,
        },
    })?;
    let file = Arc::new(Open {
        path: path.into(),
        file: Mutex::new(file),
    });
    let mut tensors = Vec::with_capacity(told.len());
    // Each begins where the one before it ends, so that none lies over another.
    let mut end = 0;
    for told in told {
        let ty = TensorType::of_code(told.code).map_err(|found| ReadError::Type {
            path: path.into(),
            key: told.key.clone(),
            found,
        })?;
        let (start, len) =
            told.place(ty, &mut end, &data, size)
                .map_err(|reason| ReadError::Malformed {
                    path: path.into(),
                    reason: format!("`{}` {reason}", told.key),
                })?;
        tensors.push(TensorPlace {
            key: told.key,
            shape: told.shape,
            ty,
            file: Arc::clone(&file),
            start,
            len,
        });
    }
    Ok(Contents { metadata, tensors })
}

/// What a header says of a tensor.
struct TensorHeader {
    key: String,
    /// The outermost axis first.
    shape: Vec<usize>,
    code: u32,
    offset: u64,
}

/// Where the tensors begin, and what their places are multiples of.
struct Data {
    start: u64,
    alignment: u64,
}

impl TensorHeader {
    /// Where it begins in a file of `size`, and its bytes. `end` is where the one before it ends
    /// among the tensors, and then where it does.
    fn place(
        &self,
        ty: TensorType,
        end: &mut u64,
        data: &Data,
        size: u64,
    ) -> Result<(u64, usize), String> {
        let too_large = || format!("of shape {:?} has too many values", self.shape);
        let mut sizes = self.shape.iter();
        let values = sizes.try_fold(1_usize, |n, size| n.checked_mul(*size));
        let values = values.ok_or_else(too_large)?;
        let row = self.shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(ty.block_values()) {
            let block = ty.block_values();
            return Err(format!(
                "has rows of {row} values, and {ty} has blocks of {block}"
            ));
        }
        let len = ty.bytes(values).ok_or_else(too_large)?;
        let expected = end.checked_next_multiple_of(data.alignment);
        if Some(self.offset) != expected {
            return Err(format!(
                "is at {}, and the one before it ends at {end}",
                self.offset
            ));
        }
        let start = data.start.checked_add(self.offset);
        let stop = start.and_then(|start| start.checked_add(len as u64));
        match (start, stop) {
            (Some(start), Some(stop)) if stop <= size => {
                *end = self.offset + len as u64;
                Ok((start, len))
            }
            _ => Err(format!(
                "has {len} bytes at {}, past the end of {size}",
                self.offset
            )),
        }
    }
}

/// All of a header.
fn contents<R: Read>(
    mut header: Header<R>,
) -> Result<(Metadata, Vec<TensorHeader>, Data), HeaderError> {
    if header.bytes("the first bytes")? != MAGIC {
        return Err("it does not begin with `GGUF`".to_owned().into());
    }
    match header.u32("its version")? {
        2 | 3 => {}
        swapped if swapped & 0xffff == 0 => {
            return Err("its byte order is the other one".to_owned().into());
        }
        version => {
            return Err(format!("it is of version {version}, and 2 and 3 are read").into());
        }
    }
    let n_tensors = header.count("tensors", LEAST.1)?;
    let n_keys = header.count("keys", LEAST.0)?;
    let mut names = HashSet::new();
    let mut entries = Vec::with_capacity(n_keys);
    for _ in 0..n_keys {
        let key = header.key("a key")?;
        if !names.insert(key.clone()) {
            return Err(format!("it has `{key}` twice").into());
        }
        let value = header.value(&key)?;
        entries.push((key, value));
    }
    let metadata = Metadata::of(entries);
    let alignment = metadata.alignment().ok_or_else(|| {
        HeaderError::Malformed(format!("`{ALIGNMENT_KEY}` is no power of two in a u32"))
    })?;
    names.clear();
    let mut told = Vec::with_capacity(n_tensors);
    for _ in 0..n_tensors {
        let tensor = tensor(&mut header)?;
        if !names.insert(tensor.key.clone()) {
            return Err(format!("it has the tensor `{}` twice", tensor.key).into());
        }
        told.push(tensor);
    }
    // A power of two of a u32 and a position in a file: no overflow.
    let start = header.read().next_multiple_of(alignment);
    Ok((metadata, told, Data { start, alignment }))
}

fn tensor<R: Read>(header: &mut Header<R>) -> Result<TensorHeader, HeaderError> {
    let key = header.key("the name of a tensor")?;
    let of = format!("`{key}`");
    let n_axes = header.u32(&of)? as usize;
    if n_axes > MAX_AXES {
        return Err(format!("{of} has {n_axes} axes, more than {MAX_AXES}").into());
    }
    let mut shape = Vec::with_capacity(n_axes);
    for _ in 0..n_axes {
        let size = header.u64(&of)?;
        let size = usize::try_from(size)
            .map_err(|_| HeaderError::Malformed(format!("{of} has an axis of {size}")))?;
        shape.push(size);
    }
    // Files have the innermost axis first.
    shape.reverse();
    let (code, offset) = (header.u32(&of)?, header.u64(&of)?);
    Ok(TensorHeader {
        key,
        shape,
        code,
        offset,
    })
}

impl TensorPlace {
    /// The tensor's name in the file.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its shape, the outermost axis first: values of the last one follow each other.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What its blocks are.
    pub fn ty(&self) -> TensorType {
        self.ty
    }

    /// Its bytes in the file.
    pub fn bytes(&self) -> usize {
        self.len
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// As many of its bytes as there is room for, from byte `at` of the tensor on.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`].
    ///
    /// # Panics
    ///
    /// Where it has no such bytes.
    pub fn read_at(&self, at: usize, bytes: &mut [u8]) -> Result<(), ReadError> {
        let stop = at.checked_add(bytes.len());
        assert!(
            stop.is_some_and(|stop| stop <= self.len),
            "`{}` ends earlier",
            self.key
        );
        let mut file = self
            .file
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.start + at as u64))
            .and_then(|_| file.read_exact(bytes))
            .map_err(|source| ReadError::Io {
                path: self.file.path.clone(),
                source,
            })
    }

    /// Its bytes in pieces of whole blocks, for as long as `each` wants more.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`].
    pub fn chunks(&self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError> {
        let most = CHUNK - CHUNK % self.ty.block_bytes();
        let mut bytes = Vec::new();
        let mut done = 0;
        while done < self.len {
            bytes.resize((self.len - done).min(most), 0);
            self.read_at(done, &mut bytes)?;
            done += bytes.len();
            if !each(&bytes) {
                break;
            }
        }
        Ok(())
    }
}
