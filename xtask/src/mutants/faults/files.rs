//! Faults of reading and writing files.

use super::Fault;

pub(super) const FAULTS: [Fault; 5] = [
    Fault {
        name: "the order of rotated rows is that of all heads",
        file: "crates/peft-store/src/gguf/place.rs",
        text: "Self::Pairs { heads: kv_heads }",
        instead: "Self::Pairs { heads }",
        cases: &["models::gguf::flex::gguf_models_equal_transformers"],
    },
    Fault {
        name: "a norm is read one too high",
        file: "crates/peft-store/src/gguf/place.rs",
        text: "(value - 1.0).to_le_bytes()",
        instead: "value.to_le_bytes()",
        cases: &["models::gguf::flex::gguf_models_equal_transformers"],
    },
    Fault {
        name: "a block's least value is taken away",
        file: "crates/peft-gguf/src/blocks/q4_1.rs",
        text: "d * f32::from(q) + m",
        instead: "d * f32::from(q) - m",
        cases: &["models::gguf::flex::gguf_models_equal_transformers"],
    },
    Fault {
        name: "an adapter's rows keep the order of a checkpoint",
        file: "crates/peft-store/src/gguf/export/adapter.rs",
        text: "let bytes = pairs(&bytes, heads, &[d_out, rank]);",
        instead: "let bytes = pairs(&bytes, heads / 2, &[d_out, rank]);",
        cases: &["models::gguf_export::flex::a_written_adapter_adds_what_it_did"],
    },
    Fault {
        name: "an adapter is written without its own scale",
        file: "crates/peft-store/src/gguf/export/adapter.rs",
        text: ".map(|x| (f64::from(x) * own) as f32)",
        instead: "",
        cases: &["models::gguf_export::flex::a_written_adapter_adds_what_it_did"],
    },
];
