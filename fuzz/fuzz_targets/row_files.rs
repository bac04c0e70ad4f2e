//! Files of rows in every format.
#![no_main]

peft_fuzz::of!(peft_tests::kinds::files_of_rows());
