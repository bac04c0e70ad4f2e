//! [`write_tensors`]: a safetensors file of what is read when it is written.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use peft_safetensors::{Dtype, Writes};

use super::layout::transpose;
use super::read::run_dtype;

/// A tensor that is read, converted and laid out as a file has it when it is written.
pub(crate) struct StoredTensor {
    /// In the file's layout.
    shape: Vec<usize>,
    dtype: DType,
    /// Whether what is read lies the other way round.
    transposed: bool,
    read: Box<dyn Fn() -> TensorData>,
}

impl StoredTensor {
    /// What `read` gives of a parameter of this shape in memory.
    pub(super) fn new(
        mut shape: Vec<usize>,
        dtype: DType,
        transposed: bool,
        read: impl Fn() -> TensorData + 'static,
    ) -> Self {
        if transposed {
            shape.reverse();
        }
        Self {
            shape,
            dtype,
            transposed,
            read: Box::new(read),
        }
    }

    /// Values that are at hand, in the precision that they have.
    pub(crate) fn of(data: TensorData) -> Self {
        Self {
            shape: data.shape().to_vec(),
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

impl Writes for StoredTensor {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            DType::BF16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            DType::I64 => Dtype::I64,
            DType::I32 => Dtype::I32,
            DType::I16 => Dtype::I16,
            DType::U8 => Dtype::U8,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let data = (self.read)().convert_dtype(self.dtype);
        let bytes = data.as_bytes();
        match (self.transposed, self.shape.as_slice()) {
            // What is stored as [out, in] is held as [in, out].
            (true, &[d_out, _]) => out.write_all(&transpose(bytes, d_out, data.dtype().size())),
            _ => out.write_all(bytes),
        }
    }
}

/// Write tensors by key, and texts that readers may pass over, beside their place and then in it.
///
/// # Errors
///
/// Those of the file; a tensor whose numbers are of no precision that is read, by its key.
pub(crate) fn write_tensors<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, StoredTensor)>,
    texts: impl IntoIterator<Item = (&'a str, String)>,
) -> io::Result<()> {
    let tensors: Vec<(String, StoredTensor)> = tensors.into_iter().collect();
    // Whole numbers are places, or counts as torch's batch norms keep them, which are not read.
    let is_read = |tensor: &StoredTensor| {
        let whole = [DType::U8, DType::I16, DType::I32, DType::I64].contains(&tensor.dtype);
        whole || run_dtype(tensor.dtype()) == Some(tensor.dtype)
    };
    if let Some((key, tensor)) = tensors.iter().find(|(_, tensor)| !is_read(tensor)) {
        let reason = format!("`{key}` is of {:?}, which is not saved", tensor.dtype);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let texts = texts.into_iter().chain([("format", "pt".to_owned())]);
    let texts: HashMap<String, String> =
        texts.map(|(name, text)| (name.to_owned(), text)).collect();
    peft_safetensors::write(path, texts, tensors)
}
