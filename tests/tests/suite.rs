//! The suite, one module a crate.
