//! Whether a method or a model is right, on any backend: the invariants of an adapter and those of
//! a model, as suites of tests.
//!
//! The author of a method says how it is attached ([`AdapterFixture`]) and gets one test an
//! invariant and backend:
//!
//! ```
//! use burn::module::Module;
//! use peft_conformance::{AdapterFixture, peft_core};
//! use peft_core::{AttachReport, Layer, LayerKind, PeftError, Placement, Whole, attach};
//!
//! struct Copies;
//!
//! impl AdapterFixture for Copies {
//!     type Adapter = Whole<2>;
//!     const KINDS: &'static [LayerKind] = &[LayerKind::Linear, LayerKind::Embedding];
//!     const DENSE: bool = true;
//!
//!     fn attach<M: Module>(
//!         model: &mut M,
//!         name: &str,
//!         placement: &Placement,
//!     ) -> Result<AttachReport, PeftError> {
//!         attach(model, name, placement, Self::KINDS, |layers| {
//!             let copy = |layer: &Layer| Whole::new(layer.frozen_weight().dense());
//!             Ok(layers.iter().map(copy).collect())
//!         })
//!     }
//! }
//!
//! mod copies {
//!     peft_conformance::adapter_suite!(super::Copies);
//! }
//! # fn main() {}
//! ```
//!
//! `tests/hira.rs` is the whole of a method that is not one of this workspace, with its suite. The
//! backends are features of this crate; the tests are called `copies::flex::trains`,
//! `copies::ndarray::merges` and so on. [`Invariant`] has what each shows in a sentence.
//!
//! # Models
//!
//! The author of a model that implements [`Transformer`](peft_model::Transformer) says how it is
//! made ([`ModelFixture`]) and what it predicts with ([`Head`]), and gets the same of
//! [`model_suite!`]: what a model must keep for LoRA, prompts, prefixes and strategies by depth to
//! be right on it. [`ModelInvariant`] has the sentences; `tests/own_model.rs` is a model that is
//! not of this workspace, with its suite.
//!
//! # What this crate does not do
//!
//! It has no golden values: whether a method is *the* method of its paper, and a model the one of
//! its checkpoint, is a comparison with a reference, which its author makes.
#![deny(missing_docs)]

mod backends;
mod compare;
mod evidence;
mod fixture;
mod head;
mod invariant;
mod look;
mod macros;
mod model_fixture;
mod model_invariant;
pub mod model_suite;
mod net;
pub mod suite;
pub mod tolerance;

pub use backends::{backend, computes_in, device, devices};
pub use compare::{assert_close, assert_differs, assert_same};
pub use evidence::verified;
pub use fixture::AdapterFixture;
pub use head::{Classes, Head, Logits, States, Tags};
pub use invariant::Invariant;
pub use look::{
    ParamSnapshot, adapter_paths, is_adapter, params, read, replace, slot_state, steps, trained,
    with_gradient,
};
pub use model_fixture::ModelFixture;
pub use model_invariant::ModelInvariant;
pub use net::{
    Block, CLASSES, D_FF, D_MODEL, Net, VOCABULARY, filled, filled_adapters, ids, perturbed,
    scattered, values,
};

pub use peft_core;
pub use peft_model;
