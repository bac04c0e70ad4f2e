//! Parameter-efficient fine-tuning for [Burn](https://burn.dev): every crate of the workspace behind one name, each behind a feature.
//!
//! | feature | module | holds |
//! |---|---|---|
//! | always | [`core`] | adapters, targets, freezing masks, merging |
//! | `lora` (default) | [`lora`] | LoRA and rank-stabilised LoRA |
//! | `ia3` | `ia3` | IA3 |
//! | `ptuning` | `ptuning` | soft prompts: prompt tuning, P-Tuning |
//! | `prefix` | `prefix` | trained keys and values: prefix tuning, P-Tuning v2 |
//! | `layerwise` | `layerwise` | which of the model's own parameters train, and when |
//! | `models` | `models` | transformers as Burn modules |
//! | `store` | `store` | Hugging Face directories, read and written |
//! | `train` | `train` | rows, batches, training, evaluation, generation |
//!
//! ```
//! use burn::{nn::{Linear, LinearConfig}, module::Module, tensor::Device};
//! use peft::core::{PeftError, merge};
//! use peft::lora::{LoraConfig, Targets};
//!
//! #[derive(Module, Debug)]
//! struct Net {
//!     query: Linear,
//!     value: Linear,
//! }
//!
//! fn adapt(device: &Device) -> Result<Net, PeftError> {
//!     let linear = || LinearConfig::new(8, 8).init(device);
//!     let mut net = Net { query: linear(), value: linear() };
//!     let report = LoraConfig::new(4, 8.0).with_targets(Targets::suffixes(["value"])).attach(&mut net, "default")?;
//!     assert_eq!(report.summary.trainable, 4 * (8 + 8));
//!     merge(&mut net)?;
//!     Ok(net)
//! }
//! # adapt(&Device::flex()).unwrap();
//! ```
#![deny(missing_docs)]

pub use peft_core as core;
#[cfg(feature = "ia3")]
pub use peft_ia3 as ia3;
#[cfg(feature = "layerwise")]
pub use peft_layerwise as layerwise;
#[cfg(feature = "lora")]
pub use peft_lora as lora;
#[cfg(feature = "models")]
pub use peft_models as models;
#[cfg(feature = "prefix")]
pub use peft_prefix as prefix;
#[cfg(feature = "ptuning")]
pub use peft_ptuning as ptuning;
#[cfg(feature = "store")]
pub use peft_store as store;
#[cfg(feature = "train")]
pub use peft_train as train;
