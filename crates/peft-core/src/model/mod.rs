//! What methods and training ask of a model; no model is here.

mod causal_lm;
mod classifier;
mod from_embeddings;
mod input_adapter;
mod kv_cache;
mod select_positions;
mod transformer;
mod with_input;

pub use causal_lm::CausalLm;
pub use classifier::{SequenceClassifier, TokenClassifier};
pub use from_embeddings::FromEmbeddings;
pub use input_adapter::InputAdapter;
pub use kv_cache::KvCache;
pub use peft_kernels::EVERY_SEQUENCE;
pub use select_positions::select_positions;
pub use transformer::Transformer;
pub(crate) use with_input::INPUT_ADAPTER;
pub use with_input::WithInput;
