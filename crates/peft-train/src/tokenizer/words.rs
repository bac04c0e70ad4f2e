//! Texts and words as encoders read them: special tokens around them, cut to a length.

use serde_json::Value;
use tokenizers::PreTokenizerWrapper;

use super::enclosing_tokens::EnclosingTokens;
use super::{TEXT, TextTokenizer};
use crate::TrainError;

/// The tokens of a text, or of a pair of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEncoding {
    /// The tokens.
    pub ids: Vec<u32>,
    /// The type of each, 0 or 1; empty where all are 0.
    pub types: Vec<u32>,
    /// Whether a text was cut.
    pub cut: bool,
}

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
    /// The tokens of a text, or of a pair of texts, with the tokenizer's special ones, at most
    /// `max_length`: where there are more, the text is cut at its end and not the special tokens
    /// after it; of a pair the longer text first, then both.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`], or [`TrainError::Setting`] where the special tokens leave no room.
    pub fn encode_within(
        &self,
        text: &str,
        pair: Option<&str>,
        max_length: usize,
    ) -> Result<TextEncoding, TrainError> {
        let Some(pair) = pair else {
            let room = self.room(max_length, self.around.len())?;
            let encoding = self.head(text, room, false)?;
            let ids = encoding.get_ids();
            let kept = &ids[..room.min(ids.len())];
            return Ok(TextEncoding {
                ids: [&self.around.begin, kept, &self.around.end].concat(),
                types: Vec::new(),
                cut: ids.len() > room,
            });
        };
        let around = self
            .around_pair
            .as_ref()
            .map_err(|reason| TrainError::Tokenize {
                reason: format!("pairs of texts: {reason}"),
            })?;
        let room = self.room(max_length, around.len())?;
        let [first, second] = [text, pair].map(|text| self.head(text, room, false));
        let texts = [first?, second?];
        let lengths = [0, 1].map(|i| texts[i].len());
        let shares = shares(lengths, room);
        let kept = [0, 1].map(|i| &texts[i].get_ids()[..shares[i]]);
        Ok(TextEncoding {
            cut: shares != lengths,
            ..around.with(kept)
        })
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
        let room = self.room(max_length, self.around.len())?;
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

    /// How many of a text's tokens there is room for beside so many special ones.
    fn room(&self, max_length: usize, added: usize) -> Result<usize, TrainError> {
        let room = max_length.checked_sub(added).filter(|room| *room > 0);
        room.ok_or_else(|| TrainError::Setting {
            field: "maximal length",
            value: max_length.to_string(),
            expected: "more than the tokenizer's special tokens around a text",
        })
    }
}

/// How much is kept of two texts that are longer than the room: all of a short one, else half of it
/// each, as the `tokenizers` crate has it (`longest_first`).
fn shares([first, second]: [usize; 2], room: usize) -> [usize; 2] {
    let (short, long) = (first.min(second), first.max(second));
    let [short, long] = match room.checked_sub(short).filter(|left| *left >= short) {
        Some(left) => [short, long.min(left)],
        None if short + long <= room => [short, long],
        None => [room / 2, room - room / 2],
    };
    match first <= second {
        true => [short, long],
        false => [long, short],
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

#[cfg(test)]
mod tests {
    use super::shares;

    /// Beside `tokenizers` 0.23, by `AutoTokenizer(..., truncation=True)`.
    #[test]
    fn the_longer_text_is_cut_first() {
        for (lengths, room, expected) in [
            ([3, 4], 7, [3, 4]),
            ([3, 4], 9, [3, 4]),
            ([2, 9], 7, [2, 5]),
            ([9, 2], 7, [5, 2]),
            ([9, 8], 7, [4, 3]),
            ([8, 9], 7, [3, 4]),
            ([3, 4], 6, [3, 3]),
            ([1, 1], 1, [0, 1]),
        ] {
            assert_eq!(shares(lengths, room), expected, "{lengths:?} in {room}");
        }
    }
}
