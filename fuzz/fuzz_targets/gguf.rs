//! GGUF files: the metadata, and every tensor that is told of.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("peft-fuzz-{}.gguf", std::process::id()));
    fs::write(&path, data).expect("it is written");
    let Ok(opened) = peft_gguf::open(&path) else {
        return;
    };
    let mut read = 0;
    for place in &opened.tensors {
        place
            .chunks(|bytes| {
                read += bytes.len();
                let blocks = bytes.len() / place.ty().block_bytes();
                let mut values = vec![0.0; blocks * place.ty().block_values()];
                place.ty().unpack(bytes, &mut values);
                true
            })
            .expect("its bytes are there");
    }
    // What is told of is in the file, and nothing twice.
    assert!(read < data.len());
});
