//! [`TextTokenizer`]: a checkpoint's tokenizer with its special tokens and chat templates.

mod around;
mod chat_template;
mod encode;
mod files;
mod generation_blocks;
mod jinja;
mod python_json;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::{PostProcessorWrapper, Tokenizer};

pub use chat_template::Rendered;
pub use encode::{EncodeSpecial, TextToken};
pub use words::WordEncoding;

use self::around::Around;
use self::chat_template::ChatTemplate;
use self::files::{DEFAULT, read_json, special_tokens, templates};
use crate::{Message, TrainError};

/// A checkpoint's tokenizer.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    /// Without its post-processor.
    inner: Tokenizer,
    /// What the post-processor puts around a text.
    around: Around,
    /// Special tokens by the names that templates know them by: `bos_token` ...
    special: Map<String, Value>,
    templates: BTreeMap<String, ChatTemplate>,
    template: String,
}

impl TextTokenizer {
    /// Read `tokenizer.json`, and if they are there `tokenizer_config.json`, `special_tokens_map.json` and the chat templates: in the config, in
    /// `chat_template.jinja` and in `additional_chat_templates/`.
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
        let around = take_around(&mut inner).map_err(failed)?;
        let config = read_json(&dir.join("tokenizer_config.json"))?;
        Ok(Self {
            inner,
            around,
            special: special_tokens(dir, &config)?,
            templates: templates(dir, &config)?,
            template: DEFAULT.into(),
        })
    }

    /// A tokenizer from its parts.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`] where its post-processor fails or does not keep a text as it is.
    pub fn new(
        mut inner: Tokenizer,
        bos: Option<String>,
        eos: Option<String>,
        template: Option<String>,
    ) -> Result<Self, TrainError> {
        let around = take_around(&mut inner);
        let around = around.map_err(|reason| TrainError::Tokenize { reason })?;
        let named = |name: &str, token: Option<String>| Some((name.to_owned(), token?.into()));
        let tokens = [named("bos_token", bos), named("eos_token", eos)];
        let template = template.map(|source| (DEFAULT.to_owned(), ChatTemplate::new(source)));
        Ok(Self {
            inner,
            around,
            special: tokens.into_iter().flatten().collect(),
            templates: template.into_iter().collect(),
            template: DEFAULT.into(),
        })
    }

    /// Another of the checkpoint's chat templates than its default.
    ///
    /// # Errors
    ///
    /// [`TrainError::UnknownTemplate`].
    pub fn with_chat_template(self, name: &str) -> Result<Self, TrainError> {
        if !self.templates.contains_key(name) {
            return Err(self.unknown_template(name));
        }
        Ok(Self {
            template: name.into(),
            ..self
        })
    }

    fn unknown_template(&self, name: &str) -> TrainError {
        TrainError::UnknownTemplate {
            name: name.into(),
            known: self.templates.keys().cloned().collect(),
        }
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
        self.inner
            .token_to_id(self.special.get("eos_token")?.as_str()?)
    }

    /// The number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether there is a chat template.
    pub fn has_chat_template(&self) -> bool {
        !self.templates.is_empty()
    }

    /// Whether the chat template says, in `{% generation %}` blocks, which text is the assistant's.
    pub fn marks_generation(&self) -> bool {
        let template = self.templates.get(&self.template);
        template.is_some_and(ChatTemplate::marks_generation)
    }

    /// A conversation as text by the chat template, with or without the beginning of the assistant's next turn.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoChatTemplate`], [`TrainError::UnknownTemplate`] where there are several and none is the default, or [`TrainError::ChatTemplate`].
    pub fn render(&self, messages: &[Message], generation: bool) -> Result<String, TrainError> {
        Ok(self.render_marked(messages, generation)?.text)
    }

    /// As [`render`](Self::render), with what the template says the assistant wrote.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render).
    pub fn render_marked(
        &self,
        messages: &[Message],
        generation: bool,
    ) -> Result<Rendered, TrainError> {
        match self.templates.get(&self.template) {
            Some(template) => template.render(messages, generation, &self.special),
            None if self.templates.is_empty() => Err(TrainError::NoChatTemplate),
            None => Err(self.unknown_template(&self.template)),
        }
    }
}

/// Take the post-processor out of a tokenizer.
fn take_around(inner: &mut Tokenizer) -> Result<Around, String> {
    let around = inner.get_post_processor().map(Around::of).transpose()?;
    inner.with_post_processor(None::<PostProcessorWrapper>);
    Ok(around.unwrap_or_default())
}

pub(super) fn tokenize(error: tokenizers::Error) -> TrainError {
    TrainError::Tokenize {
        reason: error.to_string(),
    }
}
