//! [`SamplingArgs`]: how tokens are drawn.

use clap::Args;
use peft_store::GenerationFlags;
use peft_train::{GenerateConfig, TrainError, WrongSetting};

use crate::error::CliError;

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
    /// What goes before the model's own settings. What is out of its range is refused here, where
    /// the model may be one that draws no tokens, or the flag one of no effect.
    pub(crate) fn flags(&self) -> Result<GenerationFlags, CliError> {
        let asked = GenerateConfig {
            temperature: self.temperature.unwrap_or_default(),
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            ..GenerateConfig::default()
        };
        let mut wrong = match asked.validate() {
            Ok(()) => Vec::new(),
            Err(TrainError::Settings { wrong }) => wrong,
            Err(other) => return Err(other.into()),
        };
        if self.max_new_tokens == Some(0) {
            wrong.push(WrongSetting {
                field: "max-new-tokens",
                value: "0".into(),
                expected: "at least 1",
            });
        }
        if !wrong.is_empty() {
            return Err(TrainError::Settings { wrong }.into());
        }
        Ok(GenerationFlags {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            max_new_tokens: self.max_new_tokens,
        })
    }

    /// The first flag that is of no use where no tokens are drawn.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("max-new-tokens", self.max_new_tokens.is_some()),
            ("temperature", self.temperature.is_some()),
            ("top-k", self.top_k.is_some()),
            ("top-p", self.top_p.is_some()),
            ("min-p", self.min_p.is_some()),
        ];
        flags
            .iter()
            .find(|(_, given)| *given)
            .map(|(flag, _)| *flag)
    }
}
