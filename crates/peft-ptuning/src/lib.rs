//! Soft prompts: prompt tuning and P-Tuning.
#![deny(missing_docs)]
