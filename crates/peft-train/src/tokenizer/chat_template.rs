//! [`ChatTemplate`]: a checkpoint's own way to write a conversation, in Jinja as transformers runs it.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

pub use peft_jinja::Rendered;
use peft_jinja::{JinjaError, Template};
use serde_json::{Map, Value, json};

use crate::{Message, TrainError};

/// A chat template. It is compiled when it is first used.
#[derive(Debug, Clone)]
pub(super) struct ChatTemplate {
    source: String,
    compiled: Arc<OnceLock<Result<Template, JinjaError>>>,
}

impl ChatTemplate {
    pub(super) fn new(source: String) -> Self {
        Self {
            source,
            compiled: Arc::default(),
        }
    }

    fn compiled(&self) -> Result<&Template, TrainError> {
        let compile = || {
            let template = Template::new(&self.source)?;
            Ok(template.with_function("strftime_now", Arc::new(strftime_now)))
        };
        self.compiled.get_or_init(compile).as_ref().map_err(failed)
    }

    /// Whether it says which text is the assistant's.
    pub(super) fn marks_generation(&self) -> bool {
        self.compiled().is_ok_and(Template::marks_generation)
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
        let mut context = special.clone();
        context.insert("messages".into(), json!(messages));
        context.insert("add_generation_prompt".into(), json!(generation));
        context.insert("tools".into(), Value::Null);
        context.insert("documents".into(), Value::Null);
        context.extend(variables.clone());
        self.compiled()?
            .render(&context)
            .map_err(|error| failed(&error))
    }
}

fn failed(error: &JinjaError) -> TrainError {
    TrainError::ChatTemplate {
        reason: error.to_string(),
    }
}

/// The local time in a format of C's `strftime`.
fn strftime_now(format: &str) -> Result<String, String> {
    let mut text = String::new();
    match write!(text, "{}", chrono::Local::now().format(format)) {
        Ok(()) => Ok(text),
        Err(_) => Err(format!("`{format}` is no date format")),
    }
}
