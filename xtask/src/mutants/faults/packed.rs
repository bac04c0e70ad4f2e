//! Faults in packed weights, from the kernels to files.

use super::Fault;

pub(super) const FAULTS: [Fault; 11] = [
    Fault {
        name: "nf4 has its first value in the lower half of a byte",
        file: "crates/peft-kernels/src/packed/nf4.rs",
        text: "pairs[byte] = [CODE[byte >> 4], CODE[byte & 15]];",
        instead: "pairs[byte] = [CODE[byte & 15], CODE[byte >> 4]];",
        cases: &[
            "packed::values::flex::nf4_is_bitsandbytes",
            "packed::models::flex::a_lora_step_on_nf4_is_pefts",
        ],
    },
    Fault {
        name: "scales of scales are forgotten",
        file: "crates/peft-kernels/src/packed/nf4_double.rs",
        text: "let of_scales = float(&self.scales[block / SHARING * 4..]);",
        instead: "let of_scales = float(&self.scales[..4]);\n        let _ = block / SHARING;",
        cases: &["packed::values::flex::nf4_is_bitsandbytes"],
    },
    Fault {
        name: "a run that begins within a block begins at it",
        file: "crates/peft-kernels/src/packed/blocks.rs",
        text: "now.copy_from_slice(&whole[from..from + n]);",
        instead: "now.copy_from_slice(&whole[..n]);",
        cases: &["packed::products::flex::products_are_those_with_the_dense_value"],
    },
    Fault {
        name: "the gradient of a packed layer's rows reads the weight as the product does",
        file: "crates/peft-kernels/src/flex/gemm/packed.rs",
        text: "            along_inner: !self.transposed,",
        instead: "            along_inner: true,",
        cases: &["packed::products::flex::products_are_those_with_the_dense_value"],
    },
    Fault {
        name: "a run is unpacked for one column of sixteen",
        file: "crates/peft-kernels/src/flex/gemm/pack.rs",
        text: "self.lines.read(column + i, first, values);",
        instead: "self.lines.read(column + 0 * i, first, values);",
        cases: &["packed::products::flex::products_are_those_with_the_dense_value"],
    },
    Fault {
        name: "few rows read a packed weight's first panel for all",
        file: "crates/peft-kernels/src/flex/gemm/product.rs",
        text: "b.lines.read(panel + i, 0, line);",
        instead: "b.lines.read(0 * panel + i, 0, line);",
        cases: &["packed::products::flex::rows_are_the_same_among_any"],
    },
    Fault {
        name: "rows of llama's queries stay in the file's order",
        file: "crates/peft-store/src/gguf/place.rs",
        text: "            head.copy_from_slice(&turned);\n",
        instead: "            let _ = turned;\n",
        cases: &["packed::models::flex::gguf_files_are_held_as_they_lie"],
    },
    Fault {
        name: "GPT-2's layers are packed along their outputs",
        file: "crates/peft-store/src/tensor_file/pack.rs",
        text: "let values = read(place, true, DType::F32, true)?;",
        instead: "let values = read(place, false, DType::F32, true)?;",
        cases: &["packed::models::flex::a_model_is_quantised_when_it_is_read"],
    },
    Fault {
        name: "a packed weight is asked to train",
        file: "crates/peft-train/src/trainer/mask.rs",
        text: "let packed = FrozenWeight::of(&param).packed();",
        instead: "let packed = FrozenWeight::of(&param).packed().filter(|_| false);",
        cases: &["packed::training::flex::a_packed_weight_does_not_train"],
    },
    Fault {
        name: "a base's digest passes over blocks",
        file: "crates/peft-store/src/base_digest.rs",
        text: "        digest.add_bytes(blocks);\n",
        instead: "        let _ = blocks;\n",
        cases: &["packed::models::flex::digests_are_of_the_blocks"],
    },
    Fault {
        name: "eight-bit layers have the first output's scale",
        file: "crates/peft-kernels/src/packed/bnb.rs",
        text: "for (scale, codes) in scales.iter().zip(codes.chunks(dims[0].max(1))) {",
        instead: "for (scale, codes) in scales.iter().map(|_| &scales[0]).zip(codes.chunks(dims[0].max(1))) {",
        cases: &["packed::values::flex::int8_is_bitsandbytes"],
    },
];
