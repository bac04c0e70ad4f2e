//! Encoders of a checkpoint directory: bare, or with a head that may not be there yet.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_models::{EncoderConfig, TextClassifier, TextEncoder, TokenTagger};
use serde_json::{Map, Value, json};

use super::load::Checkpoint;
use super::{CheckpointConfig, CheckpointError};
use crate::Labels;
use crate::TensorProblem;
use crate::params::{StoredParam, stored_params};
use crate::tensor_file::{Place, Source};

/// Heads that checkpoints were trained with, by the beginnings of their keys.
const HEADS: [&str; 12] = [
    "classifier.",
    "cls.",
    "decoder.",
    "head.",
    "lm_head.",
    "pre_classifier.",
    "qa_outputs.",
    "score.",
    "seq_relationship.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "vocab_transform.",
];
/// The layers whose outputs are the labels.
const OUTPUTS: [&str; 2] = ["classifier.", "classifier.out_proj."];
/// The module that they are in.
const CLASSIFIER: &str = "classifier";
/// A layer between encoder and head, which a file may have without need or lack.
const POOLER: &str = "pooler.";
/// Tables of numbers that a model can make by itself.
const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// A model with a head, and what of it the checkpoint does not have.
#[derive(Debug, Clone)]
pub struct HeadedModel<M> {
    /// The model.
    pub model: M,
    /// Modules with fresh weights, such as `classifier`; they are to be trained whole.
    pub fresh: Vec<String>,
}

impl Checkpoint {
    /// The sizes of an encoder.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::WrongKind`] for a decoder.
    pub fn encoder_config(&self) -> Result<&EncoderConfig, CheckpointError> {
        match self.config() {
            CheckpointConfig::Encoder(config) => Ok(config),
            CheckpointConfig::LanguageModel(_) => Err(self.wrong_kind("an encoder, such as bert")),
        }
    }

    /// The tensors of the layer that tells labels, by key and shape, as the files have it; empty
    /// where they have none.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`] where the files cannot be read.
    pub fn output_layer(&self) -> Result<Vec<(String, Vec<usize>)>, CheckpointError> {
        let stored = self.stored()?;
        let tensors = stored.iter().filter(|(key, _)| is_output(key));
        Ok(tensors
            .map(|(key, place)| (key.clone(), place.shape().to_vec()))
            .collect())
    }

    /// As many labels as the head in the files tells apart, if they have one.
    ///
    /// # Errors
    ///
    /// As [`output_layer`](Self::output_layer).
    pub fn outputs(&self) -> Result<Option<usize>, CheckpointError> {
        let layer = self.output_layer()?;
        let weight = layer.iter().find(|(key, _)| key.ends_with(".weight"));
        Ok(weight.and_then(|(_, shape)| shape.first().copied()))
    }

    /// Whether a tensor of this key is of the encoder with a head, and not of the bare one, whose
    /// keys begin with no `bert.` or the like.
    ///
    /// # Errors
    ///
    /// As [`encoder_config`](Self::encoder_config).
    pub fn is_of_headed(&self, key: &str) -> Result<bool, CheckpointError> {
        let base = base(self.encoder_config()?);
        Ok(key.starts_with(base) || HEADS.iter().any(|head| key.starts_with(head)))
    }

    /// The encoder without a head.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::load`].
    pub fn load_encoder(
        &self,
        device: &Device,
        dtype: DType,
    ) -> Result<TextEncoder, CheckpointError> {
        let config = self.encoder_config()?;
        let places = self.encoder_places(config, false)?;
        self.check_memory(&places, device, dtype)?;
        let pooler = places.keys().any(|path| path.starts_with(POOLER));
        Ok(self
            .head(config.encoder(pooler, device), places, "", dtype)?
            .model)
    }

    /// The encoder with a head that tells `n_labels` classes of texts.
    ///
    /// # Errors
    ///
    /// As [`load_encoder`](Self::load_encoder).
    pub fn load_classifier(
        &self,
        n_labels: usize,
        device: &Device,
        dtype: DType,
    ) -> Result<HeadedModel<TextClassifier>, CheckpointError> {
        let config = self.encoder_config()?;
        let places = self.encoder_places(config, true)?;
        self.check_memory(&places, device, dtype)?;
        self.head(
            config.classifier(n_labels, device),
            places,
            base(config),
            dtype,
        )
    }

    /// The encoder with a head that tells `n_labels` classes of tokens.
    ///
    /// # Errors
    ///
    /// As [`load_encoder`](Self::load_encoder).
    pub fn load_tagger(
        &self,
        n_labels: usize,
        device: &Device,
        dtype: DType,
    ) -> Result<HeadedModel<TokenTagger>, CheckpointError> {
        let config = self.encoder_config()?;
        let places = self.encoder_places(config, true)?;
        self.check_memory(&places, device, dtype)?;
        self.head(config.tagger(n_labels, device), places, base(config), dtype)
    }

    /// The fields of `config.json` for this encoder with a head for `labels`, of texts or of
    /// tokens.
    ///
    /// # Errors
    ///
    /// As [`encoder_config`](Self::encoder_config).
    pub fn classifier_fields(
        &self,
        labels: &Labels,
        of_tokens: bool,
    ) -> Result<Map<String, Value>, CheckpointError> {
        let family = self.family_class()?;
        let task = match of_tokens {
            true => "TokenClassification",
            false => "SequenceClassification",
        };
        let mut fields = self.fields().clone();
        fields.insert(
            "architectures".into(),
            json!([format!("{family}For{task}")]),
        );
        labels.clone().into_config(&mut fields, of_tokens);
        Ok(fields)
    }

    /// The fields of `config.json` for this encoder without a head.
    ///
    /// # Errors
    ///
    /// As [`encoder_config`](Self::encoder_config).
    pub fn encoder_fields(&self) -> Result<Map<String, Value>, CheckpointError> {
        let mut fields = self.fields().clone();
        let class = format!("{}Model", self.family_class()?);
        fields.insert("architectures".into(), json!([class]));
        Ok(fields)
    }

    /// What the names of transformers' classes begin with.
    fn family_class(&self) -> Result<&'static str, CheckpointError> {
        let family = (self.encoder_config()?, self.fields()["model_type"].as_str());
        Ok(match family {
            (_, Some("xlm-roberta")) => "XLMRoberta",
            (EncoderConfig::Bert(_), _) => "Bert",
            (EncoderConfig::Roberta(_), _) => "Roberta",
            (EncoderConfig::DistilBert(_), _) => "DistilBert",
            (EncoderConfig::ModernBert(_), _) => "ModernBert",
        })
    }

    /// The tensors beside known heads by their paths in a model with a head, and the parameters of
    /// the encoder in it.
    pub(super) fn of_encoder(
        &self,
        config: &EncoderConfig,
        device: &Device,
    ) -> Result<(BTreeMap<String, Place>, Vec<StoredParam>), CheckpointError> {
        let mut places = self.encoder_places(config, true)?;
        places.retain(|path, _| !HEADS.iter().any(|head| path.starts_with(head)));
        let mut params = stored_params(&config.encoder(true, device));
        for param in &mut params {
            param.path.insert_str(0, base(config));
        }
        Ok((places, params))
    }

    /// The tensors by their paths in a model with a head, or in one without.
    pub(super) fn encoder_places(
        &self,
        config: &EncoderConfig,
        headed: bool,
    ) -> Result<BTreeMap<String, Place>, CheckpointError> {
        let base = base(config);
        let stored = self.stored()?;
        let bare = !stored.keys().any(|key| key.starts_with(base));
        let mut places = BTreeMap::new();
        let mut problems = Vec::new();
        for (key, place) in stored {
            let name = match key.strip_prefix(base) {
                Some(name) => name.to_owned(),
                None if bare && !HEADS.iter().any(|head| key.starts_with(head)) => key.clone(),
                // A head is beside the encoder, or nowhere.
                None if headed => {
                    places.insert(key, place);
                    continue;
                }
                None => continue,
            };
            if BUFFERS.contains(&name.as_str()) {
                continue;
            }
            // As the first releases called the parameters of norms.
            let name = match (name.strip_suffix(".gamma"), name.strip_suffix(".beta")) {
                (Some(norm), _) => format!("{norm}.weight"),
                (_, Some(norm)) => format!("{norm}.bias"),
                _ => name,
            };
            let path = match headed {
                true => format!("{base}{name}"),
                false => name,
            };
            if places.insert(path, place).is_some() {
                problems.push(TensorProblem::Twice { key });
            }
        }
        match problems.is_empty() {
            true => Ok(places),
            false => Err(self.tensors_error(problems)),
        }
    }

    /// `model` with these tensors. Of its head, each module is in the file or fresh; a head or
    /// pooling layer that it does not have is left out.
    fn head<M: Module>(
        &self,
        model: M,
        mut places: BTreeMap<String, Place>,
        base: &str,
        dtype: DType,
    ) -> Result<HeadedModel<M>, CheckpointError> {
        let pooler = format!("{base}{POOLER}");
        let beside = |path: &str| !path.starts_with(base) || path.starts_with(&pooler);
        let expected: Vec<String> = stored_params(&model)
            .into_iter()
            .map(|param| param.path)
            .collect();
        places.retain(|path, _| {
            let foreign =
                path.starts_with(&pooler) || HEADS.iter().any(|head| path.starts_with(head));
            !foreign || expected.contains(path)
        });
        let module = |path: &str| match path.starts_with(&pooler) {
            true => POOLER.trim_end_matches('.').to_owned(),
            false => path.split('.').next().unwrap_or(path).to_owned(),
        };
        let mut fresh: Vec<String> = Vec::new();
        if self.new_head() && expected.iter().any(|path| is_output(path)) {
            places.retain(|path, _| !is_output(path));
            fresh.push(CLASSIFIER.into());
        }
        for path in expected.iter().filter(|path| beside(path)) {
            let module = module(path);
            let start = match module.as_str() {
                "pooler" => pooler.clone(),
                module => format!("{module}."),
            };
            let there = places.keys().any(|path| path.starts_with(&start));
            if !there && !fresh.contains(&module) {
                fresh.push(module);
            }
        }
        let optional = |path: &str| beside(path) && fresh.contains(&module(path));
        let model = self.fill(model, places, dtype, optional)?;
        Ok(HeadedModel { model, fresh })
    }
}

/// Whether a parameter is one of the layer that tells labels.
fn is_output(path: &str) -> bool {
    OUTPUTS.iter().any(|layer| {
        let param = path.strip_prefix(layer);
        param.is_some_and(|param| matches!(param, "weight" | "bias"))
    })
}

/// Where the encoder lies in a model with a head.
fn base(config: &EncoderConfig) -> &'static str {
    match config {
        EncoderConfig::Bert(_) => "bert.",
        EncoderConfig::Roberta(_) => "roberta.",
        EncoderConfig::DistilBert(_) => "distilbert.",
        EncoderConfig::ModernBert(_) => "model.",
    }
}
