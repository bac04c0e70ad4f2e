//! Directories of trained parameters.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::trained(&peft_tests::device("flex")));
