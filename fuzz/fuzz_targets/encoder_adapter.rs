//! Adapter directories of encoders and classifiers.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::encoder_adapters(&peft_tests::device("flex")));
