//! GGUF files as checkpoints, with their tokenizers.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::gguf_checkpoints(&peft_tests::device("flex")));
