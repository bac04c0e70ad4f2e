//! Soft prompts: trained vectors before the embeddings of a frozen model's input.
//!
//! The model reads `[p₁ … pₙ, embed(text)]`, and only the vectors are trained: by themselves in prompt tuning, *The Power of Scale for Parameter-Efficient Prompt Tuning*, Lester et
//! al. 2021, [arXiv:2104.08691](https://arxiv.org/abs/2104.08691); through a small encoder in P-Tuning, *GPT Understands, Too*, Liu et al. 2021,
//! [arXiv:2103.10385](https://arxiv.org/abs/2103.10385). Positions count from the first vector; the states that come out are the text's alone.
//!
//! A model of your own takes a prompt once it is a [`FromEmbeddings`]: tokens to embeddings, embeddings to states.
//!
//! ```
#![doc = include_str!("../examples/own_model_ptuning.rs")]
//! ```
//!
//! `model.input = None` takes the prompt off again. A prompt and adapters of weights can be on one model; all of them train, whichever came first.
//!
//! # What this crate does not do
//!
//! It reads and writes no files: `peft-store` does. A prompt cannot be merged into weights: it is a part of the input.
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
pub use peft_core::{
    AttachReport, FromEmbeddings, InputAdapter, KvCache, PeftError, Transformer, WithInput, linear,
};
pub use prompt_tuning::PromptTuningConfig;
pub use soft_prompt::{Prompted, SoftPrompt};
