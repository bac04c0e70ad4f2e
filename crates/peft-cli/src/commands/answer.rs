//! [`answer`]: a text from a model, shown as it comes.

use std::io::{IsTerminal, Write, stdout};
use std::ops::ControlFlow;

use peft_model::CausalLm;
use peft_store::GenerationSettings;
use peft_train::{
    GenerateConfig, ReadText, TextStream, TextTokenizer, TokenRules, generate_behind,
};

use crate::error::CliError;
use crate::say::clean;

/// What came of a prompt.
pub(super) struct Answer {
    pub(super) text: String,
    /// How many tokens, special ones included.
    pub(super) tokens: usize,
}

/// Continue a prompt; `on_text` gets each piece of the text at once, and may end it.
pub(super) fn answer<M: CausalLm>(
    model: &M,
    read: &mut ReadText,
    prompt: &[u32],
    config: &GenerateConfig,
    tokenizer: &TextTokenizer,
    mut on_text: impl FnMut(&str) -> ControlFlow<()>,
) -> Result<Answer, CliError> {
    let mut stream = TextStream::new(tokenizer);
    let mut failed = None;
    let tokens = generate_behind(model, read, prompt, config, |token| {
        match stream.push(token) {
            Ok(piece) => on_text(&piece),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let _ = on_text(&stream.finish()?);
    Ok(Answer {
        text: tokenizer.decode(&tokens)?,
        tokens: tokens.len(),
    })
}

/// How a model draws, by its settings.
pub(super) fn generate_config(
    settings: &GenerationSettings,
    max_new_tokens: usize,
    tokenizer: &TextTokenizer,
    seed: u64,
) -> GenerateConfig {
    GenerateConfig {
        max_new_tokens,
        temperature: settings.temperature,
        top_k: settings.top_k,
        top_p: settings.top_p,
        min_p: settings.min_p,
        repetition_penalty: settings.repetition_penalty,
        rules: TokenRules {
            no_repeat_ngram_size: settings.no_repeat_ngram_size,
            bad_words: settings.bad_words.clone(),
            suppressed: settings.suppressed.clone(),
            suppressed_first: settings.suppressed_first.clone(),
            min_length: settings.min_length,
            min_new_tokens: settings.min_new_tokens,
        },
        seed,
        eos: tokenizer.stops().to_vec(),
    }
}

/// A text on standard output, piece by piece.
pub(super) struct Shown {
    is_on: bool,
    is_terminal: bool,
    failed: Option<std::io::Error>,
}

impl Shown {
    /// One that shows, or shows nothing.
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            is_terminal: stdout().is_terminal(),
            failed: None,
        }
    }

    /// Show a piece; a break where nobody takes it. On a terminal what would act on it is escaped.
    pub(super) fn put(&mut self, piece: &str) -> ControlFlow<()> {
        if !self.is_on || piece.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut out = stdout().lock();
        let written = match self.is_terminal {
            true => out.write_all(clean(piece).as_bytes()),
            false => out.write_all(piece.as_bytes()),
        };
        match written.and_then(|()| out.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// End the line.
    pub(super) fn end(mut self) -> Result<(), CliError> {
        let _ = self.put("\n");
        self.failed
            .map_or(Ok(()), |error| Err(CliError::Output(error)))
    }
}
