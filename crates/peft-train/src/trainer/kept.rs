//! [`Kept`]: a tensor that is read when it is asked for.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Bytes, DType, Tensor, TensorData};

/// A tensor where it is: on its device, or in a file.
#[derive(Clone)]
pub(super) struct Kept {
    shape: Vec<usize>,
    dtype: DType,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Device(Arc<dyn Fn() -> TensorData + Send + Sync>),
    File { file: Arc<Mutex<File>>, at: u64 },
}

impl Kept {
    /// A handle to a tensor as it is now: an update finds that it is not the only one, and does not change it in place.
    pub(super) fn on_device<const D: usize>(tensor: Tensor<D>) -> Self {
        Self {
            shape: tensor.dims().to_vec(),
            dtype: tensor.dtype(),
            source: Source::Device(Arc::new(move || tensor.clone().into_data())),
        }
    }

    /// What lies from byte `at` on.
    pub(super) fn in_file(
        file: Arc<Mutex<File>>,
        at: u64,
        shape: Vec<usize>,
        dtype: DType,
    ) -> Self {
        Self {
            shape,
            dtype,
            source: Source::File { file, at },
        }
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    /// The values.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub(super) fn read(&self) -> io::Result<TensorData> {
        let (file, at) = match &self.source {
            Source::Device(read) => return Ok(read()),
            Source::File { file, at } => (file, *at),
        };
        let mut bytes = zeros(self.shape.iter().product(), self.dtype);
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes)?;
        let shape = self.shape.clone();
        Ok(TensorData::from_bytes(bytes, shape, self.dtype))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.shape, self.dtype)
    }
}

/// The bytes of `n` zeros, of the numbers' alignment: a backend would copy bytes of another.
pub(super) fn zeros(n: usize, dtype: DType) -> Bytes {
    match dtype.size() {
        2 => Bytes::from_elems(vec![0u16; n]),
        4 => Bytes::from_elems(vec![0u32; n]),
        _ => Bytes::from_elems(vec![0u64; n]),
    }
}
