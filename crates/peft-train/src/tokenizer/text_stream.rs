//! [`TextStream`]: the text of tokens, as they come.

use super::TextTokenizer;
use crate::TrainError;

/// What a decoder writes for bytes that are no character yet.
const UNFINISHED: char = '\u{fffd}';
/// Tokens that are decoded anew with each one, at most, and those that stay when they are fewer
/// again: what is further back decides nothing of a character.
const WINDOW: usize = 128;
const KEPT: usize = 32;

/// The text of tokens as they come, in pieces that are whole characters. Put together the pieces
/// are what [`TextTokenizer::decode`] gives for all tokens, where a later token changes nothing of
/// the text before it.
#[derive(Debug)]
pub struct TextStream<'t> {
    tokenizer: &'t TextTokenizer,
    /// The last ones.
    tokens: Vec<u32>,
    /// What of their text has been given.
    shown: String,
}

impl<'t> TextStream<'t> {
    /// One of no tokens.
    pub fn new(tokenizer: &'t TextTokenizer) -> Self {
        Self {
            tokenizer,
            tokens: Vec::new(),
            shown: String::new(),
        }
    }

    /// What is new with one more token; nothing while a character is not whole.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn push(&mut self, token: u32) -> Result<String, TrainError> {
        self.tokens.push(token);
        let text = self.tokenizer.decode(&self.tokens)?;
        let whole = text.trim_end_matches(UNFINISHED).len();
        let new = self.show(&text[..whole]);
        if self.tokens.len() >= WINDOW && whole == text.len() {
            self.tokens.drain(..self.tokens.len() - KEPT);
            self.shown = self.tokenizer.decode(&self.tokens)?;
        }
        Ok(new)
    }

    /// What was held back.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn finish(mut self) -> Result<String, TrainError> {
        let text = self.tokenizer.decode(&self.tokens)?;
        Ok(self.show(&text))
    }

    /// What of a text is new.
    fn show(&mut self, text: &str) -> String {
        let new = text
            .strip_prefix(&self.shown)
            .unwrap_or_default()
            .to_owned();
        self.shown.push_str(&new);
        new
    }
}
