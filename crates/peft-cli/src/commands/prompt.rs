//! [`Prompt`]: what a model is to go on with.

use std::path::Path;

use peft_files::{NotFinite, python_json};
use peft_train::{EncodeSpecial, Message, TextTokenizer, conversation, template_variables};
use serde_json::{Map, Value, json};

use crate::args::GenerateArgs;
use crate::error::CliError;

/// The largest file of messages that is read.
const LARGEST: u64 = 256 << 20;

/// The tokens of a prompt, and what is to be said of how they came about.
pub(super) struct Prompt {
    pub(super) ids: Vec<u32>,
    pub(super) notes: Vec<String>,
    /// Whether the chat template that there is was passed over.
    pub(super) raw_of_chat: bool,
}

impl Prompt {
    /// A user's turn by the chat template, where there is one; the bare text where there is none or
    /// `--raw` asks for that.
    pub(super) fn of(args: &GenerateArgs, tokenizer: &TextTokenizer) -> Result<Self, CliError> {
        let has_template = tokenizer.has_chat_template();
        if args.raw || !has_template {
            let chat = [
                ("system", args.system.is_some()),
                ("messages", args.messages.is_some()),
            ];
            if let Some((flag, _)) = chat.iter().find(|(_, given)| *given) {
                return Err(CliError::Usage(format!(
                    "--{flag} is written by a chat template, and {} has none",
                    args.model.model.display()
                )));
            }
            return Ok(Self {
                ids: tokenizer.encode_prompt(args.text())?,
                notes: Vec::new(),
                raw_of_chat: has_template,
            });
        }
        let mut notes = Vec::new();
        let (messages, variables) = match &args.messages {
            Some(path) => read(path, args.system.as_deref())?,
            None => {
                notes.push("the prompt is a user's turn in the model's chat template; --raw continues it as it is".to_owned());
                if let Some(token) = tokenizer.special_in(args.text()) {
                    notes.push(format!(
                        "the prompt has the special token `{token}`: if it is a conversation by the template already, give --raw"
                    ));
                }
                (turns(args.system.as_deref(), args.text())?, Map::new())
            }
        };
        let text = tokenizer.render_marked(&messages, &variables, true)?.text;
        Ok(Self {
            ids: tokenizer.encode(&text, EncodeSpecial::None)?,
            notes,
            raw_of_chat: false,
        })
    }
}

/// A user's turn, behind the system's.
fn turns(system: Option<&str>, user: &str) -> Result<Vec<Message>, CliError> {
    let mut turns = Vec::new();
    if let Some(system) = system {
        turns.push(json!({ "role": "system", "content": system }));
    }
    turns.push(json!({ "role": "user", "content": user }));
    conversation(&Value::Array(turns)).map_err(CliError::Usage)
}

/// The messages of a file, a list or a row that has them, and what else the row has for a template.
fn read(path: &Path, system: Option<&str>) -> Result<(Vec<Message>, Map<String, Value>), CliError> {
    let wrong = |why: String| CliError::Usage(format!("{}: {why}", path.display()));
    let text = peft_files::read_text(path, LARGEST).map_err(|source| CliError::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let mut value: Value =
        python_json(text, NotFinite::Null).map_err(|error| wrong(error.to_string()))?;
    let row = value.as_object_mut().map(std::mem::take);
    let variables = row.as_ref().map(template_variables).transpose();
    let variables = variables.map_err(wrong)?.unwrap_or_default();
    if let Some(mut row) = row {
        let list = row.remove("messages").or_else(|| row.remove("prompt"));
        value = list.unwrap_or_default();
    }
    let form = "expected a list of messages, each with `role` and `content`, or a row that has one as `messages` or `prompt`";
    let Value::Array(list) = &mut value else {
        return Err(wrong(form.into()));
    };
    let role = |message: Option<&Value>| Some(message?["role"].as_str()?.to_owned());
    let (first, last) = (role(list.first()), role(list.last()));
    match (first.as_deref(), last.as_deref(), system) {
        (None, ..) => return Err(wrong(form.into())),
        (_, Some("assistant"), _) => {
            let why = "its last message is the assistant's, so there is nothing to answer";
            return Err(wrong(why.into()));
        }
        (Some("system"), _, Some(_)) => {
            return Err(wrong(
                "it begins with a system message, and --system gives another".into(),
            ));
        }
        (_, _, Some(system)) => list.insert(0, json!({ "role": "system", "content": system })),
        (_, _, None) => {}
    }
    Ok((conversation(&value).map_err(wrong)?, variables))
}
