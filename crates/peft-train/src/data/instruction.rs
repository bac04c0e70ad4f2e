//! [`Instruction`]: an instruction and its answer, as Alpaca's rows have them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Message;

/// What Alpaca's prompts begin with, where nothing is given to work on.
const ALONE: &str = "Below is an instruction that describes a task. Write a response that appropriately completes the request.";
/// What they begin with, where something is.
const WITH_INPUT: &str = "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.";

/// An instruction and its answer. A model with a chat template reads it as a conversation of two
/// turns, one without as Alpaca's prompt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instruction {
    /// What is to be done.
    pub instruction: String,
    /// What it is to be done with; may be empty.
    pub input: String,
    /// The answer.
    pub output: String,
    /// What the system says.
    pub system: Option<String>,
}

impl Instruction {
    pub(super) fn parse(row: &Map<String, Value>) -> Result<Self, String> {
        let text = |key: &str| match row.get(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            None | Some(Value::Null) => Ok(String::new()),
            Some(_) => Err(format!("`{key}` is not a string")),
        };
        let filled = |key: &str| match text(key)? {
            text if text.is_empty() => Err(format!("`{key}` is empty")),
            text => Ok(text),
        };
        Ok(Self {
            instruction: filled("instruction")?,
            input: text("input")?,
            output: filled("output")?,
            system: Some(text("system")?).filter(|system| !system.is_empty()),
        })
    }

    /// The instruction with what it is to be done with behind it, on a line of its own.
    pub fn request(&self) -> String {
        match self.input.is_empty() {
            true => self.instruction.clone(),
            false => format!("{}\n{}", self.instruction, self.input),
        }
    }

    /// The conversation that it is.
    pub fn messages(&self) -> Vec<Message> {
        let turn = |role: &str, content: String| Message::new(role, json!(content));
        let system = self.system.clone().map(|system| turn("system", system));
        let turns = [
            turn("user", self.request()),
            turn("assistant", self.output.clone()),
        ];
        system.into_iter().chain(turns).collect()
    }

    /// Alpaca's prompt, which the answer follows. What the system says takes the place of its first
    /// sentences.
    pub fn prompt(&self) -> String {
        let (begin, input) = match self.input.is_empty() {
            true => (ALONE, String::new()),
            false => (WITH_INPUT, format!("### Input:\n{}\n\n", self.input)),
        };
        let begin = self.system.as_deref().unwrap_or(begin);
        let instruction = &self.instruction;
        format!("{begin}\n\n### Instruction:\n{instruction}\n\n{input}### Response:\n")
    }
}
