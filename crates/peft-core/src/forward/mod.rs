//! The forward of a layer with its adapters: the frozen weight, the layer below an adapter, and
//! what models call.

mod frozen_layer;
mod frozen_weight;
mod linear;

pub use frozen_layer::{FrozenEmbedding, FrozenLinear, LayerInput};
pub use frozen_weight::FrozenWeight;
pub use linear::{embedding, features, linear, shared_embedding, tied_output};
