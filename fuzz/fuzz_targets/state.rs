//! States of runs.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::states(&peft_tests::device("flex")));
