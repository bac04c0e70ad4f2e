//! safetensors files: the header, and every tensor that it tells of.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use peft_safetensors::{Hold, open_with};

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("peft-fuzz-{}.safetensors", std::process::id()));
    fs::write(&path, data).expect("it is written");
    for hold in [Hold::Open, Hold::Reopen] {
        let Ok(opened) = open_with(&path, hold) else {
            continue;
        };
        let places: Vec<_> = opened.tensors.values().collect();
        let mut read = 0;
        for place in &places {
            place.chunks(|bytes| {
                read += bytes.len();
                true
            })
            .expect("its bytes are there");
            place.differs_from(places[0]).expect("its bytes are there");
        }
        // What is told of is in the file, and nothing twice.
        assert!(read < data.len());
    }
});
