//! [`EnclosingTokens`]: what a tokenizer's post-processor puts around a text.

use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper, Token};

use super::words::TextEncoding;

/// The tokens before a text and after it. They do not depend on the text, so they are found once,
/// and the post-processor is not run again: it would also narrow offsets to a token's letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EnclosingTokens {
    pub(super) begin: Vec<u32>,
    pub(super) end: Vec<u32>,
}

/// The tokens before, between and behind the texts of a pair, and the types of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnclosingPair {
    /// Each with its type.
    around: [Vec<(u32, u32)>; 3],
    /// Those of the texts.
    types: [u32; 2],
}

impl EnclosingPair {
    /// Without a post-processor the second text is of type 1, and nothing is added.
    ///
    /// # Errors
    ///
    /// Says why where the post-processor fails, or does not keep the texts as they are, one behind
    /// the other, or a type is neither 0 nor 1.
    pub(super) fn of(processor: Option<&PostProcessorWrapper>) -> Result<Self, String> {
        let Some(processor) = processor else {
            return Ok(Self {
                around: Default::default(),
                types: [0, 1],
            });
        };
        let text = |id: u32| {
            let token = Token::new(id, "a".into(), (0, 1));
            Encoding::from_tokens(vec![token], id)
        };
        let whole = processor.process(text(0), Some(text(1)), true);
        let whole = whole.map_err(|error| format!("its post-processor fails: {error}"))?;
        let (ids, types) = (whole.get_ids(), whole.get_type_ids());
        let own = |at: &usize| whole.get_special_tokens_mask()[*at] == 0;
        let [first, second] = (0..ids.len()).filter(own).collect::<Vec<_>>()[..] else {
            return Err("its post-processor does not keep both texts".into());
        };
        if [ids[first], ids[second]] != [0, 1] {
            return Err("its post-processor turns the texts round".into());
        }
        if let Some(other) = types.iter().find(|of| **of > 1) {
            return Err(format!(
                "its post-processor gives the type {other}; there are 0 and 1"
            ));
        }
        let part = |range: std::ops::Range<usize>| range.map(|at| (ids[at], types[at])).collect();
        Ok(Self {
            around: [
                part(0..first),
                part(first + 1..second),
                part(second + 1..ids.len()),
            ],
            types: [types[first], types[second]],
        })
    }

    /// What stands around one text, with that which ends it so often between two.
    pub(super) fn by(around: &EnclosingTokens, times: usize, second: u32) -> Self {
        let typed = |ids: &[u32], of: u32| ids.iter().map(|id| (*id, of)).collect::<Vec<_>>();
        Self {
            around: [
                typed(&around.begin, 0),
                typed(&around.end.repeat(times), 0),
                typed(&around.end, second),
            ],
            types: [0, second],
        }
    }

    /// How many tokens are added.
    pub(super) fn len(&self) -> usize {
        self.around.iter().map(Vec::len).sum()
    }

    /// The texts with what is added to them.
    pub(super) fn with(&self, texts: [&[u32]; 2]) -> TextEncoding {
        let [begin, between, end] = &self.around;
        let of = |i: usize| texts[i].iter().map(move |id| (*id, self.types[i]));
        let all = begin.iter().copied().chain(of(0));
        let all = all.chain(between.iter().copied()).chain(of(1));
        let (ids, mut types): (Vec<u32>, Vec<u32>) = all.chain(end.iter().copied()).unzip();
        if types.iter().all(|of| *of == 0) {
            types.clear();
        }
        TextEncoding {
            ids,
            types,
            cut: false,
        }
    }
}

impl EnclosingTokens {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.begin.len() + self.end.len()
    }

    /// # Errors
    ///
    /// Says why where the post-processor fails, or does not keep a text as it is.
    pub(super) fn of(processor: &PostProcessorWrapper) -> Result<Self, String> {
        let text = [0, 1].map(|id| Token::new(id, "a".into(), (id as usize, id as usize + 1)));
        let text = Encoding::from_tokens(text.into(), 0);
        let whole = processor.process(text, None, true);
        let whole = whole.map_err(|error| format!("its post-processor fails: {error}"))?;
        let (ids, added) = (whole.get_ids(), whole.get_special_tokens_mask());
        let at = added.iter().position(|added| *added == 0);
        match at {
            Some(at) if ids[at..].starts_with(&[0, 1]) && added[at + 1..].starts_with(&[0]) => {
                let (begin, end) = (ids[..at].to_vec(), ids[at + 2..].to_vec());
                if added[at + 2..].contains(&0) {
                    return Err("its post-processor repeats a text".into());
                }
                Ok(Self { begin, end })
            }
            _ => Err("its post-processor leaves a text out".into()),
        }
    }
}
