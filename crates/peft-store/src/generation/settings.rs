//! [`GenerationSettings`]: how tokens are to be generated.

/// How tokens are to be generated, from a checkpoint's files and from what a caller asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationSettings {
    /// 0 takes the likeliest token; above it, tokens are drawn.
    pub temperature: f64,
    /// Draw only from so many.
    pub top_k: Option<usize>,
    /// Draw only from those that together have this probability.
    pub top_p: Option<f64>,
    /// Draw only from those at least this many times as likely as the likeliest.
    pub min_p: Option<f64>,
    /// What the scores of tokens that are there already are divided by, or multiplied by where
    /// negative; 1 for nothing.
    pub repetition_penalty: f64,
    /// No sequence of so many tokens comes twice; 0 for nothing.
    pub no_repeat_ngram_size: usize,
    /// Sequences that do not come.
    pub bad_words: Vec<Vec<u32>>,
    /// Tokens that do not come.
    pub suppressed: Vec<u32>,
    /// Tokens that do not come first.
    pub suppressed_first: Vec<u32>,
    /// No end before so many tokens, the prompt's included.
    pub min_length: usize,
    /// No end before so many new tokens.
    pub min_new_tokens: usize,
    /// At most this many new tokens.
    pub max_new_tokens: Option<usize>,
    /// At most this many tokens with the prompt's; of no effect beside `max_new_tokens`.
    pub max_length: Option<usize>,
    /// What is to be said: fields that are left out, and flags that do nothing.
    pub notes: Vec<String>,
}
