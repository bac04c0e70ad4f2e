//! The suite, one module a crate.

mod adalora;
mod adapter_files;
mod adapters;
mod checkpointing;
mod combine;
mod conformance;
mod core_slots;
mod dora;
mod encoder_adapters;
mod eva;
mod fixture;
mod ia3;
mod kernels;
mod layerwise;
mod loftq;
mod lora;
mod lora_inits;
mod models;
#[cfg(feature = "flex")]
mod mutations;
mod packed;
mod prefix;
mod prompts;
mod properties;
mod routing;
mod swap;
mod tied;
mod token_rows;
mod trained_files;
mod training;
