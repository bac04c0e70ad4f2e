//! [`Precision`]: what numbers a checkpoint's tensors are stored as.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use peft_core::{FrozenWeight, MapParams, ParamPlace, map_params};
use serde_json::{Map, Value};

use super::load::naming;
use super::{Checkpoint, CheckpointConfig, CheckpointError};
use crate::params::stored_params;
use crate::tensor_file::{Place, Source};

/// What numbers tensors are stored as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precision {
    /// All in one dtype.
    One(DType),
    /// Each as another checkpoint has it.
    Stored {
        /// By the paths of the parameters.
        dtypes: BTreeMap<String, DType>,
        /// That of most numbers, for parameters that the checkpoint does not have.
        rest: DType,
    },
}

impl From<DType> for Precision {
    fn from(dtype: DType) -> Self {
        Self::One(dtype)
    }
}

impl Checkpoint {
    /// The precision of the stored tensors, by their paths in the model without a head or, of an
    /// encoder, in one with a head.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn precision(&self, headed: bool) -> Result<Precision, CheckpointError> {
        let places = match self.config() {
            CheckpointConfig::LanguageModel(config) => self.places(naming(config))?,
            CheckpointConfig::Encoder(config) => self.encoder_places(config, headed)?,
        };
        let mut numbers: HashMap<DType, usize> = HashMap::new();
        let mut dtypes = BTreeMap::new();
        for (path, place) in places {
            if let Some(dtype) = Place::dtype(&place) {
                *numbers.entry(dtype).or_default() += place.shape().iter().product::<usize>();
                dtypes.insert(path, dtype);
            }
        }
        let most = |dtype: &DType| numbers.get(dtype).copied().unwrap_or_default();
        // The wider one where two are as many.
        let known = [DType::F16, DType::BF16, DType::F32].into_iter();
        let rest = known.max_by_key(most).unwrap_or(DType::F32);
        Ok(Precision::Stored { dtypes, rest })
    }
}

impl Precision {
    /// What the parameter at `path` is stored as.
    pub fn of(&self, path: &str) -> DType {
        let dtype = match self {
            Self::One(dtype) => *dtype,
            Self::Stored { dtypes, rest } => dtypes.get(path).copied().unwrap_or(*rest),
        };
        match dtype {
            DType::BF16 | DType::F16 => dtype,
            _ => DType::F32,
        }
    }

    /// As messages and configs call it: that of most numbers.
    pub fn name(&self) -> &'static str {
        let dtype = match self {
            Self::One(dtype) | Self::Stored { rest: dtype, .. } => dtype,
        };
        match dtype {
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            _ => "float32",
        }
    }

    /// What each parameter is stored as, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Stored { dtypes, rest } if dtypes.values().any(|dtype| dtype != rest) => {
                let kinds: BTreeSet<&str> = dtypes
                    .values()
                    .map(|dtype| Self::One(*dtype).name())
                    .collect();
                let kinds: Vec<&str> = kinds.into_iter().collect();
                format!(
                    "the type that each weight of the base has ({})",
                    kinds.join(", ")
                )
            }
            _ => self.name().to_owned(),
        }
    }

    /// Whether storing rounds nothing that is held in f32.
    pub fn is_f32(&self) -> bool {
        match self {
            Self::One(dtype) => !matches!(dtype, DType::BF16 | DType::F16),
            Self::Stored { dtypes, rest } => dtypes
                .values()
                .chain([rest])
                .all(|dtype| *dtype == DType::F32),
        }
    }

    /// What `config.json` is to call it. A config that goes with tensors of several kinds keeps
    /// its own word, since that is what the model is run in.
    pub(super) fn named_in(&self, fields: &Map<String, Value>) -> String {
        if let Self::Stored { dtypes, rest } = self
            && dtypes.values().any(|dtype| dtype != rest)
        {
            let word = ["dtype", "torch_dtype"]
                .iter()
                .find_map(|key| fields.get(*key));
            if let Some(word) = word.and_then(Value::as_str) {
                return word.to_owned();
            }
        }
        self.name().to_owned()
    }

    /// `model` with the values that it will have when it is read back: each parameter rounded to
    /// what it is stored as, and held in the dtype that it has.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NotFinite`] for a value that is not finite, or is not any more.
    pub fn round<M: Module>(&self, model: M) -> Result<M, CheckpointError> {
        let own = stored_params(&model).into_iter().map(|param| param.path);
        let mut round = Round {
            dtypes: own.map(|path| (path.clone(), self.of(&path))).collect(),
            error: None,
        };
        let model = map_params(model, &mut round);
        match round.error {
            Some(error) => Err(error),
            None => Ok(model),
        }
    }
}

struct Round {
    dtypes: HashMap<String, DType>,
    error: Option<CheckpointError>,
}

impl MapParams for Round {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let path = at.path();
        let (Some(dtype), None) = (self.dtypes.get(&path), &self.error) else {
            return param;
        };
        // What is packed becomes dense: no file of this kind has blocks.
        let held = FrozenWeight::of(&param);
        let (device, own) = (param.lazy_device(), held.dtype());
        let data = held.dense().into_data().convert_dtype(*dtype);
        if !data.iter::<f32>().all(f32::is_finite) {
            let (key, dtype) = (path, *dtype);
            self.error = Some(CheckpointError::NotFinite { key, dtype });
            return param;
        }
        if *dtype == own && held.packed().is_none() {
            return param;
        }
        let id = param.id;
        param.transform_for_load(Tensor::from_data(data, (&device, own)), id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_said_in_words() {
        let stored = |dtypes: [DType; 2]| {
            let dtypes = ["a", "b"].map(str::to_owned).into_iter().zip(dtypes);
            let (dtypes, rest) = (dtypes.collect(), DType::F32);
            Precision::Stored { dtypes, rest }.describe()
        };
        assert_eq!(stored([DType::F32; 2]), "float32");
        assert_eq!(
            stored([DType::BF16, DType::F32]),
            "the type that each weight of the base has (bfloat16, float32)"
        );
        assert_eq!(Precision::One(DType::F16).describe(), "float16");
    }
}
