//! Hugging Face checkpoints and PEFT adapter directories, read and written.
