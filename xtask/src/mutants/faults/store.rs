//! Faults in `peft-store`.

use super::Fault;

pub(super) const FAULTS: [Fault; 5] = [
    Fault {
        name: "linear weights are not transposed on load",
        file: "crates/peft-store/src/tensor_file/read.rs",
        text: "scatter(&bytes, at, rows, columns, size, &mut out);",
        instead: "out[at * size..][..bytes.len()].copy_from_slice(&bytes);",
        cases: &["models::golden::flex::models_equal_transformers"],
    },
    Fault {
        name: "what trained is read in f32 whatever the model is in",
        file: "crates/peft-store/src/tensor_file/load.rs",
        text: "self.dtype.unwrap_or_else(|| param.base().dtype())",
        instead: "self.dtype.unwrap_or(DType::F32)",
        cases: &["trained_files::flex::precisions_are_kept"],
    },
    Fault {
        name: "lora_A and lora_B change places in files",
        file: "crates/peft-store/src/adapter/methods/lora.rs",
        text: "LayerKind::Linear | LayerKind::Conv => [\"lora_A.weight\", \"lora_B.weight\"],",
        instead: "LayerKind::Linear | LayerKind::Conv => [\"lora_B.weight\", \"lora_A.weight\"],",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "saving drops a tensor",
        file: "crates/peft-store/src/adapter/weights.rs",
        text: "let own = adapted.iter().flat_map(",
        instead: "let own = adapted.iter().skip(1).flat_map(",
        cases: &[
            "adapters::flex::files_round_trip",
            "properties::flex::directories_hold_any_config",
        ],
    },
    Fault {
        name: "the first layer without its tensors ends the reading of a file",
        file: "crates/peft-store/src/adapter/weights.rs",
        text: "Err(_) if file.has_problems() =>",
        instead: "Err(_) if false =>",
        cases: &["adapter_files::refused::flex::tensors_that_do_not_fit_are_named_together"],
    },
];
