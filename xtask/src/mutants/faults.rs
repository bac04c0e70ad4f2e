//! The faults: what is put in place of which text, and who must notice.

mod files;
mod kernels;
mod layerwise;
mod lora;
mod packed;
mod passes;
mod siblings;
mod store;
mod training;

/// A deliberate fault.
pub(super) struct Fault {
    /// What goes wrong.
    pub(super) name: &'static str,
    /// Where.
    pub(super) file: &'static str,
    /// What stands there, once.
    pub(super) text: &'static str,
    /// What stands there instead.
    pub(super) instead: &'static str,
    /// Each of these must be red.
    pub(super) cases: &'static [&'static str],
}

/// All of them, in the order of their crates, so that consecutive ones rebuild little.
pub(super) fn all() -> impl Iterator<Item = &'static Fault> {
    kernels::FAULTS
        .iter()
        .chain(&packed::FAULTS)
        .chain(&passes::FAULTS)
        .chain(&FAULTS)
        .chain(&lora::FAULTS)
        .chain(&siblings::FAULTS)
        .chain(&files::FAULTS)
        .chain(&store::FAULTS)
        .chain(&training::FAULTS)
        .chain(&layerwise::FAULTS)
}

const FAULTS: [Fault; 31] = [
    Fault {
        name: "a suffix matches within a segment",
        file: "crates/peft-core/src/select/matcher.rs",
        text: ".is_some_and(|head| head.is_empty() || head.ends_with('.'))",
        instead: ".is_some()",
        cases: &[
            "core_slots::targets::flex::suffixes_match_whole_segments",
            "properties::flex::targets_are_what_another_matcher_says",
        ],
    },
    Fault {
        name: "the last n layers are n - 1",
        file: "crates/peft-core/src/select/targets.rs",
        text: "(count - n..count).collect()",
        instead: "(count - n + 1..count).collect()",
        cases: &[
            "conformance::lora::flex::goes_where_it_is_sent",
            "properties::flex::targets_are_what_another_matcher_says",
        ],
    },
    Fault {
        name: "vectors of the base are not frozen",
        file: "crates/peft-core/src/attach/mod.rs",
        text: "if at.containers().iter().any(is_apart) {\n            return param;",
        instead: "if at.containers().iter().any(is_apart) || D == 1 {\n            return param;",
        cases: &[
            "conformance::lora::flex::trains",
            "conformance::ia3_inputs::ndarray::detaches",
        ],
    },
    Fault {
        name: "a strength is left out",
        file: "crates/peft-core/src/slot/active.rs",
        text: "(adapted() - below).mul_scalar(self.strength)",
        instead: "(adapted() - below)",
        cases: &["conformance::lora::flex::interpolates"],
    },
    Fault {
        name: "switching off is forgotten",
        file: "crates/peft-core/src/slot/mod.rs",
        text: "        if self.disabled {\n            return Vec::new();",
        instead: "        if self.disabled && self.active.is_empty() {\n            return Vec::new();",
        cases: &["conformance::whole::flex::switches_off"],
    },
    Fault {
        name: "weights compose in the wrong order",
        file: "crates/peft-core/src/slot/active.rs",
        text: "    adapters.iter().fold(base, |below, active| {\n        let adapted",
        instead: "    adapters.iter().rev().fold(base, |below, active| {\n        let adapted",
        cases: &["conformance::whole::flex::composes_in_order"],
    },
    Fault {
        name: "a product with the transpose is scaled",
        file: "crates/peft-core/src/forward/frozen_weight.rs",
        text: "peft_kernels::transposed_product(x, weight.clone())",
        instead: "peft_kernels::transposed_product(x, weight.clone() * 1.5)",
        cases: &[
            "core_slots::frozen_weight::flex::gradients_of_the_rows_go_through_the_transpose",
            "core_slots::frozen_weight::ndarray::products_are_those_with_the_dense_value",
        ],
    },
    Fault {
        name: "a method's weight is not rounded to what is stored",
        file: "crates/peft-core/src/forward/frozen_weight.rs",
        text: "        value.cast(self.dtype())\n",
        instead: "        value\n",
        cases: &[
            "core_slots::frozen_weight::flex::a_value_is_rounded_to_what_is_stored",
            "conformance::lora::flex::takes_half_precision",
        ],
    },
    Fault {
        name: "each layer moves the matrices that all share",
        file: "crates/peft-core/src/slot/shared_matrix.rs",
        text: "there.find(|value| value.device() == device)",
        instead: "there.find(|_| false)",
        cases: &["core_slots::shared_matrix::flex::it_is_one_tensor_on_each_device"],
    },
    Fault {
        name: "rows are put back in each other's places",
        file: "crates/peft-core/src/route/routes.rs",
        text: "            place[*row] = at;",
        instead: "            place[at] = *row;",
        cases: &[
            "conformance::lora::flex::rows_choose_their_adapter",
            "routing::flex::rows_of_a_decoder_choose",
        ],
    },
    Fault {
        name: "a norm's copy is that of the first row",
        file: "crates/peft-core/src/route/routes.rs",
        text: "of_groups.select(0, self.group.clone())",
        instead: "of_groups.select(0, self.group.zeros_like())",
        cases: &[
            "routing::flex::rows_of_a_decoder_choose",
            "routing::flex::rows_of_classifiers_choose",
        ],
    },
    Fault {
        name: "rows choose no bias",
        file: "crates/peft-core/src/route/routed.rs",
        text: "            effective_weight(FrozenWeight::of(bias), own.as_slice()).dense()",
        instead: "            effective_weight(FrozenWeight::of(bias), &own.as_slice()[..0]).dense()",
        cases: &["conformance::ia3_inputs::flex::rows_choose_their_adapter"],
    },
    Fault {
        name: "a group is given the product of the first",
        file: "crates/peft-core/src/route/routed.rs",
        text: "                    start += n;\n",
        instead: "                    start = n;\n",
        cases: &["conformance::lora::flex::rows_choose_their_adapter"],
    },
    Fault {
        name: "a replaced adapter keeps its values",
        file: "crates/peft-core/src/slot/mod.rs",
        text: "        self.entries[old].adapter = self.entries[new].adapter.clone();\n",
        instead: "        let _ = (old, new);\n",
        cases: &[
            "conformance::lora::flex::replaces",
            "swap::flex::a_swap_equals_a_fresh_load",
        ],
    },
    Fault {
        name: "a merge adds twice",
        file: "crates/peft-core/src/attach/merge.rs",
        text: "    strip(&mut merged)?;\n",
        instead: "",
        cases: &[
            "conformance::lora::flex::merges",
            "conformance::lora::flex::refuses_to_merge",
        ],
    },
    Fault {
        name: "a merge takes what is not finite",
        file: "crates/peft-core/src/attach/merge.rs",
        text: "if !value.clone().is_finite().all().into_scalar::<bool>() {",
        instead: "if value.dims().is_empty() {",
        cases: &["conformance::ia3_outputs::flex::refuses_to_merge"],
    },
    Fault {
        name: "LoRA's scale is dropped",
        file: "crates/peft-lora/src/lora.rs",
        text: "peft_kernels::linear(x, a, None).mul_scalar(self.scale);",
        instead: "peft_kernels::linear(x, a, None);",
        cases: &[
            "conformance::lora::flex::paths_agree",
            "lora::flex::the_output_is_the_formula",
        ],
    },
    Fault {
        name: "dropout acts in evaluation",
        file: "crates/peft-lora/src/lora.rs",
        text: "        let x = self.dropout.forward(x);\n",
        instead: "        let kept = 1.0 - self.dropout.prob;\n        let mask = x.random_like(burn::tensor::Distribution::Bernoulli(kept));\n        let x = (x * mask).div_scalar(kept);\n",
        cases: &["core_slots::traversal::flex::dropout_acts_in_training_only"],
    },
    Fault {
        name: "gradient checkpointing cuts the graph",
        file: "crates/peft-lora/src/lora.rs",
        text: "        let x = self.dropout.forward(x);\n",
        instead: "        let x = self.dropout.forward(x);\n        let strategy = format!(\"{:?}\", x.device().gradient_checkpointing_strategy());\n        let x = if strategy.contains(\"Balanced\") { x.detach() } else { x };\n",
        cases: &[
            "checkpointing::flex::gradients_are_those_without_it",
            "checkpointing::ndarray::gradients_are_those_without_it",
        ],
    },
    Fault {
        name: "the factored LoRA forms the weight",
        file: "crates/peft-lora/src/lora.rs",
        text: "        let y = base.forward(x.clone());\n",
        instead: "        let y = base.weight().product(x.rows(), base.bias());\n",
        cases: &["conformance::lora::flex::forms_no_gradient_of_the_weights_shape"],
    },
    Fault {
        name: "rsLoRA divides by the rank",
        file: "crates/peft-lora/src/config.rs",
        text: "alpha / (rank as f64).sqrt()",
        instead: "alpha / rank as f64",
        cases: &["lora::flex::scales", "adapters::flex::adapters_equal_peft"],
    },
    Fault {
        name: "IA3 leaves the bias unscaled",
        file: "crates/peft-ia3/src/ia3.rs",
        text: "Ia3Side::Output { .. } => self.rescale(base.forward(x)),",
        instead: "Ia3Side::Output { .. } => match base.bias() {\n                Some(bias) => self.rescale(base.project(x)) + bias.unsqueeze(),\n                None => self.rescale(base.project(x)),\n            },",
        cases: &[
            "ia3::flex::an_output_is_rescaled_with_its_bias",
            "conformance::ia3_outputs::flex::composes_in_order",
        ],
    },
    Fault {
        name: "the causal mask is off by one",
        file: "crates/peft-kernels/src/attention/rule.rs",
        text: "(!self.sight.causal || to <= from)",
        instead: "(!self.sight.causal || to <= from + 1)",
        cases: &["conformance::models::llama::flex::sees_what_it_should"],
    },
    Fault {
        name: "a window is one too short",
        file: "crates/peft-kernels/src/attention/rule.rs",
        text: "from.abs_diff(to) <= reach as u64",
        instead: "from.abs_diff(to) < reach as u64",
        cases: &["models::golden::flex::models_equal_transformers"],
    },
    Fault {
        name: "padding is seen",
        file: "crates/peft-kernels/src/attention/rule.rs",
        text: "            && self.segment(row, key).is_none_or(|of_key| {\n",
        instead: "            && self.segment(row, key).is_none_or(|of_key| {\n                true ||\n",
        cases: &[
            "models::encoders::golden::flex::sequence_heads_equal_transformers",
            "prefix::encoders::flex::padded_rows_have_the_logits_of_single_rows",
            "lora::flex::padding_does_not_change_a_row",
        ],
    },
    Fault {
        name: "query heads read the wrong keys",
        file: "crates/peft-kernels/src/flex/attention/block.rs",
        text: "            let head = block.kv_head * groups + member;\n",
        instead: "            let head = member * self.k.dims[1] + block.kv_head;\n",
        cases: &["models::forward::flex::grouped_queries_equal_repeated_heads"],
    },
    Fault {
        name: "a layer is not read by `linear`",
        file: "crates/peft-models/src/gpt2/block.rs",
        text: "        linear(&self.c_proj, mixed)\n",
        instead: "        self.c_proj.forward(mixed)\n",
        cases: &["conformance::models::gpt2::flex::reads_each_layer_factored"],
    },
    Fault {
        name: "a model computes in what its weights are stored in",
        file: "crates/peft-models/src/rows.rs",
        text: "=> rows.cast(DType::F32),",
        instead: "=> rows,",
        cases: &["models::encoders::golden::flex::bf16_is_close_to_transformers"],
    },
    Fault {
        name: "a merged embedding stays tied",
        file: "crates/peft-models/src/language_model.rs",
        text: "            true => self.untie(),\n",
        instead: "            true => self,\n",
        cases: &["tied::flex::what_is_merged_unties_itself"],
    },
    Fault {
        name: "a prefix's keys and values change places",
        file: "crates/peft-prefix/src/prefix.rs",
        text: "(rows(&pair, 0), rows(&pair, 1))",
        instead: "(rows(&pair, 1), rows(&pair, 0))",
        cases: &["prefix::golden::flex::prefixes_equal_peft"],
    },
    Fault {
        name: "a torn file of tensors is taken",
        file: "crates/peft-safetensors/src/read.rs",
        text: "if size - data != header.data_len() as u64 {",
        instead: "if false {",
        cases: &[
            "trained_files::flex::what_does_not_fit_is_named",
            "training::resume::flex::what_does_not_fit_is_refused",
        ],
    },
];
