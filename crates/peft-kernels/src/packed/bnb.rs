//! Weights as bitsandbytes holds them: the codes, two values a byte, apart from their scales.

use super::nf4::{CODES, VALUES};
use super::{Packed, PackedError, PackedFormat, int8, nf4_double};

impl Packed {
    /// bitsandbytes' `nf4` in blocks of 64, with their scales (`absmax`).
    ///
    /// # Shapes
    ///
    /// `dims` is `[d_in, d_out]`; `codes` are those of `[d_out, d_in]` in order.
    ///
    /// # Errors
    ///
    /// [`PackedError::Length`].
    pub fn of_nf4(dims: [usize; 2], codes: &[u8], scales: &[f32]) -> Result<Self, PackedError> {
        let format = PackedFormat::Nf4;
        check(format, dims, "bytes", codes.len(), |n| n.div_ceil(2))?;
        check(format, dims, "scales", scales.len(), |n| n.div_ceil(VALUES))?;
        let mut bytes = Vec::with_capacity(scales.len() * (4 + CODES));
        for (scale, codes) in scales.iter().zip(codes.chunks(CODES)) {
            bytes.extend_from_slice(&scale.to_le_bytes());
            bytes.extend_from_slice(codes);
            bytes.resize(bytes.len() + CODES - codes.len(), 0);
        }
        Self::new(format, dims, bytes)
    }

    /// The same with double quantisation: an index into a `table` for each block, scaled by one of
    /// `scales` for 256 blocks, and `mean` added.
    ///
    /// # Shapes
    ///
    /// As [`of_nf4`](Self::of_nf4).
    ///
    /// # Errors
    ///
    /// [`PackedError::Length`].
    pub fn of_nf4_double(
        dims: [usize; 2],
        codes: &[u8],
        indices: &[u8],
        table: &[f32; 256],
        scales: &[f32],
        mean: f32,
    ) -> Result<Self, PackedError> {
        let format = PackedFormat::Nf4Double;
        check(format, dims, "bytes", codes.len(), |n| n.div_ceil(2))?;
        check(format, dims, "indices", indices.len(), |n| {
            n.div_ceil(VALUES)
        })?;
        let of_scales = VALUES * nf4_double::SHARING;
        check(format, dims, "scales", scales.len(), |n| {
            n.div_ceil(of_scales)
        })?;
        let bytes = nf4_double::join(codes, indices, scales, table, mean);
        Self::new(format, dims, bytes)
    }
}

impl Packed {
    /// bitsandbytes' `int8`, with the scale of each output (`SCB`).
    ///
    /// # Shapes
    ///
    /// `dims` is `[d_in, d_out]`, `d_in` a multiple of 64; `codes` are those of `[d_out, d_in]` in
    /// order, `scales` `[d_out]`.
    ///
    /// # Errors
    ///
    /// [`PackedError::Length`].
    pub fn of_int8(dims: [usize; 2], codes: &[u8], scales: &[f32]) -> Result<Self, PackedError> {
        let format = PackedFormat::Int8;
        check(format, dims, "bytes", codes.len(), |n| {
            n.next_multiple_of(int8::VALUES)
        })?;
        let whole = dims[0].is_multiple_of(int8::VALUES);
        let found = if whole { scales.len() } else { 0 };
        check(format, dims, "scales", found, |_| dims[1])?;
        let mut bytes = Vec::with_capacity(format.bytes(codes.len()).unwrap_or(0));
        for (scale, codes) in scales.iter().zip(codes.chunks(dims[0].max(1))) {
            for codes in codes.chunks(int8::VALUES) {
                bytes.extend_from_slice(&scale.to_le_bytes());
                bytes.extend_from_slice(codes);
            }
        }
        Self::new(format, dims, bytes)
    }
}

/// That there are as many of something as so many values have.
fn check(
    format: PackedFormat,
    dims: [usize; 2],
    what: &'static str,
    found: usize,
    of: impl Fn(usize) -> usize,
) -> Result<(), PackedError> {
    let expected = dims[0].checked_mul(dims[1]).map(of);
    match expected == Some(found) {
        true => Ok(()),
        false => Err(PackedError::Length {
            what,
            format,
            dims,
            expected: expected.unwrap_or(0),
            found,
        }),
    }
}
