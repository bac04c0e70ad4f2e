//! [`TextTokenizer`]: a checkpoint's tokenizer with its special tokens and chat templates.

mod chat_template;
mod classes;
mod declared_tokens;
mod enclosing_tokens;
mod encode;
mod end_tokens;
mod files;
mod grown;
mod outline;
mod pattern;
mod special;
mod steps;
mod text_stream;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use peft_files::{Folder, guarded};
use serde_json::{Map, Value};
use tokenizers::{PostProcessorWrapper, Tokenizer};

pub use chat_template::Rendering;
pub use encode::{EncodeSpecial, TextToken};
pub use grown::{AddTokensError, with_tokens};
pub use text_stream::TextStream;
pub use words::{TextEncoding, WordEncoding};

use self::chat_template::ChatTemplate;
use self::classes::Class;
use self::declared_tokens::DeclaredTokens;
use self::enclosing_tokens::{EnclosingPair, EnclosingTokens};
use self::end_tokens::EndTokens;
use self::files::{DEFAULT, read, read_json, templates, wrong};
use self::outline::{Growth, Outline};
use self::special::Special;
use crate::{Message, TrainError};

/// The largest `tokenizer.json` that is read; the field's largest have some 40 MB.
const LARGEST: u64 = 512 << 20;
/// The most bytes that a text may become in the tokenizer's hands, which keeps some thirty bytes
/// for each.
const TEXT: u64 = 128 << 20;

/// The chat template of conversations with tools, by the name that it has in transformers.
const TOOL_USE: &str = "tool_use";

/// A checkpoint's tokenizer.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    /// Its file, or nothing where it was made in memory.
    path: PathBuf,
    /// Without its post-processor.
    inner: Tokenizer,
    /// What the post-processor puts around a text.
    around: EnclosingTokens,
    /// And around a pair of them, or why it is not known.
    around_pair: Result<EnclosingPair, String>,
    growth: Growth,
    special: Special,
    ends: EndTokens,
    templates: BTreeMap<String, ChatTemplate>,
    /// The name of the one that was asked for.
    template: Option<String>,
    /// The class whose way of reading `tokenizer.json` is not known here.
    unlike: Option<String>,
}

impl TextTokenizer {
    /// Read `tokenizer.json`, and what there is beside it of `tokenizer_config.json`,
    /// `special_tokens_map.json`, `added_tokens.json`, `generation_config.json` and `config.json`;
    /// and the chat templates, in `chat_template.jinja` and `additional_chat_templates/`, or else
    /// in the config.
    ///
    /// # Errors
    ///
    /// A [`TrainError`] that names the file.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, TrainError> {
        let folder = Folder::from(dir);
        Self::from_folders(&folder, &folder, &folder)
    }

    /// As [`from_dir`](Self::from_dir), with the tokenizer, the chat templates and the model that
    /// they are for each in a folder: an adapter may have the first two beside it, and what a file
    /// holds in the place of a directory's files is one.
    ///
    /// # Errors
    ///
    /// A [`TrainError`] that names the file.
    pub fn from_folders(
        folder: &Folder,
        of_templates: &Folder,
        model: &Folder,
    ) -> Result<Self, TrainError> {
        let path = folder.file("tokenizer.json");
        let failed = |reason: String| wrong(&path, reason);
        let text = read(folder, "tokenizer.json", LARGEST)?;
        let text = text.ok_or_else(|| failed("there is no such file".into()))?;
        let tokenizer_config = read_json(folder, "tokenizer_config.json")?;
        let config = read_json(model, "config.json")?;
        let outline = Outline::read(&text).map_err(failed)?;
        let class = Class::of(&tokenizer_config, &config, text.contains("\"ByteLevel\""));
        let class = class.with_model(&outline.model.kind);
        let mut said = DeclaredTokens::read(folder, &tokenizer_config)?;
        let rebuilt = said.rebuilt(&text, outline.added_tokens, &class, &tokenizer_config);
        let text = rebuilt.map_err(failed)?.unwrap_or(text);
        let growth = Outline::check(&text).map_err(failed)?;
        let mut inner = guarded(|| text.parse::<Tokenizer>())
            .and_then(|inner| inner.map_err(|error| error.to_string()))
            .map_err(failed)?;
        let (mut around, mut around_pair) = take_around(&mut inner).map_err(failed)?;
        let special =
            guarded(|| Special::of(said, &class, &path, &mut inner)).map_err(failed)??;
        if let Some(names) = class.around() {
            around = special.around(names, &class, &inner).map_err(failed)?;
            let pair = class
                .between()
                .ok_or_else(|| format!("{} has no way of its own to write two", class.name));
            around_pair = pair.map(|(times, of)| EnclosingPair::by(&around, times, of));
        }
        if let Some(split) = tokenizer_config["split_special_tokens"].as_bool() {
            inner.set_encode_special_tokens(split);
        }
        let eos = special.id("eos_token", &inner);
        let ends = EndTokens::read(model, &config, eos, around.end.last().copied())?;
        let config_of_templates = match of_templates == folder {
            true => tokenizer_config,
            false => read_json(of_templates, "tokenizer_config.json")?,
        };
        // Padding and truncation are the batch's business.
        inner.with_padding(None);
        let unlimited = inner.with_truncation(None).map(drop);
        unlimited.map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            path,
            inner,
            around,
            around_pair,
            growth,
            special,
            ends,
            templates: templates(of_templates, &config_of_templates)?,
            template: None,
            unlike: class.unlike(),
        })
    }

    /// A tokenizer from its parts, which are trusted: nothing bounds how much longer it makes a
    /// text.
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
        let (around, around_pair) = around.map_err(|reason| TrainError::Tokenize { reason })?;
        let special = Special::new([("bos_token", bos), ("eos_token", eos)]);
        let end = special.id("eos_token", &inner);
        let template = template.map(|source| (DEFAULT.to_owned(), ChatTemplate::new(source)));
        Ok(Self {
            path: PathBuf::new(),
            inner,
            around,
            around_pair,
            growth: Growth {
                encoded: 1,
                decoded: 1,
            },
            special,
            ends: EndTokens {
                end,
                stops: end.into_iter().collect(),
            },
            templates: template.into_iter().collect(),
            template: None,
            unlike: None,
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
            template: Some(name.into()),
            ..self
        })
    }

    fn unknown_template(&self, name: &str) -> TrainError {
        TrainError::UnknownTemplate {
            name: name.into(),
            known: self.templates.keys().cloned().collect(),
        }
    }

    /// The text of tokens, without special ones and without those that the tokenizer does not have.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, TrainError> {
        self.run(|inner| inner.decode(ids, true))
    }

    /// Runs the tokenizer. Where it fails or panics, that is its file's fault.
    fn run<T>(
        &self,
        work: impl FnOnce(&Tokenizer) -> tokenizers::Result<T>,
    ) -> Result<T, TrainError> {
        let result = guarded(|| work(&self.inner));
        let result = result.and_then(|result| result.map_err(|error| error.to_string()));
        result.map_err(|reason| TrainError::Tokenize {
            reason: match self.path.as_os_str().is_empty() {
                true => reason,
                false => format!("{reason} ({})", self.path.display()),
            },
        })
    }

    /// The end-of-sequence token, which completions are trained to end with: the tokenizer's own,
    /// else the first that the model's files name.
    pub fn eos(&self) -> Option<u32> {
        self.ends.end
    }

    /// The token for what the tokenizer has no other for; none where that ends or begins a text
    /// too, as a tokenizer of bytes has it, which knows every text.
    pub fn unknown(&self) -> Option<u32> {
        let named = |name| self.special.id(name, &self.inner);
        let unknown = named("unk_token");
        unknown.filter(|_| unknown != self.eos() && unknown != named("bos_token"))
    }

    /// The text that each token adds to those before it, special ones too. A token that has part of
    /// a character adds nothing, and the one that ends the character all of it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn texts(&self, ids: &[u32]) -> Result<Vec<String>, TrainError> {
        /// Tokens before that may decide how one is written.
        const BEFORE: usize = 4;
        let text = |ids: &[u32]| self.run(|inner| inner.decode(ids, false));
        let mut texts = Vec::with_capacity(ids.len());
        let mut told = 0usize;
        for end in 1..=ids.len() {
            let from = told.saturating_sub(BEFORE);
            let (before, all) = (text(&ids[from..told])?, text(&ids[from..end])?);
            let more = all.strip_prefix(before.as_str()).unwrap_or(&all);
            let part = more.ends_with('\u{fffd}') && end < ids.len() && end - told < BEFORE;
            texts.push(if part { String::new() } else { more.to_owned() });
            told = if part { told } else { end };
        }
        Ok(texts)
    }

    /// The tokens that generation stops at: the end-of-sequence token, and all that the model's
    /// files name.
    pub fn stops(&self) -> &[u32] {
        &self.ends.stops
    }

    /// Checks the end-of-sequence token against a model's vocabulary, and says what is to be said
    /// where there is none: which files were looked at.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenizer`] where the model does not have the token.
    pub fn check_end(&self, vocab_size: usize) -> Result<Option<String>, TrainError> {
        match self.eos() {
            Some(id) if id as usize >= vocab_size => {
                let token = self.inner.id_to_token(id).unwrap_or_default();
                let why = match self.special.appended.contains(&token) {
                    true => "which tokenizer.json does not have, so that it would be",
                    false => "which is",
                };
                let reason = format!(
                    "the end-of-sequence token is `{token}`, {why} token {id}, but the model's \
                     vocabulary has {vocab_size}"
                );
                Err(wrong(&self.path, reason))
            }
            _ => Ok(self.ends.missing()),
        }
    }

    /// The class of transformers that its files name, where that does not take `tokenizer.json` as
    /// it is, as is done here.
    pub fn unlike_class(&self) -> Option<&str> {
        self.unlike.as_deref()
    }

    /// A special token by its name, as `bos_token`.
    pub fn special_token(&self, name: &str) -> Option<&str> {
        self.special.named.get(name)?.as_str()
    }

    /// The number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether there is a chat template.
    pub fn has_chat_template(&self) -> bool {
        !self.templates.is_empty()
    }

    /// The name of the chat template for what a conversation has beside its messages: the one that
    /// was asked for; else with tools `tool_use`, if there is one, as in transformers; else the
    /// default.
    fn template(&self, variables: &Map<String, Value>) -> &str {
        let tools = variables.get("tools").is_some_and(|tools| !tools.is_null());
        match &self.template {
            Some(name) => name,
            None if tools && self.templates.contains_key(TOOL_USE) => TOOL_USE,
            None => DEFAULT,
        }
    }

    /// Whether the chat template says, in `{% generation %}` blocks, which text is the assistant's,
    /// where it gets these beside the messages.
    pub fn marks_generation(&self, variables: &Map<String, Value>) -> bool {
        let template = self.templates.get(self.template(variables));
        template.is_some_and(ChatTemplate::marks_generation)
    }

    /// A conversation as text by the chat template, with or without the beginning of the
    /// assistant's next turn.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoChatTemplate`], [`TrainError::UnknownTemplate`] where there are several and
    /// none is the default, or [`TrainError::ChatTemplate`].
    pub fn render(&self, messages: &[Message], generation: bool) -> Result<String, TrainError> {
        Ok(self.render_marked(messages, &Map::new(), generation)?.text)
    }

    /// As [`render`](Self::render), with more for the template than the messages, as `tools`; and
    /// what it says the assistant wrote.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render).
    pub fn render_marked(
        &self,
        messages: &[Message],
        variables: &Map<String, Value>,
        generation: bool,
    ) -> Result<Rendering, TrainError> {
        let name = self.template(variables);
        match self.templates.get(name) {
            Some(template) => template.render(messages, variables, generation, &self.special.named),
            None if self.templates.is_empty() => Err(TrainError::NoChatTemplate),
            None => Err(self.unknown_template(name)),
        }
    }
}

/// Take the post-processor out of a tokenizer: what it puts around a text, and around a pair.
fn take_around(
    inner: &mut Tokenizer,
) -> Result<(EnclosingTokens, Result<EnclosingPair, String>), String> {
    let around = guarded(|| {
        let processor = inner.get_post_processor();
        let one = processor.map(EnclosingTokens::of).transpose();
        Ok::<_, String>((one?, EnclosingPair::of(processor)))
    })
    .map_err(|reason| format!("its post-processor fails: {reason}"))?;
    inner.with_post_processor(None::<PostProcessorWrapper>);
    let (one, pair) = around?;
    Ok((one.unwrap_or_default(), pair))
}
