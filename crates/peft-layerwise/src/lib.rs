//! Which of a model's own parameters train, and when.
#![deny(missing_docs)]
