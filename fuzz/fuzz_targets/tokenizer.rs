//! Tokenizers.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::tokenizers());
