//! [`EnclosingTokens`]: what a tokenizer's post-processor puts around a text.

use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper, Token};

/// The tokens before a text and after it. They do not depend on the text, so they are found once,
/// and the post-processor is not run again: it would also narrow offsets to a token's letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EnclosingTokens {
    pub(super) begin: Vec<u32>,
    pub(super) end: Vec<u32>,
}

impl EnclosingTokens {
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
