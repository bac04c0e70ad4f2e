//! [`LazyTensor`]: a tensor that is read when it is asked for.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Bytes, DType, Tensor, TensorData};
use peft_kernels::Blockwise8;
use peft_safetensors::{ReadError, TensorPlace};

/// A tensor where it is: on its device, or in a file.
#[derive(Clone)]
pub(super) struct LazyTensor {
    shape: Vec<usize>,
    dtype: DType,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Device(Arc<dyn Fn() -> TensorData + Send + Sync>),
    File(TensorPlace),
}

impl LazyTensor {
    /// A handle to a tensor as it is now: an update finds that it is not the only one, and does not
    /// change it in place.
    pub(super) fn on_device<const D: usize>(tensor: Tensor<D>) -> Self {
        Self {
            shape: tensor.dims().to_vec(),
            dtype: tensor.dtype(),
            source: Source::Device(Arc::new(move || tensor.clone().into_data())),
        }
    }

    /// The codes and the scales of a moment.
    pub(super) fn of_blocks(moment: &Blockwise8) -> [Self; 2] {
        let (codes, scales) = (moment.clone(), moment.clone());
        let (n, n_scales) = (codes.codes().len(), scales.scales().len());
        let of = |n, dtype, read| Self {
            shape: vec![n],
            dtype,
            source: Source::Device(read),
        };
        let read_codes = move || TensorData::new(codes.codes().to_vec(), [n]);
        let read_scales = move || TensorData::new(scales.scales().to_vec(), [n_scales]);
        [
            of(n, DType::U8, Arc::new(read_codes)),
            of(n_scales, DType::F32, Arc::new(read_scales)),
        ]
    }

    /// What lies there, of numbers of this kind.
    pub(super) fn in_file(place: TensorPlace, dtype: DType) -> Self {
        Self {
            shape: place.shape().to_vec(),
            dtype,
            source: Source::File(place),
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
    pub(super) fn read(&self) -> Result<TensorData, ReadError> {
        let place = match &self.source {
            Source::Device(read) => return Ok(read()),
            Source::File(place) => place,
        };
        let mut bytes = zeros(self.shape.iter().product(), self.dtype);
        place.read_into(&mut bytes)?;
        let shape = self.shape.clone();
        Ok(TensorData::from_bytes(bytes, shape, self.dtype))
    }
}

impl fmt::Debug for LazyTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.shape, self.dtype)
    }
}

/// The bytes of `n` zeros, of the numbers' alignment: a backend would copy bytes of another.
pub(super) fn zeros(n: usize, dtype: DType) -> Bytes {
    match dtype.size() {
        1 => Bytes::from_elems(vec![0u8; n]),
        2 => Bytes::from_elems(vec![0u16; n]),
        4 => Bytes::from_elems(vec![0u32; n]),
        _ => Bytes::from_elems(vec![0u64; n]),
    }
}
