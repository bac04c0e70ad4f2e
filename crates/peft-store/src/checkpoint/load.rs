//! [`Checkpoint`]: a checkpoint directory, opened and loaded.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_core::nearest;
use peft_files::Folder;
use peft_kernels::{PackedError, multiplies_packed};
use peft_models::{LanguageModel, LanguageModelConfig};
use serde_json::{Map, Value};

use super::devices::strictest;
use super::naming::{Naming, text_part, unwrapped};
use super::{CheckpointConfig, CheckpointError};
use crate::TensorProblem;
use crate::gguf::Gguf;
use crate::params::{StoredParam, stored_params};
use crate::quantise::{Quantise, Vocabulary};
use crate::tensor_file::{Place, Source, load_tensors};

/// Heads on a decoder that tell something else than the next token, by the beginnings of their
/// keys.
const HEADS: [&str; 4] = ["classifier.", "qa_outputs.", "score.", "v_head."];
/// As many keys as are searched for the one that is most like another.
const MAX_COMPARED: usize = 1000;

/// A checkpoint whose config has been read and understood: a directory, or a GGUF file.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub(super) dir: PathBuf,
    pub(super) config: CheckpointConfig,
    pub(super) fields: Map<String, Value>,
    pub(super) new_head: bool,
    /// Whether the model is a part of one of text and images.
    pub(super) wrapped: bool,
    pub(super) any_size: bool,
    /// What the blocks are divided among; none where all of a model is on one device.
    pub(super) devices: Vec<Device>,
    pub(super) quantise: Quantise,
    /// Whether embedding and output layer are quantised too.
    pub(super) quantise_vocabulary: bool,
    /// Whether bitsandbytes has quantised its weights.
    pub(super) bnb: bool,
    /// The file, where it is no directory.
    pub(super) gguf: Option<Gguf>,
}

impl Checkpoint {
    /// The same, but models get a fresh layer in place of the one that tells labels in the files.
    #[must_use]
    pub fn with_new_head(self) -> Self {
        Self {
            new_head: true,
            ..self
        }
    }

    /// Load it whatever the machine's memory seems to hold.
    #[must_use]
    pub fn with_any_size(mut self, any_size: bool) -> Self {
        self.any_size = any_size;
        self
    }

    /// Hold the linear layers of its blocks so.
    #[must_use]
    pub fn with_quantise(mut self, quantise: Quantise) -> Self {
        self.quantise = quantise;
        self
    }

    /// Hold the embedding of the tokens and the output layer of a language model so too. An
    /// embedding that is held in blocks does not train.
    #[must_use]
    pub fn with_quantised_vocabulary(mut self, quantised: bool) -> Self {
        self.quantise_vocabulary = quantised;
        self
    }

    /// Paths of the embedding and the output layer, where these are quantised too.
    pub(super) fn vocabulary(&self) -> Option<Vocabulary> {
        let CheckpointConfig::LanguageModel(config) = &self.config else {
            return None;
        };
        let (head, embedding) = naming(config).tied?;
        self.quantise_vocabulary
            .then_some(Vocabulary { embedding, head })
    }

    pub(super) fn new_head(&self) -> bool {
        self.new_head
    }

    /// The directory, or the GGUF file.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The files beside the weights; of a GGUF file, those that its metadata stands for.
    pub fn folder(&self) -> Folder {
        match &self.gguf {
            Some(gguf) => gguf.folder.clone(),
            None => Folder::new(&self.dir),
        }
    }

    /// The sizes.
    pub fn config(&self) -> &CheckpointConfig {
        &self.config
    }

    /// All fields of `config.json`, or those that a GGUF file's metadata stands for; of a model of
    /// text and images, those of its text part.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Whether the directory has weights, and not only a config.
    pub fn has_weights(&self) -> bool {
        !matches!(self.all_places(), Err(CheckpointError::NoWeights { .. }))
    }

    /// The shapes and dtypes of the stored tensors, by key.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn tensors(&self) -> Result<Vec<(String, Vec<usize>, String)>, CheckpointError> {
        Ok(self
            .all_places()?
            .into_iter()
            .map(|(key, place)| (key, place.shape().to_vec(), place.kind()))
            .collect())
    }

    /// The dtype that the weights are stored in, f32 where they differ.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn dtype(&self) -> Result<DType, CheckpointError> {
        let places = self.all_places()?;
        let mut dtypes = places.values().filter_map(Place::dtype);
        let first = dtypes.next().unwrap_or(DType::F32);
        Ok(match dtypes.all(|dtype| dtype == first) {
            true => first,
            false => DType::F32,
        })
    }

    /// The sizes of a decoder.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::WrongKind`] for an encoder.
    pub fn language_model_config(&self) -> Result<&LanguageModelConfig, CheckpointError> {
        match &self.config {
            CheckpointConfig::LanguageModel(config) => Ok(config),
            CheckpointConfig::Encoder(_) => Err(self.wrong_kind("a decoder, such as llama")),
        }
    }

    pub(super) fn wrong_kind(&self, expected: &'static str) -> CheckpointError {
        let family = self.fields["model_type"].as_str().unwrap_or("of no family");
        CheckpointError::WrongKind {
            dir: self.dir.clone(),
            family: family.into(),
            expected,
        }
    }

    /// The decoder with the directory's weights in `dtype`.
    ///
    /// A tied output layer that is stored all the same, and is not the embedding, is loaded as one
    /// of its own, as transformers does.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`]; missing and misshapen tensors are reported together, with those that
    /// the model has no place for.
    pub fn load(&self, device: &Device, dtype: DType) -> Result<LanguageModel, CheckpointError> {
        let config = self.language_model_config()?;
        let naming = naming(config);
        let mut places = self.places(naming)?;
        self.check_no_head(&places)?;
        self.check_memory(&places, device, dtype)?;
        let own_head = has_own_head(naming, &places)?;
        let tied = config.has_tied_head() && !own_head;
        if let (true, Some((head, _))) = (tied, naming.tied) {
            places.remove(head);
        }
        let model = config.clone().with_tied_head(tied).init(device);
        self.fill(model, places, dtype, |_| false)
    }

    /// An error where the files hold a decoder with a head that is not the output layer.
    fn check_no_head(&self, places: &BTreeMap<String, Place>) -> Result<(), CheckpointError> {
        let of_head = |place: &&Place| HEADS.iter().any(|head| place.key().starts_with(head));
        match places.values().find(of_head) {
            None => Ok(()),
            Some(place) => Err(CheckpointError::DecoderHead {
                dir: self.dir.clone(),
                key: place.key().into(),
            }),
        }
    }

    /// A decoder of the config's sizes with fresh weights, for a directory that has none.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::WrongKind`] for an encoder, [`CheckpointError::Memory`] for one that is
    /// too large.
    pub fn draw(&self, device: &Device) -> Result<LanguageModel, CheckpointError> {
        let model = self.language_model_config()?.init(device);
        let params = stored_params(&model);
        let shapes = params.iter().map(|param| param.shape.as_slice());
        self.check_shapes(shapes, device, DType::F32)?;
        self.divided(model)
    }

    /// Parts of the file that are none of the model's, and are left alone: the towers and
    /// projectors of a model of text and images.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn left_alone(&self) -> Result<Vec<String>, CheckpointError> {
        match self.wrapped {
            true => Ok(text_part(unwrapped(self.all_places()?)).1),
            false => Ok(Vec::new()),
        }
    }

    /// The keys of tensors that a model of the config's sizes has no place for: they are left
    /// alone, as transformers does, and nothing of the model says so. Heads and buffers that are
    /// known are none of them.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn strangers(&self, device: &Device) -> Result<Vec<String>, CheckpointError> {
        let (places, known) = match &self.config {
            CheckpointConfig::LanguageModel(config) => {
                let naming = naming(config);
                let mut places = self.places(naming)?;
                if let Some((head, _)) = naming.tied {
                    places.remove(head);
                }
                (places, stored_params(&config.init(device)))
            }
            CheckpointConfig::Encoder(config) => self.of_encoder(config, device)?,
        };
        let known: HashSet<String> = known.into_iter().map(|param| param.path).collect();
        let strangers = places.into_iter().filter(|(path, _)| !known.contains(path));
        Ok(strangers.map(|(_, place)| place.key().into()).collect())
    }

    /// The fields of `config.json` for a model that was made of this checkpoint.
    pub fn fields_of(&self, model: &LanguageModel) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        let tied = model.config().has_tied_head();
        fields.insert("tie_word_embeddings".into(), tied.into());
        fields
    }

    /// The stored tensors by the paths that they have in a model.
    pub(super) fn places(
        &self,
        naming: &Naming,
    ) -> Result<BTreeMap<String, Place>, CheckpointError> {
        naming
            .paths(self.stored()?)
            .map_err(|problems| self.tensors_error(problems))
    }

    /// The stored tensors by their keys, without wrappers around the model.
    pub(super) fn stored(&self) -> Result<BTreeMap<String, Place>, CheckpointError> {
        let places = unwrapped(self.all_places()?);
        Ok(match self.wrapped {
            true => text_part(places).0,
            false => places,
        })
    }

    pub(super) fn tensors_error(&self, problems: Vec<TensorProblem>) -> CheckpointError {
        CheckpointError::Tensors {
            dir: self.dir.clone(),
            problems,
        }
    }

    /// `model` with the values of its parameters among these tensors; those that are `optional` may
    /// be missing.
    pub(super) fn fill<M: Module>(
        &self,
        model: M,
        places: BTreeMap<String, Place>,
        dtype: DType,
        optional: impl Fn(&str) -> bool,
    ) -> Result<M, CheckpointError> {
        let mut expected = stored_params(&model);
        expected.retain(|param| places.contains_key(&param.path) || !optional(&param.path));
        let problems = mismatches(&expected, &places);
        // A tensor that the model has no place for is left alone where everything else fits.
        let stranger =
            |problem: &TensorProblem| matches!(problem, TensorProblem::Unexpected { .. });
        if !problems.iter().all(stranger) {
            return Err(self.tensors_error(problems));
        }
        let model = self.divided(model)?;
        let device = strictest(&model.devices());
        let quantise = self.quantise_on(&device);
        if matches!(quantise, Quantise::To(_)) && !multiplies_packed(&device) {
            return Err(CheckpointError::Quantise {
                source: PackedError::Device(format!("{device:?}")),
            });
        }
        Ok(load_tensors(
            model,
            places,
            Some(dtype),
            quantise,
            self.vocabulary(),
        )?)
    }
}

/// Whether an output layer is stored that is not the embedding.
fn has_own_head(
    naming: &Naming,
    places: &BTreeMap<String, Place>,
) -> Result<bool, CheckpointError> {
    let Some((head, embedding)) = naming.tied else {
        return Ok(false);
    };
    let (Some(head), Some(embedding)) = (places.get(head), places.get(embedding)) else {
        return Ok(false);
    };
    Ok(head.differs_from(embedding)?)
}

/// How a decoder's keys are its paths.
pub(super) fn naming(config: &LanguageModelConfig) -> &'static Naming {
    match config {
        LanguageModelConfig::Gpt2(_) => &Naming::GPT2,
        LanguageModelConfig::Decoder(_) => &Naming::DECODER,
    }
}

fn mismatches(expected: &[StoredParam], places: &BTreeMap<String, Place>) -> Vec<TensorProblem> {
    let mut problems = Vec::new();
    let known: HashSet<&str> = expected.iter().map(|param| param.path.as_str()).collect();
    let strangers = places
        .iter()
        .filter(|(path, _)| !known.contains(path.as_str()));
    let strangers: Vec<String> = strangers.map(|(_, place)| place.key().to_owned()).collect();
    // Each is compared with each.
    let few = strangers.len() <= MAX_COMPARED && expected.len() <= MAX_COMPARED;
    for param in expected {
        let key = || param.path.clone();
        match places.get(&param.path) {
            None => problems.push(TensorProblem::Missing {
                key: key(),
                nearest: few.then(|| nearest(&param.path, &strangers)).flatten(),
            }),
            Some(place) if place.shape() != param.shape => problems.push(TensorProblem::Shape {
                key: key(),
                expected: param.shape.clone(),
                found: place.shape().to_vec(),
            }),
            Some(place) if place.format().is_none() => {
                problems.push(TensorProblem::Dtype {
                    key: key(),
                    found: place.kind(),
                });
            }
            Some(_) => {}
        }
    }
    let unexpected = strangers.into_iter();
    problems.extend(unexpected.map(|key| TensorProblem::Unexpected { key }));
    problems
}
