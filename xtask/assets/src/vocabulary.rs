//! The byte-level BPE vocabulary of the bundled model.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{AddedToken, TokenizerBuilder};

use crate::{Outcome, lines};

/// Entries of the vocabulary, special tokens included.
pub(crate) const VOCABULARY: usize = 4096;
pub(crate) const BOS: &str = "<s>";
pub(crate) const EOS: &str = "</s>";

pub(crate) fn train(corpus: &Path, prompts: &Path, model: &Path) -> Outcome<()> {
    let mut texts = Vec::new();
    for path in [corpus, prompts] {
        for line in lines(path)? {
            let row: Value = serde_json::from_str(&line)?;
            let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            texts.push(field("text") + &field("prompt") + &field("completion"));
        }
    }
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(VOCABULARY)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![
            AddedToken::from(BOS, true),
            AddedToken::from(EOS, true),
        ])
        .build();
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        ByteLevel,
        PostProcessorWrapper,
        ByteLevel,
    >::new()
    .with_model(BPE::default())
    .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
    .with_decoder(Some(ByteLevel::new(false, true, true)))
    .build()
    .map_err(|error| format!("tokenizer: {error}"))?;
    tokenizer
        .train(&mut trainer, texts.iter().map(String::as_str))
        .map_err(|error| format!("tokenizer: {error}"))?;
    fs::create_dir_all(model)?;
    let path = model.join("tokenizer.json");
    tokenizer
        .save(&path, false)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "add_bos_token": false,
    });
    fs::write(model.join("tokenizer_config.json"), format!("{config:#}\n"))?;
    println!(
        "{}: {} entries",
        path.display(),
        tokenizer.get_vocab_size(true)
    );
    Ok(())
}
