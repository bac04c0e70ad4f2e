//! [`chat_example`] and [`dialogue_example`]: conversations as tokens, by a chat template.

use std::ops::Range;

use peft_jinja::Rendering;
use serde_json::{Map, Value};

use super::Message;
use super::example::{EncodeOptions, EncodeRefusal, Example, is_completions};
use super::turns::{self, TurnsError};
use crate::{EncodeSpecial, TextToken, TextTokenizer, TrainError};

/// The example of a conversation, whether it is cut, and whether an answer begins before a
/// generation prompt ends.
pub(super) fn chat_example(
    tokenizer: &TextTokenizer,
    messages: &[Message],
    variables: &Map<String, Value>,
    options: &EncodeOptions,
) -> Result<(Example, bool, bool), EncodeRefusal> {
    let rendered = rendered(tokenizer, messages, variables)?;
    let (spans, apart) = match tokenizer.marks_generation(variables) {
        true => (of_targets(messages, rendered.generated)?, false),
        false => match turns::assistant(tokenizer, messages, variables, &rendered.text) {
            Ok(found) => found,
            Err(TurnsError::Failed(error)) => return Err(error.into()),
            Err(TurnsError::Turn(turn)) => {
                return Err(EncodeRefusal::Row(format!(
                    "where message {} begins and ends cannot be told, since the chat template does not write what is before it \
                     as the beginning of the whole; a template with {{% generation %}} around the assistant's text tells it",
                    turn + 1
                )));
            }
        },
    };
    // The template writes the special tokens itself.
    let most = options.max_length.saturating_add(1);
    let tokens = tokenizer.encode_with_offsets(&rendered.text, EncodeSpecial::None, most)?;
    let cut = tokens.len() > options.max_length;
    let is_target = |token: &TextToken| {
        // The spans are in order and apart: the first that ends behind the token's beginning is the
        // one that it may be of.
        let at = spans.partition_point(|span| span.end <= token.bytes.start);
        spans
            .get(at)
            .is_some_and(|span| token.bytes.end > span.start)
    };
    let example = Example::of(&tokens, options.max_length, is_target);
    Ok((example, cut, apart))
}

/// The example of a prompt and a completion, with what [`chat_example`] says beside it.
pub(super) fn dialogue_example(
    tokenizer: &TextTokenizer,
    (prompt, completion): (&[Message], &[Message]),
    variables: &Map<String, Value>,
    options: &EncodeOptions,
) -> Result<(Example, bool, bool), EncodeRefusal> {
    let text = rendered(tokenizer, &[prompt, completion].concat(), variables)?.text;
    let alone = match tokenizer.render_marked(prompt, variables, true) {
        Err(TrainError::ChatTemplate { reason }) => {
            return Err(EncodeRefusal::Row(format!(
                "the chat template failed at `prompt`: {reason}"
            )));
        }
        alone => alone?.text,
    };
    let both = text.bytes().zip(alone.bytes());
    let given = both.take_while(|(a, b)| a == b).count();
    let most = options.max_length.saturating_add(1);
    let tokens = tokenizer.encode_with_offsets(&text, EncodeSpecial::None, most)?;
    let cut = tokens.len() > options.max_length;
    let is_target = |token: &TextToken| is_completions(token, given);
    let example = Example::of(&tokens, options.max_length, is_target);
    Ok((example, cut, given < alone.len()))
}

/// All messages by the template; one with which it fails is named.
fn rendered(
    tokenizer: &TextTokenizer,
    messages: &[Message],
    variables: &Map<String, Value>,
) -> Result<Rendering, EncodeRefusal> {
    match tokenizer.render_marked(messages, variables, false) {
        Err(TrainError::ChatTemplate { reason }) => {
            let message = failing(tokenizer, messages, variables);
            Err(EncodeRefusal::Row(format!(
                "the chat template failed at message {message}: {reason}"
            )))
        }
        rendered => Ok(rendered?),
    }
}

/// What `{% generation %}` blocks hold, without the turns that are no targets.
fn of_targets(
    messages: &[Message],
    generated: Vec<Range<usize>>,
) -> Result<Vec<Range<usize>>, EncodeRefusal> {
    let assistant: Vec<&Message> = messages.iter().filter(|m| m.is_assistant()).collect();
    if assistant.iter().all(|message| message.is_target()) {
        return Ok(generated);
    }
    if assistant.len() != generated.len() {
        return Err(EncodeRefusal::Row(format!(
            "has a turn with `weight: 0`, but the chat template has {} {{% generation %}} blocks for {} turns of the assistant's",
            generated.len(),
            assistant.len()
        )));
    }
    let spans = assistant.iter().zip(generated);
    Ok(spans
        .filter(|(m, _)| m.is_target())
        .map(|(_, span)| span)
        .collect())
}

/// The first message, from 1, with which a template fails; the last one where it fails on the whole
/// alone.
fn failing(
    tokenizer: &TextTokenizer,
    messages: &[Message],
    variables: &Map<String, Value>,
) -> usize {
    /// Beginnings that are tried.
    const TRIED: usize = 64;
    let fails = |upto: &usize| {
        let tried = tokenizer.render_marked(&messages[..*upto], variables, false);
        tried.is_err()
    };
    (1..messages.len().min(TRIED))
        .find(fails)
        .unwrap_or(messages.len())
}
