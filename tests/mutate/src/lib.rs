//! Readers of files against files with seeded changes: each file is read or refused, and nothing
//! panics, aborts, hangs, or takes memory without bound.
//!
//! A [`Kind`] is a directory that the project's own writers made, and the reader of it. [`check`]
//! changes one of its files by a seed ([`mutate`]), reads the directory, and goes on to the next
//! seed. `MUTATIONS=10000` tries that many seeds of each kind, `MUTATION_SEED=5000` begins with
//! that one; both are printed. `MUTATION_KIND=rows` tries that kind alone.
//!
//! # What this crate does not do
//!
//! It knows no format but JSON, safetensors, GGUF's numbers and text, and looks for no coverage:
//! `fuzz/` does, by [`Sound`], with the same readers.
#![deny(missing_docs)]

mod bytes;
mod json;
mod mutate;
mod run;
mod sound;
mod worker;

pub use mutate::mutate;
pub use run::{Kind, MAX_GROWTH_KIB, MAX_SECONDS, Reader, check};
pub use sound::{Place, ReadOutcome, Sound};
