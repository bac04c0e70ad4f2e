//! [`Example`]: a row's tokens, and which of them are targets.

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::conversation::{chat_example, dialogue_example};
use super::{Dataset, Row};
use crate::{EncodeSpecial, ExampleStore, TextToken, TextTokenizer, TrainError};

/// Tokens of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Which of them are to be predicted from those before; never the first.
    pub targets: Vec<bool>,
    /// Where the sequences begin that the row holds: one at 0, but for rows that are
    /// [packed](super::pack). No first token is a target.
    pub starts: Vec<usize>,
}

impl Example {
    /// One sequence.
    pub fn new(ids: Vec<u32>, targets: Vec<bool>) -> Self {
        Self {
            ids,
            targets,
            starts: vec![0],
        }
    }

    /// How many tokens are targets.
    pub fn n_targets(&self) -> usize {
        self.targets.iter().filter(|target| **target).count()
    }

    /// From the tokens of one text, and how many of them a row may have.
    pub(super) fn of(
        tokens: &[TextToken],
        max_length: usize,
        is_target: impl Fn(&TextToken) -> bool,
    ) -> Self {
        let kept = tokens.iter().take(max_length);
        // Nothing precedes the first token, so it cannot be predicted.
        let targets = kept
            .clone()
            .enumerate()
            .map(|(i, token)| i > 0 && is_target(token));
        Self::new(
            kept.clone().map(|token| token.id).collect(),
            targets.collect(),
        )
    }
}

/// How rows become tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Tokens beyond this are cut off.
    pub max_length: usize,
    /// Whether a completion ends with the tokenizer's end-of-sequence token, if it has one.
    pub append_eos: bool,
    /// The size of the model's vocabulary.
    pub vocab_size: usize,
}

/// The examples of a file.
#[derive(Debug, Default)]
pub struct EncodedExamples {
    /// Those that have a target, in the file's order.
    pub examples: ExampleStore<Example>,
    /// How many rows they are of: more than there are examples, where those are packed.
    pub rows: usize,
    /// How many rows were cut at the maximal length.
    pub truncated: usize,
    /// How many rows have no target left and are left out.
    pub dropped: usize,
    /// In how many rows of messages an answer begins before the end of the generation prompt that
    /// the chat template writes where one is asked for: the two part earlier, as in TRL, so what is
    /// asked for later is not what was trained.
    pub apart: usize,
}

/// Tokenise the rows of a file for a causal language model.
///
/// A row is one text and is encoded once, as the whole that it is; its parts are told by the bytes
/// that each token was made of. A token across the border of two parts is a target.
///
/// - `{"text"}`: every token is a target but the first.
/// - `{"prompt", "completion"}`: the tokens of the completion are targets, and the end-of-sequence
///   token after them, which is there once.
/// - `{"messages"}`: the assistant's turns, up to the end that the template gives them; where it
///   has `{% generation %}` blocks, what is in those. A turn with OpenAI's `weight: 0` is none.
/// - `{"prompt", "completion"}` of messages: what the template writes of all of them, from where
///   the prompt alone ends, with its generation prompt.
/// - `{"instruction", "output"}`: a conversation of two turns where the tokenizer has a chat
///   template, Alpaca's prompt and its completion where it has none.
///
/// # Errors
///
/// A [`TrainError`]; rows that cannot be encoded are named together.
pub fn encode(
    dataset: &Dataset,
    tokenizer: &TextTokenizer,
    options: &EncodeOptions,
) -> Result<EncodedExamples, TrainError> {
    let mut encoded = EncodedExamples::default();
    let mut wrong = Vec::new();
    for (i, row) in dataset.rows().enumerate() {
        let row = row?;
        if matches!(row, Row::Labelled { .. } | Row::Tagged { .. }) {
            return Err(dataset.wrong_task(
                "a causal language model",
                "{\"text\"}, {\"prompt\", \"completion\"}, {\"messages\"} or {\"instruction\", \"output\"}",
            ));
        }
        let EncodedRow {
            example,
            cut,
            apart,
        } = match encoded_row(&row, tokenizer, options) {
            Ok(found) => found,
            Err(EncodeRefusal::Row(reason)) => {
                wrong.push((i, reason));
                if wrong.len() >= WRONG {
                    break;
                }
                continue;
            }
            Err(EncodeRefusal::All(error)) => return Err(error),
        };
        encoded.truncated += usize::from(cut);
        encoded.apart += usize::from(apart);
        if example.n_targets() == 0 {
            encoded.dropped += 1;
        } else {
            encoded.rows += 1;
            encoded.examples.push(&example)?;
        }
    }
    if !wrong.is_empty() {
        return Err(dataset.refuse(wrong));
    }
    if encoded.examples.is_empty() {
        return Err(dataset.no_targets(encoded.truncated, options.max_length));
    }
    Ok(encoded)
}

/// A row as it is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRow {
    /// Its tokens.
    pub example: Example,
    /// Whether it was cut at the maximal length.
    pub cut: bool,
    /// Whether an answer begins before the end of the generation prompt that the chat template
    /// writes where one is asked for.
    pub apart: bool,
}

/// Tokenise one row for a causal language model, as [`encode`] does all of a file.
///
/// # Errors
///
/// Says what is wrong with the row, or with all rows of its kind.
pub fn encode_row(
    row: &Row,
    tokenizer: &TextTokenizer,
    options: &EncodeOptions,
) -> Result<EncodedRow, String> {
    encoded_row(row, tokenizer, options).map_err(|refusal| match refusal {
        EncodeRefusal::Row(reason) => reason,
        EncodeRefusal::All(error) => error.to_string(),
    })
}

fn encoded_row(
    row: &Row,
    tokenizer: &TextTokenizer,
    options: &EncodeOptions,
) -> Result<EncodedRow, EncodeRefusal> {
    let with_prompt = |(example, cut)| (example, cut, false);
    let (example, cut, apart) = match row {
        Row::Text { text } => text_example(tokenizer, text, options).map(with_prompt),
        Row::Completion { prompt, completion } => {
            completion_example(tokenizer, prompt, completion, options).map(with_prompt)
        }
        Row::Chat {
            messages,
            variables,
        } => chat_example(tokenizer, messages, variables, options),
        Row::Dialogue {
            prompt,
            completion,
            variables,
        } => dialogue_example(tokenizer, (prompt, completion), variables, options),
        Row::Instruction(row) => match tokenizer.has_chat_template() {
            true => chat_example(tokenizer, &row.messages(), &Map::new(), options),
            false => {
                completion_example(tokenizer, &row.prompt(), &row.output, options).map(with_prompt)
            }
        },
        Row::Labelled { .. } | Row::Tagged { .. } => Err(EncodeRefusal::Row(format!(
            "{} is for a classifier",
            row.kind().keys()
        ))),
    }?;
    check_vocabulary(&example.ids, options.vocab_size)?;
    Ok(EncodedRow {
        example,
        cut,
        apart,
    })
}

/// After this many rows that cannot be encoded no more are tried.
const WRONG: usize = 20;

/// Why there is no example.
pub(super) enum EncodeRefusal {
    /// What is wrong with the row.
    Row(String),
    /// No row can be encoded.
    All(TrainError),
}

impl From<TrainError> for EncodeRefusal {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::ChatTemplate { .. }
            | TrainError::Tokenize { .. }
            | TrainError::TokenOutOfRange { .. } => Self::Row(error.to_string()),
            error => Self::All(error),
        }
    }
}

/// # Errors
///
/// [`TrainError::TokenOutOfRange`].
pub(crate) fn check_vocabulary(ids: &[u32], vocab_size: usize) -> Result<(), TrainError> {
    match ids.iter().find(|token| **token as usize >= vocab_size) {
        Some(token) => Err(TrainError::TokenOutOfRange {
            token: *token,
            vocab_size,
        }),
        None => Ok(()),
    }
}

fn text_example(
    tokenizer: &TextTokenizer,
    text: &str,
    options: &EncodeOptions,
) -> Result<(Example, bool), EncodeRefusal> {
    let most = options.max_length.saturating_add(1);
    let tokens = tokenizer.encode_with_offsets(text, EncodeSpecial::Both, most)?;
    let cut = tokens.len() > options.max_length;
    Ok((Example::of(&tokens, options.max_length, |_| true), cut))
}

fn completion_example(
    tokenizer: &TextTokenizer,
    prompt: &str,
    completion: &str,
    options: &EncodeOptions,
) -> Result<(Example, bool), EncodeRefusal> {
    let tokens = completion_tokens(
        tokenizer,
        prompt,
        completion,
        options.append_eos,
        options.max_length.saturating_add(1),
    )?;
    let cut = tokens.len() > options.max_length;
    let is_target = |token: &TextToken| is_completions(token, prompt.len());
    Ok((Example::of(&tokens, options.max_length, is_target), cut))
}

/// Whether a token is of what follows a prompt of so many bytes.
pub(crate) fn is_completions(token: &TextToken, prompt: usize) -> bool {
    // What stands before an empty prompt stands for nothing in the text.
    token.bytes.end > prompt || (token.added && token.bytes.start >= prompt.max(1))
}

/// The tokens of a prompt with its completion, at most so many. With an end, that is there once:
/// the text's own, the post-processor's, or one that is added.
pub(crate) fn completion_tokens(
    tokenizer: &TextTokenizer,
    prompt: &str,
    completion: &str,
    end: bool,
    at_most: usize,
) -> Result<Vec<TextToken>, TrainError> {
    let text = [prompt, completion].concat();
    let special = match end {
        true => EncodeSpecial::Both,
        false => EncodeSpecial::Begin,
    };
    let mut tokens = tokenizer.encode_with_offsets(&text, special, at_most)?;
    let Some(eos) = tokenizer.eos().filter(|_| end) else {
        return Ok(tokens);
    };
    let of_text = tokens.iter().rposition(|token| !token.added);
    if let Some(last) = of_text
        && tokens[last].id == eos
    {
        tokens.truncate(last + 1);
    }
    let after = of_text.unwrap_or(0);
    if tokens.len() < at_most
        && tokens[after.min(tokens.len())..]
            .iter()
            .all(|token| token.id != eos)
    {
        tokens.push(TextToken {
            id: eos,
            bytes: text.len()..text.len(),
            added: true,
        });
    }
    Ok(tokens)
}
