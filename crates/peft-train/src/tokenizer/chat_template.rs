//! [`ChatTemplate`]: a checkpoint's own way to write a conversation, in Jinja as transformers runs it.

use std::sync::{Arc, OnceLock};

use minijinja::{Environment, Error};
use serde_json::{Map, Value, json};

use super::{generation_blocks, jinja};
use crate::{Message, TrainError};

const NAME: &str = "chat";

/// A conversation as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The bytes of the text that the template says the assistant wrote, in `{% generation %}` blocks.
    pub generated: Vec<std::ops::Range<usize>>,
}

/// A chat template. It is compiled when it is first used.
#[derive(Debug, Clone)]
pub(super) struct ChatTemplate {
    source: String,
    env: Arc<OnceLock<Result<Environment<'static>, String>>>,
}

impl ChatTemplate {
    pub(super) fn new(source: String) -> Self {
        Self {
            source,
            env: Arc::default(),
        }
    }

    /// Whether it says which text is the assistant's.
    pub(super) fn marks_generation(&self) -> bool {
        generation_blocks::translate(&self.source).1
    }

    /// A conversation with what transformers gives a template: `messages`, `add_generation_prompt`, `tools` and `documents`, which are none where `variables` has
    /// none, and the special tokens.
    pub(super) fn render(
        &self,
        messages: &[Message],
        variables: &Map<String, Value>,
        generation: bool,
        special: &Map<String, Value>,
    ) -> Result<Rendered, TrainError> {
        let failed = |reason: String| TrainError::ChatTemplate { reason };
        let env = self.env.get_or_init(|| self.compile());
        let env = env.as_ref().map_err(|reason| failed(reason.clone()))?;
        let mut context = special.clone();
        context.insert("messages".into(), json!(messages));
        context.insert("add_generation_prompt".into(), json!(generation));
        context.insert("tools".into(), Value::Null);
        context.insert("documents".into(), Value::Null);
        context.extend(variables.clone());
        let text = env
            .get_template(NAME)
            .and_then(|template| template.render(context))
            .map_err(|error| failed(shown(&error)))?;
        Ok(generation_blocks::spans(&text))
    }

    fn compile(&self) -> Result<Environment<'static>, String> {
        let mut env = jinja::environment();
        let source = generation_blocks::translate(&self.source).0;
        let added = env.add_template_owned(NAME, source);
        added.map_err(|error| shown(&error))?;
        Ok(env)
    }
}

/// An error with what led to it.
fn shown(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
