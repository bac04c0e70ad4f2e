//! Transformer families as plain Burn modules whose field names are those of Hugging Face checkpoints.
