//! Texts and words as encoders read them: special tokens around them, cut to a length.

use serde_json::Value;
use tokenizers::PreTokenizerWrapper;

use super::enclosing_tokens::EnclosingTokens;
use super::{TEXT, TextTokenizer};
use crate::TrainError;

/// The tokens of a text that came in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordEncoding {
    /// The tokens.
    pub ids: Vec<u32>,
    /// The word that each comes from; none for special ones.
    pub words: Vec<Option<u32>>,
    /// Whether the text was cut.
    pub cut: bool,
}

impl TextTokenizer {
    /// The tokens of a text with the tokenizer's special ones, at most `max_length`: where there
    /// are more, the text is cut at its end and not the special tokens after it. Whether it was
    /// cut.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`], or [`TrainError::Setting`] where the special tokens leave no room.
    pub fn encode_within(
        &self,
        text: &str,
        max_length: usize,
    ) -> Result<(Vec<u32>, bool), TrainError> {
        let room = self.room(max_length)?;
        let encoding = self.head(text, room, false)?;
        let ids = encoding.get_ids();
        let kept = &ids[..room.min(ids.len())];
        let ids_around = [&self.around.begin, kept, &self.around.end].concat();
        Ok((ids_around, ids.len() > room))
    }

    /// As [`encode_within`](Self::encode_within), of text that is in words already; see
    /// [`for_words`](Self::for_words).
    ///
    /// # Errors
    ///
    /// Those of [`encode_within`](Self::encode_within).
    pub fn encode_words(
        &self,
        words: &[String],
        max_length: usize,
    ) -> Result<WordEncoding, TrainError> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let room = self.room(max_length)?;
        let bytes: usize = words.iter().map(|word| word.len()).sum();
        let most = TEXT / self.growth.encoded;
        if bytes as u64 > most {
            return Err(TrainError::Tokenize {
                reason: format!("words of {bytes} bytes are longer than {most}"),
            });
        }
        let encoding = self.run(|inner| inner.encode(words, false))?;
        let kept = room.min(encoding.len());
        let none = |ids: &[u32]| vec![None; ids.len()];
        let EnclosingTokens { begin, end } = &self.around;
        Ok(WordEncoding {
            ids: [begin, &encoding.get_ids()[..kept], end].concat(),
            words: [
                none(begin).as_slice(),
                &encoding.get_word_ids()[..kept],
                &none(end),
            ]
            .concat(),
            cut: encoding.len() > room,
        })
    }

    /// The tokenizer for text that is in words already: one that works on bytes reads each word
    /// with the space that would stand before it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn for_words(&self) -> Result<Self, TrainError> {
        let mut words = self.clone();
        if let Some(splitter) = self.inner.get_pre_tokenizer() {
            let failed = |error: serde_json::Error| TrainError::Tokenize {
                reason: error.to_string(),
            };
            let mut value = serde_json::to_value(splitter).map_err(failed)?;
            space_before_words(&mut value);
            let splitter: PreTokenizerWrapper = serde_json::from_value(value).map_err(failed)?;
            words.inner.with_pre_tokenizer(Some(splitter));
        }
        Ok(words)
    }

    /// How many of a text's tokens there is room for.
    fn room(&self, max_length: usize) -> Result<usize, TrainError> {
        let added = self.around.begin.len() + self.around.end.len();
        let room = max_length.checked_sub(added).filter(|room| *room > 0);
        room.ok_or_else(|| TrainError::Setting {
            field: "maximal length",
            value: max_length.to_string(),
            expected: "more than the tokenizer's special tokens around a text",
        })
    }
}

/// Sets `add_prefix_space` of each splitter that has it and works on bytes.
fn space_before_words(splitter: &mut Value) {
    if splitter["type"] == "ByteLevel" {
        splitter["add_prefix_space"] = Value::Bool(true);
    }
    if let Some(parts) = splitter["pretokenizers"].as_array_mut() {
        parts.iter_mut().for_each(space_before_words);
    }
}
