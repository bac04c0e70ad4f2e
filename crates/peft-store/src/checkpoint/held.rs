//! What a checkpoint's tensors are held as, and whether the machine holds them.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device};
use peft_kernels::multiplies_packed;

use super::{Checkpoint, CheckpointError};
use crate::MemoryError;
use crate::quantise::{Quantise, is_of_block};
use crate::tensor_file::{Place, Source};

impl Checkpoint {
    /// Whether the machine holds these tensors in `dtype`, those that are packed as such.
    pub(super) fn check_memory(
        &self,
        places: &BTreeMap<String, Place>,
        device: &Device,
        dtype: DType,
    ) -> Result<(), CheckpointError> {
        let shapes: Vec<Vec<usize>> = places
            .iter()
            .map(|(path, place)| self.shape_held(path, place, device, dtype))
            .collect();
        self.check_shapes(shapes.iter().map(Vec::as_slice), device, dtype)
    }

    /// A shape of as many elements of `dtype` as a tensor takes.
    fn shape_held(&self, path: &str, place: &Place, device: &Device, dtype: DType) -> Vec<usize> {
        let shape = place.shape();
        let format = match self.quantise_on(device) {
            Quantise::Dense => None,
            Quantise::AsStored => place.packed(true).or(place.packed(false)),
            Quantise::To(format) => Some(format),
        };
        let [rows, columns] = shape else {
            return shape.to_vec();
        };
        let bytes = format
            .filter(|_| is_of_block(path))
            .and_then(|format| format.bytes(rows.checked_mul(*columns)?));
        bytes.map_or_else(
            || shape.to_vec(),
            |bytes| vec![bytes.div_ceil(dtype.size())],
        )
    }

    /// Whether the machine holds tensors of these shapes in `dtype`.
    pub(super) fn check_shapes<'a>(
        &self,
        shapes: impl IntoIterator<Item = &'a [usize]>,
        device: &Device,
        dtype: DType,
    ) -> Result<(), CheckpointError> {
        if self.any_size {
            return Ok(());
        }
        let what = || format!("the model in {dtype:?}");
        MemoryError::check(what, shapes, dtype, device).map_err(|source| CheckpointError::Memory {
            dir: self.dir.clone(),
            source,
        })
    }

    /// The bytes that the model's tensors take on a device in `dtype`, those that are packed as
    /// such; none where there are more than a number of 64 bits counts.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn bytes_held(
        &self,
        device: &Device,
        dtype: DType,
    ) -> Result<Option<u64>, CheckpointError> {
        let places = self.stored()?;
        let bytes = |(path, place): (&String, &Place)| {
            let shape = self.shape_held(path, place, device, dtype);
            let values = shape
                .iter()
                .try_fold(1_u64, |all, side| all.checked_mul(*side as u64));
            values?.checked_mul(dtype.size() as u64)
        };
        Ok(places
            .iter()
            .map(bytes)
            .try_fold(0_u64, |sum, of| sum.checked_add(of?)))
    }

    /// How many weights of linear layers lie packed in the file and are held dense, which takes
    /// several times their memory: because `device` multiplies no packed weights, or since they
    /// were asked for so ([`Quantise::Dense`]).
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn unpacked_on(&self, device: &Device) -> Result<usize, CheckpointError> {
        if self.quantise_on(device) != Quantise::Dense || !self.has_weights() {
            return Ok(0);
        }
        let packed = |place: &Place| place.packed(true).or(place.packed(false)).is_some();
        Ok(self
            .all_places()?
            .iter()
            .filter(|(path, place)| is_of_block(path) && packed(place))
            .count())
    }

    /// What linear layers are held as on a device.
    pub(super) fn quantise_on(&self, device: &Device) -> Quantise {
        match self.quantise {
            Quantise::AsStored if !multiplies_packed(device) => Quantise::Dense,
            quantise => quantise,
        }
    }
}
