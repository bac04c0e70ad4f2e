//! [`Example`]: a row's tokens, and which of them are targets.

use super::{Dataset, Row};
use crate::{EncodeSpecial, TextTokenizer, TrainError};

/// Tokens of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Which of them are to be predicted from those before; never the first.
    pub targets: Vec<bool>,
    /// Where the sequences begin that the row holds: one at 0, but for rows that are [packed](super::pack). No first token is a target.
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

    fn truncate(&mut self, max_length: usize) {
        self.ids.truncate(max_length);
        self.targets.truncate(max_length);
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
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Those that have a target, in the file's order.
    pub examples: Vec<Example>,
    /// How many rows were cut at the maximal length.
    pub truncated: usize,
    /// How many rows have no target left and are left out.
    pub dropped: usize,
}

/// Tokenise the rows of a file for a causal language model.
///
/// - `{"text"}`: every token is a target but the first.
/// - `{"prompt", "completion"}`: prompt and completion are tokenised apart, so that the prompt's tokens are those that generation will
///   see; only the completion's, and the end-of-sequence token after them, are targets.
/// - `{"messages"}`: the assistant's turns, up to the end that the template gives them; where it has `{% generation %}` blocks, what is in those.
///
/// # Errors
///
/// A [`TrainError`].
pub fn encode(
    dataset: &Dataset,
    tokenizer: &TextTokenizer,
    options: &EncodeOptions,
) -> Result<Encoded, TrainError> {
    let mut encoded = Encoded {
        examples: Vec::with_capacity(dataset.rows().len()),
        truncated: 0,
        dropped: 0,
    };
    for (i, row) in dataset.rows().iter().enumerate() {
        let mut example = match row {
            Row::Text { text } => text_example(tokenizer.encode(text, EncodeSpecial::Both)?),
            Row::Completion { prompt, completion } => {
                completion_example(tokenizer, prompt, completion, options.append_eos)?
            }
            Row::Chat { messages } => chat_example(tokenizer, messages, i + 1)?,
            Row::Labelled { .. } | Row::Tagged { .. } => {
                return Err(dataset.wrong_task(
                    "a causal language model",
                    "{\"text\"}, {\"prompt\", \"completion\"} or {\"messages\"}",
                ));
            }
        };
        check_vocabulary(&example.ids, options.vocab_size)?;
        if example.ids.len() > options.max_length {
            encoded.truncated += 1;
            example.truncate(options.max_length);
        }
        if example.n_targets() == 0 {
            encoded.dropped += 1;
        } else {
            encoded.examples.push(example);
        }
    }
    if encoded.examples.is_empty() {
        return Err(TrainError::NoTargets {
            what: dataset.path().display().to_string(),
            max_length: options.max_length,
        });
    }
    Ok(encoded)
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

fn text_example(ids: Vec<u32>) -> Example {
    let targets = (0..ids.len()).map(|i| i > 0).collect();
    Example::new(ids, targets)
}

fn completion_example(
    tokenizer: &TextTokenizer,
    prompt: &str,
    completion: &str,
    append_eos: bool,
) -> Result<Example, TrainError> {
    let mut ids = tokenizer.encode(prompt, EncodeSpecial::Begin)?;
    let given = ids.len();
    ids.extend(tokenizer.encode(completion, EncodeSpecial::None)?);
    if append_eos {
        ids.extend(tokenizer.eos());
    }
    // Nothing precedes the first token, so it cannot be predicted.
    let targets = (0..ids.len()).map(|i| i >= given.max(1)).collect();
    Ok(Example::new(ids, targets))
}

fn chat_example(
    tokenizer: &TextTokenizer,
    messages: &[super::Message],
    row: usize,
) -> Result<Example, TrainError> {
    if tokenizer.marks_generation() {
        let (ids, mut targets) =
            tokenizer.encode_marked(&tokenizer.render_marked(messages, false)?)?;
        if let Some(first) = targets.first_mut() {
            *first = false;
        }
        return Ok(Example::new(ids, targets));
    }
    let tokens = |upto: usize, generation: bool| {
        let text = tokenizer.render(&messages[..upto], generation)?;
        // The template writes the special tokens itself.
        tokenizer.encode(&text, EncodeSpecial::None)
    };
    let ids = tokens(messages.len(), false)?;
    let mut targets = vec![false; ids.len()];
    for (i, message) in messages.iter().enumerate() {
        if message.role != "assistant" {
            continue;
        }
        let (before, after) = (tokens(i, true)?, tokens(i + 1, false)?);
        if !after.starts_with(&before) || !ids.starts_with(&after) {
            return Err(TrainError::UnstableTemplate {
                row,
                message: i + 1,
            });
        }
        targets[before.len().max(1)..after.len()].fill(true);
    }
    Ok(Example::new(ids, targets))
}
