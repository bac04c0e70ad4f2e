//! [`TextTokenizer`]: a checkpoint's tokenizer with its special tokens and chat template.

mod words;

use std::fs;
use std::path::Path;

use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::Value;
use tokenizers::Tokenizer;

pub use words::WordEncoding;

use crate::{Message, TrainError};

/// A checkpoint's tokenizer.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    inner: Tokenizer,
    bos: Option<String>,
    eos: Option<String>,
    template: Option<String>,
}

impl TextTokenizer {
    /// Read `tokenizer.json`, and if they are there `tokenizer_config.json` and `chat_template.jinja`.
    ///
    /// # Errors
    ///
    /// A [`TrainError`] that names the file.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, TrainError> {
        let dir = dir.as_ref();
        let path = dir.join("tokenizer.json");
        let failed = |reason: String| TrainError::Tokenizer {
            path: path.clone(),
            reason,
        };
        if !path.is_file() {
            return Err(failed("there is no such file".into()));
        }
        let mut inner = Tokenizer::from_file(&path).map_err(|error| failed(error.to_string()))?;
        // Padding and truncation are the batch's business.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|error| failed(error.to_string()))?;
        let config_path = dir.join("tokenizer_config.json");
        let config: Value = match fs::read_to_string(&config_path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| TrainError::Tokenizer {
                path: config_path.clone(),
                reason: error.to_string(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
            Err(source) => {
                return Err(TrainError::Io {
                    action: "read",
                    path: config_path,
                    source,
                });
            }
        };
        let template = match fs::read_to_string(dir.join("chat_template.jinja")) {
            Ok(text) => Some(text),
            Err(_) => config["chat_template"].as_str().map(str::to_owned),
        };
        Ok(Self::new(
            inner,
            special(&config["bos_token"]),
            special(&config["eos_token"]),
            template,
        ))
    }

    /// A tokenizer from its parts.
    pub fn new(
        inner: Tokenizer,
        bos: Option<String>,
        eos: Option<String>,
        template: Option<String>,
    ) -> Self {
        Self {
            inner,
            bos,
            eos,
            template,
        }
    }

    /// The tokens of a text; `special` says whether the tokenizer adds its special tokens.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TrainError> {
        let encoding = self.inner.encode_fast(text, special).map_err(tokenize)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens, without special ones.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, TrainError> {
        self.inner.decode(ids, true).map_err(tokenize)
    }

    /// The end-of-sequence token.
    pub fn eos(&self) -> Option<u32> {
        self.inner.token_to_id(self.eos.as_deref()?)
    }

    /// The number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether there is a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// A conversation as text by the chat template, with or without the beginning of the assistant's next turn.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoChatTemplate`] or [`TrainError::ChatTemplate`].
    pub fn render(&self, messages: &[Message], generation: bool) -> Result<String, TrainError> {
        let template = self.template.as_ref().ok_or(TrainError::NoChatTemplate)?;
        let failed = |error: Error| TrainError::ChatTemplate {
            reason: error.to_string(),
        };
        let mut env = Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function(
            "raise_exception",
            |message: String| -> Result<String, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        env.add_template("chat", template).map_err(failed)?;
        env.get_template("chat")
            .and_then(|template| {
                template.render(context! {
                    messages,
                    add_generation_prompt => generation,
                    bos_token => self.bos.as_deref().unwrap_or(""),
                    eos_token => self.eos.as_deref().unwrap_or(""),
                })
            })
            .map_err(failed)
    }
}

/// A special token, written as a string or as an object with its content.
fn special(value: &Value) -> Option<String> {
    value
        .as_str()
        .or_else(|| value["content"].as_str())
        .map(str::to_owned)
}

pub(super) fn tokenize(error: tokenizers::Error) -> TrainError {
    TrainError::Tokenize {
        reason: error.to_string(),
    }
}
