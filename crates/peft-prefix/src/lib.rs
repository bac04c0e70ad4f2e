//! Prefix tuning: trained keys and values before those that every layer computes, in front of a frozen model.
//!
//! In each layer `softmax(q [P_k; K]ᵀ / √d) [P_v; V]`, where `P_k` and `P_v` are trained: by themselves, as in *P-Tuning v2*, Liu et al. 2022,
//! [arXiv:2110.07602](https://arxiv.org/abs/2110.07602), or through a projection, `(P_k, P_v) = W₂ tanh(W₁ E + b₁) + b₂`, as in *Prefix-Tuning*, Li and Liang 2021,
//! [arXiv:2101.00190](https://arxiv.org/abs/2101.00190). A decoder or an encoder takes them as it takes a cache; the text's positions count from their end.
//!
//! - [`PrefixConfig`] puts a [`Prefix`] on any [`Transformer`], or by its [`PrefixShape`] on any [`FromEmbeddings`]: a [`Prefixed`] model is what the model is.
//! - [`PrefixInit`] says what it starts from, a text's own keys and values among others.
//!
//! What a layer's window hides of a cache it hides of a prefix: beyond the window of Mistral or Gemma a token sees the prefix only through tokens that saw it, as
//! in PEFT. Texts that are read in both directions see all of it everywhere; for DistilBERT and ModernBERT, where PEFT has no prefix tuning, it is defined as for
//! BERT, and learned positions count from the prefix's end there too.
//!
//! A model of one's own takes one too, `examples/own_model_prefix.rs`:
//!
//! ```
#![doc = include_str!("../examples/own_model_prefix.rs")]
//! ```
//!
//! # What this crate does not do
//!
//! It reads and writes no files: `peft-store` does. It has no models: `peft-models` does. A prefix does not become part of the weights, so nothing can be merged.
#![deny(missing_docs)]

mod config;
mod init;
mod prefix;
mod projection;
mod shape;

pub use config::PrefixConfig;
pub use init::PrefixInit;
pub use peft_core::{
    AttachReport, EVERY_SEQUENCE, FromEmbeddings, InputAdapter, KvCache, PeftError, Transformer,
    WithInput, linear,
};
pub use prefix::Prefix;
pub use projection::PrefixProjection;
pub use shape::PrefixShape;

/// A model with a prefix, or without: then it is the model.
pub type Prefixed<M> = WithInput<M, Prefix>;
