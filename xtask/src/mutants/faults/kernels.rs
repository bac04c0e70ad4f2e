//! Faults in `peft-kernels`.

use super::Fault;

pub(super) const FAULTS: [Fault; 16] = [
    Fault {
        name: "a number has the code below the nearest",
        file: "crates/peft-kernels/src/blockwise8.rs",
        text: "            code += 1;",
        instead: "            break;",
        cases: &["kernels::adamw_8bit::flex::codes_are_bitsandbytes"],
    },
    Fault {
        name: "a gate's gradient has no slope",
        file: "crates/peft-kernels/src/flex/activation.rs",
        text: "                *of_x = *grad * up * slope;\n",
        instead: "                let _ = slope;\n                *of_x = *grad * up;\n",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "what a layer read is made again by whatever ran last",
        file: "crates/peft-kernels/src/flex/made.rs",
        text: "filter_map(Weak::upgrade).find(is_of)",
        instead: "filter_map(Weak::upgrade).find(|of| is_of(of) || !is_of(of))",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "a norm's gradient forgets what the row's size depends on",
        file: "crates/peft-kernels/src/flex/norm.rs",
        text: "- level - normed(i) * along);",
        instead: "- level - 0.0 * normed(i) * along);",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "a rotation's gradient turns on, not back",
        file: "crates/peft-kernels/src/flex/rotary.rs",
        text: "let back = Self { sign: -1.0, ..self };",
        instead: "let back = Self { sign: 1.0, ..self };",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "the softmax's gradient is not centred",
        file: "crates/peft-kernels/src/flex/softmax.rs",
        text: "                    *grad = y * (*grad - mean);\n",
        instead: "                    let _ = mean;\n                    *grad *= y;\n",
        cases: &["kernels::flex::softmaxes"],
    },
    Fault {
        name: "a bias is added to the first run of rows only",
        file: "crates/peft-kernels/src/flex/product.rs",
        text: "    rows::fill(&mut out, d_out, |_, out| {\n",
        instead: "    rows::fill(&mut out, d_out, |run, out| {\n        let out = &mut out[..if run.start == 0 { d_out } else { 0 }];\n",
        cases: &["models::golden::flex::models_equal_transformers"],
    },
    Fault {
        name: "a product's sums begin anew in each block of the inner axis",
        file: "crates/peft-kernels/src/flex/gemm/product.rs",
        text: "go_on: units.start > 0,",
        instead: "go_on: false,",
        cases: &["kernels::stored::flex::stored_layers"],
    },
    Fault {
        name: "sums of few rows go on from other columns'",
        file: "crates/peft-kernels/src/flex/gemm/thin.rs",
        text: "        sums.fill(Line::ZERO);\n",
        instead: "",
        cases: &["kernels::stored::flex::few_rows_of_f32"],
    },
    Fault {
        name: "the halves of 32 columns of a widened weight are the same",
        file: "crates/peft-kernels/src/flex/gemm/thin.rs",
        text: "W::read(from.add(LINE * W::BYTES))",
        instead: "W::read(from)",
        cases: &[
            "kernels::stored::flex::rows_of_stored_layers",
            "kernels::stored::flex::few_rows_of_f32",
        ],
    },
    Fault {
        name: "moments are not corrected",
        file: "crates/peft-kernels/src/adamw.rs",
        text: ".map(|beta| 1.0 - beta.powi(self.time as i32));",
        instead: ".map(|beta| 1.0 - beta.powi(self.time as i32 + 1));",
        cases: &[
            "kernels::adamw::flex::it_is_its_definition",
            "kernels::adamw::ndarray::it_is_its_definition",
        ],
    },
    Fault {
        name: "attention's definition sees what is behind",
        file: "crates/peft-kernels/src/attention/visibility.rs",
        text: "ahead.clone().greater_elem(0)",
        instead: "ahead.clone().greater_elem(1)",
        cases: &["kernels::attention::ndarray::it_is_its_definition"],
    },
    Fault {
        name: "a tile at the edge of a window is passed over",
        file: "crates/peft-kernels/src/attention/rule.rs",
        text: "(largest < from || until < least)",
        instead: "(largest <= from || until < least)",
        cases: &["kernels::attention::flex::it_is_its_definition"],
    },
    Fault {
        name: "a row's sum is not scaled with its maximum",
        file: "crates/peft-kernels/src/flex/attention/forward.rs",
        text: "                        scale(&mut sums[row], factor);\n",
        instead: "",
        cases: &["kernels::attention::flex::it_is_its_definition"],
    },
    Fault {
        name: "attention's gradient is not centred",
        file: "crates/peft-kernels/src/flex/attention/backward.rs",
        text: "*x -= means[row];",
        instead: "*x -= 0.0 * means[row];",
        cases: &[
            "kernels::attention::flex::it_is_its_definition",
            "adapters::flex::adapters_equal_peft",
        ],
    },
    Fault {
        name: "the gradient of values forgets what was dropped",
        file: "crates/peft-kernels/src/flex/attention/backward.rs",
        text: "                        if draws.is_some() {\n",
        instead: "                        if false && draws.is_some() {\n",
        cases: &["kernels::attention::flex::dropout_is_the_same_in_both_passes"],
    },
];
