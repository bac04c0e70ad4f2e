//! The `peft` command.
fn main() {}
