//! [`asked_tokens`]: what a model reads that is asked for a row's answer.

use serde_json::Map;

use super::{Message, Row};
use crate::{EncodeSpecial, TextTokenizer, TrainError};

/// The tokens that generation gives a model for a row's last answer: its prompt, or the turns
/// before with the beginning of the assistant's. None where a row asks for nothing.
///
/// What was trained for that answer begins with the same tokens, or else the model is asked
/// otherwise than it was trained.
///
/// # Errors
///
/// A [`TrainError`] of the tokenizer or its chat template.
pub fn asked_tokens(row: &Row, tokenizer: &TextTokenizer) -> Result<Option<Vec<u32>>, TrainError> {
    let of_turns = |messages: &[Message], variables: &Map<_, _>| {
        let asked = tokenizer.render_marked(messages, variables, true)?;
        tokenizer.encode(&asked.text, EncodeSpecial::None).map(Some)
    };
    match row {
        Row::Chat {
            messages,
            variables,
        } => match messages.iter().rposition(Message::is_target) {
            // A template may take no conversation without messages.
            None | Some(0) => Ok(None),
            Some(last) => of_turns(&messages[..last], variables),
        },
        Row::Dialogue {
            prompt, variables, ..
        } => of_turns(prompt, variables),
        Row::Instruction(row) => match tokenizer.has_chat_template() {
            true => {
                let turns = row.messages();
                of_turns(&turns[..turns.len() - 1], &Map::new())
            }
            false => tokenizer.encode_prompt(&row.prompt()).map(Some),
        },
        Row::Completion { prompt, .. } => tokenizer.encode_prompt(prompt).map(Some),
        Row::Text { .. } | Row::Labelled { .. } | Row::Tagged { .. } => Ok(None),
    }
}
