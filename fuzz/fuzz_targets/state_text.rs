//! What states say of themselves, with checksums that fit.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::texts_of_states(&peft_tests::device("flex")));
