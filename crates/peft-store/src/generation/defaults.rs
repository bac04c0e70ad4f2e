//! [`GenerationDefaults`]: how a checkpoint's authors would have it generate.

use std::io::ErrorKind;
use std::path::PathBuf;

use peft_files::{Folder, NotFinite, python_json};
use serde_json::{Map, Value};

use super::{GenerationConfigError, GenerationFlags, GenerationSettings};
use crate::LARGEST_JSON;
use crate::fields::Fields;

/// transformers draws from the likeliest 50 where nothing says how many.
const TOP_K: usize = 50;

/// What is not done here, with the values that change nothing.
const LEFT_OUT: [(&str, &[f64]); 17] = [
    ("num_beams", &[1.0]),
    ("num_beam_groups", &[1.0]),
    ("penalty_alpha", &[0.0]),
    ("dola_layers", &[]),
    ("encoder_repetition_penalty", &[1.0]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("force_words_ids", &[]),
    ("constraints", &[]),
    ("forced_bos_token_id", &[]),
    ("forced_eos_token_id", &[]),
    ("sequence_bias", &[]),
    ("exponential_decay_length_penalty", &[]),
    ("guidance_scale", &[1.0]),
    ("watermarking_config", &[]),
    ("stop_strings", &[]),
    ("token_healing", &[]),
    ("max_time", &[]),
];

/// As above, of what acts where tokens are drawn.
const LEFT_OUT_OF_DRAWING: [(&str, &[f64]); 4] = [
    ("typical_p", &[1.0]),
    ("top_h", &[]),
    ("epsilon_cutoff", &[0.0]),
    ("eta_cutoff", &[0.0]),
];

/// How a checkpoint's authors would have it generate: `generation_config.json`, or where there is
/// none `config.json`, which older models have these fields in. The end-of-sequence tokens are not
/// among them: the tokenizer has those.
#[derive(Debug, Clone, Default)]
pub struct GenerationDefaults {
    path: PathBuf,
    map: Map<String, Value>,
}

impl GenerationDefaults {
    /// Those of a checkpoint's folder.
    ///
    /// # Errors
    ///
    /// A [`GenerationConfigError`] where a file cannot be read.
    pub fn read(folder: impl Into<Folder>) -> Result<Self, GenerationConfigError> {
        let folder = folder.into();
        for name in ["generation_config.json", "config.json"] {
            if let Some(map) = read(&folder, name)? {
                let path = folder.file(name);
                return Ok(Self { path, map });
            }
        }
        Ok(Self::default())
    }

    /// What is done of them beside what was asked for, which goes before them: a field that is
    /// overridden is not looked at.
    ///
    /// Tokens are drawn where a temperature above 0 is asked for, or else where the file sets
    /// `do_sample`; only then do the fields that shape drawing act. A field that would change what
    /// is generated and is not supported is left out and named in
    /// [`notes`](GenerationSettings::notes).
    ///
    /// # Errors
    ///
    /// [`GenerationConfigError::Field`].
    pub fn with(
        &self,
        flags: &GenerationFlags,
    ) -> Result<GenerationSettings, GenerationConfigError> {
        let fields = Fields::new(&self.path, &self.map);
        let mut notes = Vec::new();
        let temperature = match flags.temperature {
            Some(temperature) => temperature,
            None if fields.flag("do_sample")? => {
                let found =
                    fields.number_in("temperature", "a number of 0 or more", |t| t >= 0.0)?;
                if found == Some(0.0) {
                    let file = fields.path().display();
                    notes.push(format!(
                        "{file} asks for drawing at temperature 0: the likeliest token is taken each time"
                    ));
                }
                found.unwrap_or(1.0)
            }
            None => 0.0,
        };
        let mut settings = GenerationSettings {
            temperature,
            repetition_penalty: fields
                .number_in("repetition_penalty", "a number above 0", |p| p > 0.0)?
                .unwrap_or(1.0),
            no_repeat_ngram_size: fields.optional_count("no_repeat_ngram_size")?.unwrap_or(0),
            bad_words: fields.sequences("bad_words_ids")?,
            suppressed: fields.tokens("suppress_tokens")?,
            suppressed_first: fields.tokens("begin_suppress_tokens")?,
            min_length: fields.optional_count("min_length")?.unwrap_or(0),
            min_new_tokens: fields.optional_count("min_new_tokens")?.unwrap_or(0),
            ..GenerationSettings::default()
        };
        if flags.max_new_tokens.is_none() {
            settings.max_new_tokens = fields.optional_count("max_new_tokens")?.filter(|n| *n > 0);
            settings.max_length = fields.optional_count("max_length")?;
        }
        settings.max_new_tokens = flags.max_new_tokens.or(settings.max_new_tokens);
        let drawn = temperature != 0.0;
        if drawn {
            settings.top_k = match flags.top_k {
                Some(top_k) => Some(top_k),
                None => Some(fields.optional_count("top_k")?.unwrap_or(TOP_K)).filter(|k| *k > 0),
            };
            settings.top_p = match flags.top_p {
                Some(top_p) => Some(top_p),
                None => fields
                    .number_in("top_p", "a number of 0 or more", |p| p >= 0.0)?
                    .filter(|p| *p < 1.0)
                    // 0 leaves the likeliest.
                    .map(|p| p.max(f64::MIN_POSITIVE)),
            };
            settings.min_p = match flags.min_p {
                Some(min_p) => Some(min_p),
                None => fields.number_in("min_p", "a number from 0 to 1", |p| {
                    (0.0..=1.0).contains(&p)
                })?,
            };
        } else {
            let shaping = [
                ("top-k", flags.top_k.is_some()),
                ("top-p", flags.top_p.is_some()),
                ("min-p", flags.min_p.is_some()),
            ];
            let idle = shaping.iter().filter(|(_, given)| *given);
            notes.extend(idle.map(|(flag, _)| {
                format!(
                    "--{flag} shapes drawing, and without --temperature above 0 nothing is drawn"
                )
            }));
        }
        let of_drawing = LEFT_OUT_OF_DRAWING.iter().filter(|_| drawn);
        for (field, neutral) in LEFT_OUT.iter().chain(of_drawing) {
            if fields.acts(field, neutral) {
                let value: String = fields.get(field).to_string().chars().take(60).collect();
                notes.push(format!(
                    "{} sets `{field}` to {value}, which is not supported and left out",
                    fields.path().display()
                ));
            }
        }
        settings.notes = notes;
        Ok(settings)
    }
}

fn read(folder: &Folder, name: &str) -> Result<Option<Map<String, Value>>, GenerationConfigError> {
    let path = || folder.file(name);
    let text = match folder.read_text(name, LARGEST_JSON) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(GenerationConfigError::Io {
                path: path(),
                source,
            });
        }
    };
    python_json(&text, NotFinite::Text)
        .map(Some)
        .map_err(|source| GenerationConfigError::Json {
            path: path(),
            source,
        })
}
