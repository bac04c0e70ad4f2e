#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub use peft_core as core;
pub use peft_ia3 as ia3;
pub use peft_layerwise as layerwise;
pub use peft_lora as lora;
pub use peft_lycoris as lycoris;
pub use peft_model as model;
#[cfg(feature = "models")]
pub use peft_models as models;
pub use peft_oft as oft;
pub use peft_prefix as prefix;
pub use peft_ptuning as ptuning;
pub use peft_spectral as spectral;
#[cfg(feature = "store")]
pub use peft_store as store;
#[cfg(feature = "train")]
pub use peft_train as train;
pub use peft_vera as vera;
