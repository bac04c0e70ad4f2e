//! What a checkpoint's tensors are held as, and whether the machine holds them.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_kernels::{PackedFormat, multiplies_packed};

use super::{Checkpoint, CheckpointError};
use crate::MemoryError;
use crate::params::stored_params;
use crate::quantise::{Held, Quantise, Vocabulary, is_of_block};
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
        let values = shape
            .iter()
            .try_fold(1_usize, |all, side| all.checked_mul(*side));
        let format = self.format_held(path, shape, Some(place), device);
        let bytes = format.zip(values).and_then(|(format, n)| format.bytes(n));
        match bytes {
            Some(bytes) => vec![bytes.div_ceil(dtype.size())],
            None => shape.to_vec(),
        }
    }

    /// What a tensor is packed in on a device, which lies at `place` in the files where it does;
    /// none where it is held dense.
    fn format_held(
        &self,
        path: &str,
        shape: &[usize],
        place: Option<&Place>,
        device: &Device,
    ) -> Option<PackedFormat> {
        let format = match self.quantise_on(device) {
            Quantise::Dense => None,
            Quantise::AsStored => place.and_then(|at| at.packed(true).or(at.packed(false))),
            Quantise::To(format) => Some(format),
        };
        let [rows, columns] = shape else {
            return None;
        };
        let counts = is_of_block(path) || Vocabulary::has(self.vocabulary(), path);
        let format = format.filter(|_| counts)?;
        format.bytes(rows.checked_mul(*columns)?).map(|_| format)
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
        let device = self.checked_device(device);
        MemoryError::check(what, shapes, dtype, device).map_err(|source| CheckpointError::Memory {
            dir: self.dir.clone(),
            source,
        })
    }

    /// What the tensors of a model of this checkpoint are held as on a device in `dtype`: those of
    /// its files, or where there are none those of `model`, which may be lazy.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn held<M: Module>(
        &self,
        model: &M,
        device: &Device,
        dtype: DType,
    ) -> Result<Held, CheckpointError> {
        let mut held = Held::default();
        if self.has_weights() {
            for (path, place) in self.stored()? {
                let format = self.format_held(&path, place.shape(), Some(&place), device);
                held.add(place.shape(), format, dtype);
            }
        } else {
            for param in stored_params(model) {
                let format = self.format_held(&param.path, &param.shape, None, device);
                held.add(&param.shape, format, dtype);
            }
        }
        Ok(held)
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
