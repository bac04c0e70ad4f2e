//! Parameter-efficient fine-tuning for Burn: every crate behind one name.
