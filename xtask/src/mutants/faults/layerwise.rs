//! Faults in `peft-layerwise`: one at least of each strategy.

use super::Fault;

pub(super) const FAULTS: [Fault; 16] = [
    Fault {
        name: "what is behind the blocks lies below them",
        file: "crates/peft-layerwise/src/depth.rs",
        text: "                    outside = BlockPlace::Above;\n",
        instead: "",
        cases: &[
            "conformance::models::llama::flex::has_its_parameters_where_they_act",
            "layerwise::places::flex::every_family_has_its_places",
        ],
    },
    Fault {
        name: "the top layers are one fewer",
        file: "crates/peft-layerwise/src/top_layers.rs",
        text: "(place >= lowest).then_some(1.0)",
        instead: "(place > lowest).then_some(1.0)",
        cases: &[
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_a_decoder",
            "conformance::models::modernbert_classes::flex::trains_its_top_layers",
        ],
    },
    Fault {
        name: "LISA never draws again",
        file: "crates/peft-layerwise/src/lisa.rs",
        text: "StdRng::seed_from_u64(seed(self.seed, stage))",
        instead: "StdRng::seed_from_u64(seed(self.seed, 0 * stage))",
        cases: &["layerwise::schedules::flex::lisa_draws_blocks"],
    },
    Fault {
        name: "full fine-tuning leaves the embeddings",
        file: "crates/peft-layerwise/src/full.rs",
        text: "fn rate(&self, _: usize, _: &str, _: bool) -> Option<f64> {\n        Some(1.0)\n",
        instead: "fn rate(&self, _: usize, path: &str, _: bool) -> Option<f64> {\n        (!path.contains(\"embed\")).then_some(1.0)\n",
        cases: &[
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_a_decoder",
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_an_encoder",
        ],
    },
    Fault {
        name: "what is under a head trains too",
        file: "crates/peft-layerwise/src/head.rs",
        text: "self.chosen.rate(path)",
        instead: "self.chosen.rate(path).or(Some(1.0))",
        cases: &[
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_a_decoder",
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_an_encoder",
        ],
    },
    Fault {
        name: "one block more is frozen",
        file: "crates/peft-layerwise/src/freeze_bottom.rs",
        text: "place >= BlockPlace::Block(self.n)",
        instead: "place > BlockPlace::Block(self.n)",
        cases: &[
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_a_decoder",
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_an_encoder",
        ],
    },
    Fault {
        name: "norms' biases are no biases",
        file: "crates/peft-layerwise/src/bitfit.rs",
        text: "&[Role::Bias, Role::NormBias]",
        instead: "&[Role::Bias]",
        cases: &["layerwise::fixed::flex::exactly_what_is_named_changes_in_an_encoder"],
    },
    Fault {
        name: "norms train their weights only",
        file: "crates/peft-layerwise/src/norms.rs",
        text: "&[Role::NormWeight, Role::NormBias]",
        instead: "&[Role::NormWeight]",
        cases: &["layerwise::fixed::flex::exactly_what_is_named_changes_in_an_encoder"],
    },
    Fault {
        name: "what matches trains but for its biases",
        file: "crates/peft-layerwise/src/matching.rs",
        text: "self.chosen.rate(path)",
        instead: "self.chosen.rate(path).filter(|_| !path.ends_with(\"bias\"))",
        cases: &[
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_a_decoder",
            "layerwise::fixed::flex::exactly_what_is_named_changes_in_an_encoder",
        ],
    },
    Fault {
        name: "unfreezing freezes what came before",
        file: "crates/peft-layerwise/src/gradual.rs",
        text: "self.order[..=stage]",
        instead: "self.order[stage..=stage]",
        cases: &[
            "layerwise::schedules::flex::unfreezing_goes_downwards_and_upwards",
            "layerwise::schedules::flex::unfreezing_counts_epochs",
        ],
    },
    Fault {
        name: "BAdam stays with one block",
        file: "crates/peft-layerwise/src/badam.rs",
        text: "Order::Ascending => self.places[turn],",
        instead: "Order::Ascending => self.places[0 * turn],",
        cases: &["layerwise::schedules::flex::badam_trains_every_block_in_turn"],
    },
    Fault {
        name: "rates fall once, not from block to block",
        file: "crates/peft-layerwise/src/discriminative.rs",
        text: "self.decay.powi(below_the_top as i32)",
        instead: "self.decay.powi(below_the_top.min(1) as i32)",
        cases: &["layerwise::schedules::flex::rates_fall_with_depth"],
    },
    Fault {
        name: "a strategy is not joined by its second",
        file: "crates/peft-layerwise/src/union.rs",
        text: "rate.or_else(|| self.second.rate(second, path, given))",
        instead: "rate.or_else(|| self.second.rate(second, path, given).filter(|_| false))",
        cases: &[
            "layerwise::fixed::flex::strategies_join_adapters",
            "layerwise::schedules::flex::unfreezing_counts_epochs",
        ],
    },
    Fault {
        name: "a choice among what trains reaches what does not",
        file: "crates/peft-layerwise/src/among_trainable.rs",
        text: ".filter(|_| given)",
        instead: ".filter(|_| given || path.ends_with(\"weight\"))",
        cases: &["layerwise::fixed::flex::strategies_join_adapters"],
    },
    Fault {
        name: "what is in no block is counted for no device",
        file: "crates/peft-layerwise/src/block_devices.rs",
        text: "let mut before = outside;",
        instead: "let mut before = 0.0;",
        cases: &["training::split::flex::a_device_has_as_much_as_another"],
    },
    Fault {
        name: "adapters of other devices share the first one's matrices",
        file: "crates/peft-core/src/attach/mod.rs",
        text: "true => adapter.fork(&layer.device),",
        instead: "true => adapter,",
        cases: &["training::split::flex::every_method_has_the_update_of_one_device"],
    },
];
