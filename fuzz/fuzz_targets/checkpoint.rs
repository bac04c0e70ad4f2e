//! Checkpoint directories.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::checkpoints(&peft_tests::device("flex")));
