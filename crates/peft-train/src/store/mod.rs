//! Rows of a run by their index, in bounded memory.

mod byte_store;
mod example_store;
mod examples;
mod value_store;

pub(crate) use byte_store::{ByteStore, StoreLimits};
pub use example_store::ExampleStore;
pub use examples::Examples;
pub(crate) use examples::borrowed;
pub(crate) use value_store::ValueStore;
