//! Faults in `peft-store`.

use super::Fault;

pub(super) const FAULTS: [Fault; 7] = [
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
        name: "factors of a convolution are written as a linear layer's",
        file: "crates/peft-store/src/adapter/layer_form.rs",
        text: "LayerKind::Conv => [&[rows][..], &self.window].concat(),",
        instead: "LayerKind::Conv => vec![rows, d_in],",
        cases: &["adapter_files::convolutions::flex::what_is_written_is_what_peft_writes"],
    },
    Fault {
        name: "a rank is compared with one side of a kernel",
        file: "crates/peft-store/src/adapter/tensors.rs",
        text: "inputs.min(*first)",
        instead: "others.iter().copied().min().unwrap_or(inputs).min(*first)",
        cases: &["adapter_files::convolutions::flex::what_peft_saved_gives_its_values"],
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
