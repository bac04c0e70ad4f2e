//! Adapter directories of language models.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::adapters(&peft_tests::device("flex")));
