//! [`GenerationDefaults`]: how a checkpoint's authors would have it generate.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::GenerationConfigError;
use super::fields::Fields;

/// transformers draws from the likeliest 50 where a file that asks for drawing does not say.
const TOP_K: usize = 50;

/// What is not done here, with the values that change nothing.
const UNSUPPORTED: [(&str, &[f64]); 25] = [
    ("num_beams", &[1.0]),
    ("num_beam_groups", &[1.0]),
    ("penalty_alpha", &[0.0]),
    ("dola_layers", &[]),
    ("typical_p", &[1.0]),
    ("min_p", &[0.0]),
    ("top_h", &[]),
    ("epsilon_cutoff", &[0.0]),
    ("eta_cutoff", &[0.0]),
    ("encoder_repetition_penalty", &[1.0]),
    ("no_repeat_ngram_size", &[0.0]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("bad_words_ids", &[]),
    ("force_words_ids", &[]),
    ("constraints", &[]),
    ("forced_bos_token_id", &[]),
    ("forced_eos_token_id", &[]),
    ("suppress_tokens", &[]),
    ("begin_suppress_tokens", &[]),
    ("sequence_bias", &[]),
    ("exponential_decay_length_penalty", &[]),
    ("guidance_scale", &[1.0]),
    ("min_length", &[0.0]),
    ("min_new_tokens", &[0.0]),
    ("stop_strings", &[]),
];

/// How a checkpoint's authors would have it generate, by `generation_config.json`. A command's own flags go before these.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationDefaults {
    /// Tokens that end a text.
    pub eos: Vec<u32>,
    /// At most this many new tokens.
    pub max_new_tokens: Option<usize>,
    /// At most this many tokens with the prompt's; of no effect beside `max_new_tokens`.
    pub max_length: Option<usize>,
    /// 0 takes the likeliest token; above it, tokens are drawn.
    pub temperature: f64,
    /// Draw only from so many.
    pub top_k: Option<usize>,
    /// Draw only from those that together have this probability.
    pub top_p: Option<f64>,
    /// What the scores of tokens that are there already are divided by, or multiplied by where negative; 1 for nothing.
    pub repetition_penalty: f64,
}

impl Default for GenerationDefaults {
    /// The likeliest token each time, without end.
    fn default() -> Self {
        Self {
            eos: Vec::new(),
            max_new_tokens: None,
            max_length: None,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            repetition_penalty: 1.0,
        }
    }
}

impl GenerationDefaults {
    /// Those of a checkpoint directory: of its `generation_config.json`, or where there is none the end token of its `config.json`.
    ///
    /// # Errors
    ///
    /// A [`GenerationConfigError`]; fields that would change what is generated and are not supported are named together.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, GenerationConfigError> {
        let dir = dir.as_ref();
        let path = dir.join("generation_config.json");
        if let Some(map) = read(&path)? {
            return Self::parse(&path, &map);
        }
        let path = dir.join("config.json");
        let map = read(&path)?.unwrap_or_default();
        let fields = Fields {
            path: &path,
            map: &map,
        };
        Ok(Self {
            eos: fields.tokens("eos_token_id")?,
            ..Self::default()
        })
    }

    fn parse(path: &Path, map: &Map<String, Value>) -> Result<Self, GenerationConfigError> {
        let fields = Fields { path, map };
        let acting = UNSUPPORTED
            .iter()
            .filter(|(field, neutral)| fields.acts(field, neutral));
        let acting: Vec<String> = acting
            .map(|(field, _)| format!("`{field}` to {}", map[*field]))
            .collect();
        if !acting.is_empty() {
            return Err(GenerationConfigError::Unsupported {
                path: path.into(),
                fields: acting,
            });
        }
        let penalty = fields.positive("repetition_penalty")?;
        let defaults = Self {
            eos: fields.tokens("eos_token_id")?,
            max_new_tokens: fields.count("max_new_tokens")?,
            max_length: fields.count("max_length")?,
            repetition_penalty: penalty.unwrap_or(1.0),
            ..Self::default()
        };
        if fields.flag("do_sample")? != Some(true) {
            return Ok(defaults);
        }
        Ok(Self {
            temperature: fields.positive("temperature")?.unwrap_or(1.0),
            top_k: Some(fields.count("top_k")?.unwrap_or(TOP_K)).filter(|k| *k > 0),
            top_p: fields.positive("top_p")?.filter(|p| *p < 1.0),
            ..defaults
        })
    }
}

fn read(path: &Path) -> Result<Option<Map<String, Value>>, GenerationConfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(GenerationConfigError::Io {
                path: path.into(),
                source,
            });
        }
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|source| GenerationConfigError::Json {
            path: path.into(),
            source,
        })
}
