//! Texts as tokens, with what the post-processor puts around a text and where each token comes
//! from.

use std::ops::Range;

use tokenizers::Encoding;

use super::{TEXT, TextTokenizer};
use crate::TrainError;

/// Bytes of a token at most, for a first look at a long text.
const TOKEN: usize = 16;
/// Tokens beyond those that are wanted, so that where a text was cut for a look does not show.
const SPARE: usize = 64;

/// Which of the tokens that the post-processor puts around a text are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeSpecial {
    /// None: the text is a chat template's, which writes its special tokens itself.
    None,
    /// Those before the text: it is a prompt that goes on.
    Begin,
    /// Those before and after it: it is whole.
    Both,
}

/// A token, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextToken {
    /// Its number.
    pub id: u32,
    /// The bytes of the text that it was made of. They begin and end at characters, and are not
    /// narrowed to a token's letters: ` b` has its space. Tokens that share a character, as bytes
    /// do, have the same ones, and one that stands for nothing in the text, as a leading `▁` may,
    /// has none.
    pub bytes: Range<usize>,
    /// Whether the post-processor added it.
    pub added: bool,
}

impl TextTokenizer {
    /// The tokens of a text.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn encode(&self, text: &str, special: EncodeSpecial) -> Result<Vec<u32>, TrainError> {
        let encoding = self.whole(text, false)?;
        let (begin, end) = self.around(special);
        Ok([begin, encoding.get_ids(), end].concat())
    }

    /// The tokens of a prompt that goes on: with what the post-processor puts before a text, unless
    /// the text begins with that itself, as one does that was pasted.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TrainError> {
        let bare = self.encode(text, EncodeSpecial::None)?;
        match bare.starts_with(&self.around.begin) {
            true => Ok(bare),
            false => Ok([self.around.begin.as_slice(), &bare].concat()),
        }
    }

    /// The first special token that a text has.
    pub fn special_in(&self, text: &str) -> Option<String> {
        let tokens = self.inner.get_added_tokens_decoder();
        let special = tokens.into_values().filter(|token| token.special);
        let found = special.filter_map(|token| Some((text.find(&token.content)?, token.content)));
        found.min().map(|(_, token)| token)
    }

    /// The tokens of a text with the bytes that each was made of, and no more than the first
    /// `at_most`.
    ///
    /// The text is encoded as the whole that it is. Its parts, as a prompt and its completion, are
    /// told by the bytes: to encode them apart would give other tokens wherever the tokenizer looks
    /// at what is before.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenize`].
    pub fn encode_with_offsets(
        &self,
        text: &str,
        special: EncodeSpecial,
        at_most: usize,
    ) -> Result<Vec<TextToken>, TrainError> {
        let encoding = self.head(text, at_most, true)?;
        let (begin, end) = self.around(special);
        let added = |ids: &'_ [u32], at: usize| {
            let token = move |id: &u32| TextToken {
                id: *id,
                bytes: at..at,
                added: true,
            };
            ids.iter().map(token).collect::<Vec<_>>()
        };
        let of_text = encoding.get_ids().iter().zip(encoding.get_offsets());
        let of_text = of_text.map(|(id, (start, end))| {
            // What a file's normalizer makes of offsets is not believed.
            let end = text.ceil_char_boundary(*end);
            TextToken {
                id: *id,
                bytes: text.floor_char_boundary((*start).min(end))..end,
                added: false,
            }
        });
        let mut tokens = added(begin, 0);
        tokens.extend(of_text);
        tokens.extend(added(end, text.len()));
        tokens.truncate(at_most);
        Ok(tokens)
    }

    /// The first `at_most` tokens of a text, and some more; without what the post-processor adds.
    ///
    /// A text that is much longer is not encoded to its end: what it begins with, up to white
    /// space, has the same first tokens.
    pub(super) fn head(
        &self,
        text: &str,
        at_most: usize,
        offsets: bool,
    ) -> Result<Encoding, TrainError> {
        let enough = at_most.saturating_add(SPARE);
        let mut length = enough.saturating_mul(TOKEN);
        while length < text.len() {
            let part = &text[..text.floor_char_boundary(length)];
            // Words keep the space before them. Where none is near, the spare tokens keep the cut
            // apart.
            let cut = part.rfind(char::is_whitespace);
            let cut = cut.filter(|cut| *cut > part.len() / 2);
            let part = cut.map_or(part, |cut| part[..cut].trim_end());
            let encoding = self.whole(part, offsets)?;
            if encoding.len() >= enough {
                return Ok(encoding);
            }
            length = length.saturating_mul(4);
        }
        self.whole(text, offsets)
    }

    /// All tokens of a text, without what the post-processor adds.
    fn whole(&self, text: &str, offsets: bool) -> Result<Encoding, TrainError> {
        let most = TEXT / self.growth.encoded;
        if text.len() as u64 > most {
            return Err(TrainError::Tokenize {
                reason: format!("a text of {} bytes is longer than {most}", text.len()),
            });
        }
        self.run(|inner| match offsets {
            true => inner.encode(text, false),
            false => inner.encode_fast(text, false),
        })
    }

    /// What is put before a text and after it.
    fn around(&self, special: EncodeSpecial) -> (&[u32], &[u32]) {
        match special {
            EncodeSpecial::None => (&[], &[]),
            EncodeSpecial::Begin => (&self.around.begin, &[]),
            EncodeSpecial::Both => (&self.around.begin, &self.around.end),
        }
    }
}
