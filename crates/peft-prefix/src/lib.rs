//! Trained keys and values before those of every layer: prefix tuning and P-Tuning v2.
#![deny(missing_docs)]
