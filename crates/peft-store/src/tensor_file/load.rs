//! A model's parameters from the tensors of a file.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use peft_core::{MapParams, ParamPlace, map_params};
use peft_kernels::{Packed, PackedError};
use peft_safetensors::ReadError;

use super::pack::{Packing, pack};
use super::place::Source;
use super::read::read;
use crate::params::{StoredParam, stored_params};
use crate::quantise::{Quantise, Vocabulary, is_of_block};

/// `model` with the values of these tensors, which are of the shapes that its parameters have in a
/// file, in a precision or in the one that each parameter has.
pub(crate) fn load_tensors<M: Module>(
    model: M,
    places: BTreeMap<String, impl Source>,
    dtype: Option<DType>,
    quantise: Quantise,
    vocabulary: Option<Vocabulary>,
) -> Result<M, ReadError> {
    let own = stored_params(&model).into_iter();
    let mut loader = Loader {
        places,
        params: own.map(|param| (param.path.clone(), param)).collect(),
        dtype,
        quantise,
        vocabulary,
        error: None,
    };
    let model = map_params(model, &mut loader);
    match loader.error {
        Some(error) => Err(error),
        None => Ok(model),
    }
}

struct Loader<S> {
    places: BTreeMap<String, S>,
    params: HashMap<String, StoredParam>,
    dtype: Option<DType>,
    quantise: Quantise,
    vocabulary: Option<Vocabulary>,
    error: Option<ReadError>,
}

impl<S: Source> Loader<S> {
    /// How a tensor is packed, if it is.
    fn packing(&self, path: &str, place: &S) -> Option<Packing> {
        let param = self.params.get(path)?;
        let is_block = param.is_linear && is_of_block(path);
        if !is_block && !Vocabulary::has(self.vocabulary, path) {
            return None;
        }
        let transposed = param.transposed || self.is_embedding(path);
        match (place.packed(transposed), self.quantise) {
            (_, Quantise::Dense) | (None, Quantise::AsStored) => None,
            (Some(format), Quantise::AsStored) => Some(Packing::AsStored(format)),
            (Some(format), Quantise::To(other)) if format == other => {
                Some(Packing::AsStored(format))
            }
            (_, Quantise::To(format)) => Some(Packing::Anew { format, transposed }),
        }
    }

    /// Whether a weight has its rows packed, which lie in the file as a linear layer's outputs do.
    fn is_embedding(&self, path: &str) -> bool {
        self.vocabulary.is_some_and(|of| path == of.embedding)
    }

    /// The shape of the packed weight; none of a square embedding, which is not told from its
    /// transpose and stays dense.
    fn dims_packed(&self, path: &str, [first, second]: [usize; 2]) -> Option<[usize; 2]> {
        match self.is_embedding(path) {
            true => (first != second).then_some([second, first]),
            false => Some([first, second]),
        }
    }

    fn tensor<const D: usize>(
        &self,
        path: &str,
        place: &S,
        param: &Param<Tensor<D>>,
    ) -> Result<Tensor<D>, ReadError> {
        let dtype = self.dtype.unwrap_or_else(|| param.base().dtype());
        let device = param.lazy_device();
        if let (Some(packing), Ok(dims)) = (
            self.packing(path, place),
            <[usize; 2]>::try_from(param.lazy_shape().to_vec()),
        ) && let Some(dims) = self.dims_packed(path, dims)
        {
            let of_file = |error: PackedError| ReadError::Malformed {
                path: place.path().into(),
                reason: format!("`{}`: {error}", place.key()),
            };
            let packed: Packed = pack(place, packing, dims)?;
            let tensor = packed.into_tensor(dtype, &device).map_err(of_file)?;
            let tensor = match self.is_embedding(path) {
                true => tensor.transpose(),
                false => tensor,
            };
            if let Some(tensor) = of_rank(tensor) {
                return Ok(tensor);
            }
        }
        let transposed = self.params.get(path).is_some_and(|param| param.transposed);
        // What is loaded in a dtype of its own is a base, which nothing has looked at before.
        let data = read(place, transposed, dtype, self.dtype.is_some())?;
        Ok(Tensor::from_data(data, (&device, dtype)))
    }
}

/// The tensor, where it is of this rank.
fn of_rank<const D: usize>(tensor: Tensor<2>) -> Option<Tensor<D>> {
    let any: Box<dyn Any> = Box::new(tensor);
    any.downcast().ok().map(|tensor| *tensor)
}

impl<S: Source> MapParams for Loader<S> {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let path = at.path();
        let (Some(place), None) = (self.places.get(&path), &self.error) else {
            return param;
        };
        match self.tensor(&path, place, &param) {
            Ok(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
