//! [`Packer`]: values packed as they come, so that no dense weight is there.

use super::{Packed, PackedError, PackedFormat, nf4, nf4_double};

/// Packs the values of a weight, column by column.
#[derive(Debug)]
pub struct Packer {
    format: PackedFormat,
    /// Fewer than a block.
    waiting: Vec<f32>,
    /// Blocks; of nf4 with scales in eight bits, which are made of all of them, those of nf4.
    bytes: Vec<u8>,
    values: usize,
}

impl Packer {
    /// One that has no values yet, for a weight of `[d_in, d_out]`.
    ///
    /// # Errors
    ///
    /// [`PackedError::NotMade`].
    pub fn new(format: PackedFormat, dims: [usize; 2]) -> Result<Self, PackedError> {
        if !format.is_made() {
            return Err(PackedError::NotMade(format));
        }
        let values = dims[0].checked_mul(dims[1]);
        let bytes = values.and_then(|values| format.bytes(values));
        Ok(Self {
            format,
            waiting: Vec::new(),
            bytes: Vec::with_capacity(bytes.unwrap_or(0)),
            values: 0,
        })
    }

    /// The next values, which are finite.
    pub fn push(&mut self, mut values: &[f32]) {
        self.values += values.len();
        let block = self.block();
        if !self.waiting.is_empty() {
            let missing = (block - self.waiting.len()).min(values.len());
            self.waiting.extend_from_slice(&values[..missing]);
            values = &values[missing..];
            if self.waiting.len() < block {
                return;
            }
            let whole = std::mem::take(&mut self.waiting);
            self.pack(&whole);
        }
        let (whole, rest) = values.split_at(values.len() / block * block);
        for values in whole.chunks_exact(block) {
            self.pack(values);
        }
        self.waiting.extend_from_slice(rest);
    }

    /// The weight `[d_in, d_out]`.
    ///
    /// # Errors
    ///
    /// [`PackedError::Length`] where there were other values than it has.
    pub fn finish(mut self, dims: [usize; 2]) -> Result<Packed, PackedError> {
        let expected = dims[0].checked_mul(dims[1]);
        if expected != Some(self.values) {
            return Err(PackedError::Length {
                what: "values",
                format: self.format,
                dims,
                expected: expected.unwrap_or(0),
                found: self.values,
            });
        }
        if !self.waiting.is_empty() {
            let last = std::mem::take(&mut self.waiting);
            self.pack(&last);
        }
        let bytes = match self.format {
            PackedFormat::Nf4Double => nf4_double::quantise(&self.bytes),
            _ => self.bytes,
        };
        Packed::new(self.format, dims, bytes)
    }

    /// Values of a block.
    fn block(&self) -> usize {
        let ggml = self.format.ggml();
        ggml.map_or(nf4::VALUES, |ty| ty.block_values())
    }

    /// A block; a last one may be shorter.
    fn pack(&mut self, values: &[f32]) {
        let Some(ty) = self.format.ggml() else {
            return nf4::pack(values, &mut self.bytes);
        };
        let mut whole = values.to_vec();
        whole.resize(ty.block_values(), 0.0);
        // `new` has let through those alone that are packed.
        let packed = ty.pack(&whole, &mut self.bytes);
        debug_assert!(packed.is_ok(), "{ty} is packed");
    }
}
