//! [`ChatTemplate`]: a checkpoint's own way to write a conversation, in Jinja as transformers runs
//! it.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

pub use peft_jinja::Rendering;
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

    /// A conversation with what transformers gives a template: `messages`, `add_generation_prompt`,
    /// `tools` and `documents`, which are none where `variables` has none, and the special tokens.
    pub(super) fn render(
        &self,
        messages: &[Message],
        variables: &Map<String, Value>,
        generation: bool,
        special: &Map<String, Value>,
    ) -> Result<Rendering, TrainError> {
        let mut context = special.clone();
        let messages = messages.iter().map(|message| as_given(message.fields()));
        context.insert("messages".into(), messages.collect());
        context.insert("add_generation_prompt".into(), json!(generation));
        context.insert("tools".into(), Value::Null);
        context.insert("documents".into(), Value::Null);
        context.extend(variables.clone());
        self.compiled()?
            .render(&context)
            .map_err(|error| failed(&error))
    }
}

/// A message as transformers gives it to a template: without the keys that are null, and with its
/// reasoning under the names that templates read it by.
fn as_given(fields: &Map<String, Value>) -> Map<String, Value> {
    const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];
    let there = fields.iter().filter(|(_, value)| !value.is_null());
    let there = there.map(|(key, value)| (key.clone(), value.clone()));
    let reasoning = REASONING
        .iter()
        .find_map(|key| fields.get(*key).filter(|value| !value.is_null()));
    let Some(reasoning) = reasoning else {
        return there.collect();
    };
    let first = [("thinking".to_owned(), reasoning.clone())].into_iter();
    let mut given: Map<String, Value> = first.chain(there).collect();
    given.insert("reasoning_content".into(), reasoning.clone());
    given
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
