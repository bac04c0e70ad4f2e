//! Faults in LoRA's family.

use super::Fault;

pub(super) const FAULTS: [Fault; 14] = [
    Fault {
        name: "DoRA's norms have a gradient",
        file: "crates/peft-lora/src/dora.rs",
        text: "map(|factor| factor.clone().without_autodiff());",
        instead: "map(|factor| factor.clone());",
        cases: &[
            "dora::flex::the_norm_is_a_constant_to_gradients",
            "adapters::flex::adapters_equal_peft",
        ],
    },
    Fault {
        name: "columns that cancel are left as sums",
        file: "crates/peft-lora/src/dora.rs",
        text: "const CANCELS: f64 = 1.0 / 16.0;",
        instead: "const CANCELS: f64 = -1.0;",
        cases: &["dora::flex::columns_that_cancel_are_exact"],
    },
    Fault {
        name: "DoRA keeps the squares of another base",
        file: "crates/peft-lora/src/dora.rs",
        text: "of.is_same(&base) && squares.dtype() == dtype",
        instead: "squares.dtype() == dtype",
        cases: &["dora::flex::norms_follow_the_base_and_the_factors"],
    },
    Fault {
        name: "half of what weight and low-rank part have in common",
        file: "crates/peft-lora/src/dora.rs",
        text: ".mul_scalar(2.0 * scale);",
        instead: ".mul_scalar(scale);",
        cases: &[
            "dora::flex::the_output_is_the_formula",
            "adapters::flex::adapters_equal_peft",
        ],
    },
    Fault {
        name: "the base is decomposed twice under dropout",
        file: "crates/peft-lora/src/lora.rs",
        text: "factors.clone().sub_scalar(1.0)",
        instead: "factors.clone()",
        cases: &["dora::flex::dropout_drops_from_both_parts"],
    },
    Fault {
        name: "LoRA-FA trains A",
        file: "crates/peft-lora/src/lora.rs",
        text: "self.lora_a = self.lora_a.set_require_grad(false);",
        instead: "self.lora_a = self.lora_a.set_require_grad(true);",
        cases: &[
            "conformance::lora_fa::flex::trains",
            "lora::flex::a_frozen_a_has_no_gradient",
        ],
    },
    Fault {
        name: "a bias of B is not scaled",
        file: "crates/peft-lora/src/lora.rs",
        text: "Some(bias.val().mul_scalar(self.scale))",
        instead: "Some(bias.val())",
        cases: &[
            "lora::flex::a_bias_of_b_is_scaled_and_merged",
            "adapters::flex::adapters_equal_peft",
        ],
    },
    Fault {
        name: "a bias without a place is merged away",
        file: "crates/peft-lora/src/lora.rs",
        text: "(!self.bias_merges).then_some(",
        instead: "false.then_some(",
        cases: &["lora::flex::a_bias_without_a_place_is_not_merged"],
    },
    Fault {
        name: "the start is added and not taken out",
        file: "crates/peft-lora/src/lora.rs",
        text: "initial.b.val().neg()",
        instead: "initial.b.val()",
        cases: &[
            "conformance::pissa::flex::starts_as_the_base",
            "lora_inits::flex::parts_of_the_weight_equal_peft",
        ],
    },
    Fault {
        name: "twice the rank has the alpha of the one",
        file: "crates/peft-lora/src/config.rs",
        text: "LoraScaling::Standard => 2.0,",
        instead: "LoraScaling::Standard => 1.0,",
        cases: &["lora_inits::flex::what_is_saved_is_plain_and_acts_the_same"],
    },
    Fault {
        name: "both factors begin with the same rows",
        file: "crates/peft-lora/src/init.rs",
        text: "let b = half(1).transpose();",
        instead: "let b = half(0).transpose();",
        cases: &["lora::flex::an_orthogonal_start_is_zero_and_learns_in_both"],
    },
    Fault {
        name: "PiSSA's parts are not divided by the scale",
        file: "crates/peft-lora/src/init.rs",
        text: "1.0 / scale.abs().sqrt()",
        instead: "1.0 / scale.abs().sqrt().max(1.0).min(1.0)",
        cases: &["lora_inits::flex::it_begins_with_the_largest_of_the_weight"],
    },
    Fault {
        name: "LoRA+ slows B down",
        file: "crates/peft-lora/src/lora_plus.rs",
        text: "(true, _) if is_b => self.ratio,",
        instead: "(true, _) if is_b => self.ratio.recip(),",
        cases: &["adapters::flex::a_step_of_lora_plus_equals_peft"],
    },
    Fault {
        name: "factors of columns have the sum of the gradient",
        file: "crates/peft-kernels/src/flex/columns.rs",
        text: "*sum += x * grad;",
        instead: "*sum += 0.0 * x + grad;",
        cases: &["kernels::flex::scaled_columns"],
    },
];
