//! Faults in the methods that adapt weights and are not of LoRA's family.

use super::Fault;

pub(super) const FAULTS: [Fault; 14] = [
    Fault {
        name: "LoHa's factored product is not scaled",
        file: "crates/peft-lycoris/src/loha.rs",
        text: "b1.mul_scalar(self.scale).reshape([d_in, rank, 1])",
        instead: "b1.reshape([d_in, rank, 1])",
        cases: &[
            "conformance::loha::flex::paths_agree",
            "adapters::flex::adapters_equal_peft",
        ],
    },
    Fault {
        name: "LoHa takes one of its products twice",
        file: "crates/peft-lycoris/src/loha.rs",
        text: "first * self.b2.val().matmul(self.a2.val())",
        instead: "first.clone() * first",
        cases: &["adapters::flex::merged_equals_unmerged"],
    },
    Fault {
        name: "LoKr's dense second factor is not scaled",
        file: "crates/peft-lycoris/src/lokr.rs",
        text: "second.val().mul_scalar(self.scale)",
        instead: "second.val()",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "LoKr's factors change places",
        file: "crates/peft-lycoris/src/lokr.rs",
        text: "let ([m, l], [n, k]) = (first.dims(), second.dims());",
        instead: "let ([n, k], [m, l], first, second) = (first.dims(), second.dims(), second, first);",
        cases: &["adapters::flex::merged_equals_unmerged"],
    },
    Fault {
        name: "a generator of torch's numbers makes its second state wrongly",
        file: "crates/peft-vera/src/torch_random.rs",
        text: "(next & 0x7fff_ffff)",
        instead: "(next & 0x3fff_ffff)",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "VeRA's matrices are drawn in one another's bounds",
        file: "crates/peft-vera/src/vera.rs",
        text: "(2f64.sqrt() / (columns as f64).sqrt())",
        instead: "(2f64.sqrt() / (rows as f64).sqrt())",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "RandLoRA takes the larger side for the smaller",
        file: "crates/peft-vera/src/randlora.rs",
        text: "self.d_in <= self.d_out",
        instead: "self.d_in < self.d_out",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "OFT's last term counts twice",
        file: "crates/peft-oft/src/oft.rs",
        text: "sum = sum + power.matmul(q);",
        instead: "sum = sum + power.matmul(q).mul_scalar(2.0);",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "an inverse has no gradient",
        file: "crates/peft-oft/src/cayley.rs",
        text: "x.clone().mul_scalar(2.0) - x.clone().matmul(m).matmul(x)",
        instead: "x",
        cases: &[
            "adapters::flex::adapters_equal_peft",
            "conformance::oft_exact::flex::gradients_are_finite_differences",
        ],
    },
    Fault {
        name: "BOFT's rotations act in the other order",
        file: "crates/peft-oft/src/boft.rs",
        text: "false => (0..factors).rev().collect(),",
        instead: "false => (0..factors).collect(),",
        cases: &[
            "adapters::flex::adapters_equal_peft",
            "adapters::flex::merged_equals_unmerged",
        ],
    },
    Fault {
        name: "reflections act in the other order",
        file: "crates/peft-oft/src/hra.rs",
        text: "        [u, t.transpose()]",
        instead: "        [u, t]",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "RoAd turns the other way",
        file: "crates/peft-oft/src/road.rs",
        text: "vec![second.neg(), first]",
        instead: "vec![second, first.neg()]",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "MiSS leaves out the run that is cut short",
        file: "crates/peft-lora/src/miss.rs",
        text: "let first = sum.clone().narrow(1, 0, rest) + last;",
        instead: "let first = sum.clone().narrow(1, 0, rest) + last.mul_scalar(0.0);",
        cases: &[
            "adapters::flex::adapters_equal_peft",
            "conformance::miss::flex::paths_agree",
        ],
    },
    Fault {
        name: "HiRA adds what it should multiply",
        file: "crates/peft-lora/src/hira.rs",
        text: "base.dense_in(factors.dtype()) * factors.reshape(base.dims())",
        instead: "base.dense_in(factors.dtype()) + factors.reshape(base.dims())",
        cases: &["adapters::flex::adapters_equal_peft"],
    },
];
