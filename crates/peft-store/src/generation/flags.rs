//! [`GenerationFlags`]: what a caller asks for.

/// What a caller asks for, before what a checkpoint's files say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GenerationFlags {
    /// 0 takes the likeliest token each time.
    pub temperature: Option<f64>,
    /// Draw only from so many.
    pub top_k: Option<usize>,
    /// Draw only from those that together have this probability.
    pub top_p: Option<f64>,
    /// Draw only from those at least this many times as likely as the likeliest.
    pub min_p: Option<f64>,
    /// At most this many new tokens.
    pub max_new_tokens: Option<usize>,
}
