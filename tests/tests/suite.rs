//! The suite, one module a crate.

mod models;
