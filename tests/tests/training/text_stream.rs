//! The text of tokens as they come is the text of all of them.

use std::path::Path;

use peft_train::{TextStream, TextTokenizer};

/// Any tokens, so that characters are cut between them, far more than are held.
#[test]
fn pieces_are_the_text() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/peft-cli/assets/model");
    let tokenizer = TextTokenizer::from_dir(dir).expect("a tokenizer");
    let n = tokenizer.vocab_size();
    for seed in 0..4 {
        let tokens: Vec<u32> = (0..900)
            .map(|i: usize| (((i + seed) * 7919 + i * i * 31) % n) as u32)
            .collect();
        let mut stream = TextStream::new(&tokenizer);
        let mut text = String::new();
        for token in &tokens {
            text += &stream.push(*token).expect("a piece");
        }
        text += &stream.finish().expect("the rest");
        let whole = tokenizer.decode(&tokens).expect("a text");
        assert_eq!(text, whole);
        assert!(whole.contains('\u{fffd}'), "some bytes are no characters");
    }
    // Each letter of an emoji's bytes alone gives nothing; together they give it at once.
    let tokens = tokenizer.encode_prompt("a 🙂").expect("tokens");
    let mut stream = TextStream::new(&tokenizer);
    let pieces: Vec<String> = tokens
        .iter()
        .map(|token| stream.push(*token).expect("a piece"))
        .collect();
    assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')));
    assert!(pieces.last().is_some_and(|last| last.ends_with('🙂')));
}
