//! [`DenseWeights`]: the weights of a decoder's linear layers as its files have them.

use std::collections::{BTreeMap, HashSet};

use burn::tensor::{DType, Device, Tensor};

use super::load::naming;
use super::{Checkpoint, CheckpointError};
use crate::TensorProblem;
use crate::params::stored_params;
use crate::tensor_file::{Place, read};

/// The weights of a decoder's layers, read one at a time, whatever a model of them is held in.
#[derive(Debug)]
pub struct DenseWeights<'a> {
    checkpoint: &'a Checkpoint,
    places: BTreeMap<String, Place>,
    /// The paths of those that lie `[out, in]`.
    transposed: HashSet<String>,
}

impl Checkpoint {
    /// The weights of a decoder's layers, one at a time.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn dense_weights(&self) -> Result<DenseWeights<'_>, CheckpointError> {
        let config = self.language_model_config()?;
        let params = stored_params(&config.init(&Device::default())).into_iter();
        let transposed = params.filter(|param| param.transposed);
        Ok(DenseWeights {
            checkpoint: self,
            places: self.places(naming(config))?,
            transposed: transposed.map(|param| param.path).collect(),
        })
    }
}

impl DenseWeights<'_> {
    /// The weight of the layer at `path`, `[d_in, d_out]` in f32.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`] where the files have no such weight, or it cannot be read.
    pub fn read(&self, path: &str, device: &Device) -> Result<Tensor<2>, CheckpointError> {
        let path = format!("{path}.weight");
        let place = self.places.get(&path).ok_or_else(|| {
            let problem = TensorProblem::missing(&path);
            self.checkpoint.tensors_error(vec![problem])
        })?;
        let transposed = self.transposed.contains(&path);
        let data = read(place, transposed, DType::F32, true)?;
        Ok(Tensor::from_data(data, (device, DType::F32)))
    }
}
