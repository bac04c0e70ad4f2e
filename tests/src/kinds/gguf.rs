//! GGUF files.

use peft_mutate::Kind;

use super::{files, goldens};

const FILE: &str = "blocks.gguf";

/// GGUF files of each type of tensor and of metadata, whose blocks are unpacked.
pub fn gguf() -> Kind<'static> {
    let sound = vec![files(&goldens().join("gguf"), &[FILE])];
    Kind::new("gguf", sound, |dir, _| {
        let Ok(opened) = peft_gguf::open(&dir.join(FILE)) else {
            return false;
        };
        for place in &opened.tensors {
            let ty = place.ty();
            let read = place.chunks(|bytes| {
                let blocks = bytes.len() / ty.block_bytes();
                ty.unpack(bytes, &mut vec![0.0; blocks * ty.block_values()]);
                true
            });
            read.expect("what is told of is there");
        }
        true
    })
}
