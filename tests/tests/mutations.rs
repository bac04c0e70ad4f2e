//! Files with seeded changes, of every format that is read: each is read and used, or refused.
//!
//! `MUTATIONS=10000 cargo test -p peft-tests --test suite -- mutations` tries that many of each
//! kind.

use peft_mutate::check;
use peft_tests::kinds;

#[test]
fn changed_files_are_read_or_refused() {
    let device = peft_tests::device("flex");
    check(
        "mutations::changed_files_are_read_or_refused",
        &[
            kinds::checkpoints(&device),
            kinds::gguf(),
            kinds::gguf_checkpoints(&device),
            kinds::adapters(&device),
            kinds::encoder_adapters(&device),
            kinds::trained(&device),
            kinds::states(&device),
            kinds::texts_of_states(&device),
            kinds::tokenizers(),
            kinds::templates(),
            kinds::rows(),
            kinds::files_of_rows(),
            kinds::labels(),
            kinds::generation(),
        ],
    );
}
