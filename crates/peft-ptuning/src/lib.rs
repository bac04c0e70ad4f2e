#![doc = include_str!("../README.md")]
//! ## A model of one's own
//!
//! ```
#![doc = include_str!("../examples/own_model_ptuning.rs")]
//! ```
#![deny(missing_docs)]

mod encoder;
mod fresh;
mod init;
mod p_tuning;
mod prompt_tuning;
mod soft_prompt;

pub use encoder::{LstmEncoder, MlpEncoder, PromptEncoder, PromptEncoderConfig};
pub use init::PromptInit;
pub use p_tuning::PTuningConfig;
pub use peft_core::{AttachReport, PeftError, linear};
pub use peft_model::{
    Attention, Context, InputAdapter, Look, Spec, Stages, Transformer, WithInput,
};
pub use prompt_tuning::PromptTuningConfig;
pub use soft_prompt::{Prompted, SoftPrompt};
