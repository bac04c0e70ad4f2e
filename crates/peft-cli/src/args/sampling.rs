//! [`SamplingArgs`]: how tokens are drawn.

use clap::Args;
use peft_store::GenerationFlags;

/// How tokens are drawn.
#[derive(Args, Clone)]
pub(crate) struct SamplingArgs {
    /// At most this many tokens; the model's own limit, or 64, if not given
    #[arg(long)]
    pub(crate) max_new_tokens: Option<usize>,
    /// 0 takes the likeliest token each time; what generation_config.json says, or 0, if not given
    #[arg(long)]
    pub(crate) temperature: Option<f64>,
    /// Draw from so many of the likeliest tokens; what generation_config.json says, or 50, if not
    /// given
    #[arg(long)]
    pub(crate) top_k: Option<usize>,
    /// Draw from the likeliest tokens that together have this probability
    #[arg(long)]
    pub(crate) top_p: Option<f64>,
    /// Draw from tokens at least this many times as likely as the likeliest
    #[arg(long)]
    pub(crate) min_p: Option<f64>,
    /// Decides what is drawn
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

impl SamplingArgs {
    /// What goes before the model's own settings.
    pub(crate) fn flags(&self) -> GenerationFlags {
        GenerationFlags {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            max_new_tokens: self.max_new_tokens,
        }
    }
}
