//! Tensors of a file as packed weights: as they lie there, or packed piece by piece.

use burn::tensor::DType;
use peft_files::FloatType;
use peft_kernels::{Packed, PackedError, PackedFormat, Packer};
use peft_safetensors::ReadError;

use super::place::Source;
use super::read::{converted, format as format_of, read};

/// How a tensor is packed.
pub(super) enum Packing {
    /// As the file has it.
    AsStored(PackedFormat),
    /// From its values.
    Anew {
        format: PackedFormat,
        /// Whether the file has it output by output.
        transposed: bool,
    },
}

/// The weight `[d_in, d_out]` of a linear layer, packed; none of its values may be other than
/// finite.
pub(super) fn pack(
    place: &impl Source,
    packing: Packing,
    dims: [usize; 2],
) -> Result<Packed, ReadError> {
    let unfit = |error: PackedError| ReadError::Malformed {
        path: place.path().into(),
        reason: format!("`{}`: {error}", place.key()),
    };
    let (format, transposed) = match packing {
        Packing::AsStored(format) => {
            let packed = Packed::new(format, dims, place.packed_bytes()?).map_err(unfit)?;
            return match packed.not_finite() {
                0 => Ok(packed),
                count => Err(not_finite(place, count, dims)),
            };
        }
        Packing::Anew { format, transposed } => (format, transposed),
    };
    let mut packer = Packer::new(format, dims).map_err(unfit)?;
    if !transposed {
        // The one tensor is turned first: blocks run along inputs.
        let values = read(place, true, DType::F32, true)?;
        packer.push(values.as_slice().unwrap_or_default());
        return packer.finish(dims).map_err(unfit);
    }
    let from = format_of(place)?;
    let mut refused = 0;
    place.chunks(|bytes| {
        let bytes = converted(bytes, from, DType::F32);
        refused += FloatType::F32.count_not_finite(&bytes);
        if refused == 0 {
            packer.push(&FloatType::F32.decode(&bytes));
        }
        true
    })?;
    match refused {
        0 => packer.finish(dims).map_err(unfit),
        count => Err(not_finite(place, count, dims)),
    }
}

fn not_finite(place: &impl Source, count: usize, dims: [usize; 2]) -> ReadError {
    ReadError::NotFinite {
        path: place.path().into(),
        key: place.key().into(),
        count,
        total: dims[0] * dims[1],
        dtype: "F32",
    }
}
