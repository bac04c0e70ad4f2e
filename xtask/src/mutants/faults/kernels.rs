//! Faults in `peft-kernels`.

use super::Fault;

pub(super) const FAULTS: [Fault; 6] = [
    Fault {
        name: "a gate's gradient has no slope",
        file: "crates/peft-kernels/src/flex/activation.rs",
        text: "                *of_x = *grad * up * slope;\n",
        instead: "                let _ = slope;\n                *of_x = *grad * up;\n",
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
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "a bias is added to the first run of rows only",
        file: "crates/peft-kernels/src/flex/product.rs",
        text: "    rows::fill(&mut out, d_out, |_, out| {\n",
        instead: "    rows::fill(&mut out, d_out, |run, out| {\n        let out = &mut out[..if run.start == 0 { d_out } else { 0 }];\n",
        cases: &["models::golden::flex::models_equal_transformers"],
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
];
