//! Rows.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::rows());
