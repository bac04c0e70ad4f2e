//! A model that the machine's memory does not hold, on the cores: what a graphics device holds is
//! not known before it is asked for.

use std::fs;
use std::io::Write;

use burn::tensor::{DType, Device};
use peft_store::{Checkpoint, CheckpointError};
use serde_json::json;

use super::checkpoint::{edit_config, written};
use super::{load, spread, tiny};

peft_tests::cases!(on the cores: more_than_the_memory_is_refused);

const WEIGHTS: &str = "model.safetensors";

/// A file whose header and length are those of a large model, and that takes no place on disk.
fn more_than_the_memory_is_refused(device: &Device) {
    let (vocab, width, ff, layers) = (1 << 17, 1 << 15, 1 << 17, 80);
    let dir = written(&spread(&tiny(), device), DType::F32);
    edit_config(dir.path(), |fields| {
        let large = json!({
            "model_type": "llama", "vocab_size": vocab, "hidden_size": width, "num_hidden_layers": layers,
            "num_attention_heads": 256, "intermediate_size": ff, "tie_word_embeddings": false,
        });
        *fields = large.as_object().expect("an object").clone();
    });
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocab, width]),
        ("lm_head.weight".to_owned(), vec![vocab, width]),
        ("model.norm.weight".to_owned(), vec![width]),
    ];
    for i in 0..layers {
        let mut of =
            |name: &str, shape| shapes.push((format!("model.layers.{i}.{name}.weight"), shape));
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            of(&format!("self_attn.{name}"), vec![width, width]);
        }
        of("mlp.gate_proj", vec![ff, width]);
        of("mlp.up_proj", vec![ff, width]);
        of("mlp.down_proj", vec![width, ff]);
        of("input_layernorm", vec![width]);
        of("post_attention_layernorm", vec![width]);
    }
    let mut at = 0u64;
    let mut header = serde_json::Map::new();
    for (key, shape) in shapes {
        let end = at + 2 * shape.iter().map(|side| *side as u64).product::<u64>();
        let entry = json!({ "dtype": "BF16", "shape": shape, "data_offsets": [at, end] });
        header.insert(key, entry);
        at = end;
    }
    let header = serde_json::Value::from(header).to_string();
    let mut file = fs::File::create(dir.path().join(WEIGHTS)).expect("it can be made");
    file.write_all(&(header.len() as u64).to_le_bytes())
        .and_then(|()| file.write_all(header.as_bytes()))
        .expect("it can be written");
    let length = 8 + header.len() as u64 + at;
    if file.set_len(length).is_err() {
        return; // a file system without files of that length
    }
    let checkpoint = Checkpoint::open(dir.path()).expect("the config is sound");
    let start = std::time::Instant::now();
    let error = load(dir.path(), device).expect_err("too large");
    assert!(matches!(error, CheckpointError::Memory { .. }), "{error:?}");
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    assert!(checkpoint.tensors().expect("a header").len() > 700);
}
