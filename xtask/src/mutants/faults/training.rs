//! Faults in `peft-train`.

use super::Fault;

pub(super) const FAULTS: [Fault; 18] = [
    Fault {
        name: "a classifier does not see which text of a pair a token is of",
        file: "crates/peft-train/src/classify/sequence.rs",
        text: "model.class_pass(batch.segments).typed(batch.types);",
        instead: "model.class_pass(batch.segments);",
        cases: &["models::encoders::switches::flex::a_pair_is_told_by_its_types"],
    },
    Fault {
        name: "of two long texts the first one keeps the odd token",
        file: "crates/peft-train/src/tokenizer/words.rs",
        text: "None => [room / 2, room - room / 2],",
        instead: "None => [room - room / 2, room / 2],",
        cases: &["training::classify::golden::tokens_are_transformers"],
    },
    Fault {
        name: "a run goes on without a switch that it had",
        file: "crates/peft-train/src/trainer/config.rs",
        text: "    #[serde(default)]\n    pub recompute: bool,",
        instead: "    #[serde(default, skip_serializing_if = \"std::ops::Not::not\")]\n    pub recompute: bool,",
        cases: &["training::resume::flex::what_does_not_fit_is_refused"],
    },
    Fault {
        name: "rows with learned positions are put behind each other",
        file: "crates/peft-train/src/objective/packed.rs",
        text: "stages.look(block).rope.is_some()",
        instead: "stages.look(block).rope.is_some() || true",
        cases: &["training::packed::flex::rows_stay_apart_where_a_position_is_not_relative"],
    },
    Fault {
        name: "a row behind another is left out",
        file: "crates/peft-train/src/data/pack.rs",
        text: "    row.targets.extend(example.targets);",
        instead: "    row.targets.extend(example.targets.iter().map(|_| false));",
        cases: &["training::packed::flex::losses_and_updates_are_those_of_rows_apart"],
    },
    Fault {
        name: "a block that runs again drops anew",
        file: "crates/peft-train/src/trainer/recompute.rs",
        text: "self.device.seed(self.seed.wrapping_add(block as u64));",
        instead: "",
        cases: &["dropped_twice::flex::a_block_drops_the_same_twice"],
    },
    Fault {
        name: "what a schedule changes is not in the state",
        file: "crates/peft-train/src/trainer/run.rs",
        text: "stages.touch(&model, |path| schedule.keeps(path));",
        instead: "stages.touch(&model, |_| false);",
        cases: &["training::adapter_schedule::flex::a_run_goes_on_to_the_same_bits"],
    },
    Fault {
        name: "a multi-label loss is a sum over labels",
        file: "crates/peft-train/src/classify/sequence.rs",
        text: "binary_nll(logits, targets).div_scalar(n_labels as f64)",
        instead: "binary_nll(logits, targets)",
        cases: &["training::classify::golden::flex::losses_and_gradients_are_torchs"],
    },
    Fault {
        name: "a loss of classes is divided by the batch too",
        file: "crates/peft-train/src/classify/sequence.rs",
        text: "                    Tensor::<1, Int>::from_data(data, (&device, DType::I64)),\n                )\n",
        instead: "                    Tensor::<1, Int>::from_data(data, (&device, DType::I64)),\n                )\n                .div_scalar(n as f64)\n",
        cases: &[
            "training::classify::golden::flex::losses_and_gradients_are_torchs",
            "training::classify::run::flex::halves_and_threads_give_the_update_of_the_whole",
        ],
    },
    Fault {
        name: "accumulation divides by batches",
        file: "crates/peft-train/src/trainer/gradients.rs",
        text: "part.div_scalar(n_targets as f64)",
        instead: "part.div_scalar(batches.len() as f64)",
        cases: &["training::run::flex::two_half_batches_give_the_update_of_the_whole"],
    },
    Fault {
        name: "the schedule is one step ahead",
        file: "crates/peft-train/src/trainer/run.rs",
        text: "config.schedule.factor(step, warmup, total_steps)",
        instead: "config.schedule.factor(step + 1, warmup, total_steps)",
        cases: &["training::run::flex::learning_rates_follow_the_schedule"],
    },
    Fault {
        name: "moments of what no longer trains are kept",
        file: "crates/peft-train/src/trainer/adamw.rs",
        text: "self.held.retain(|id, _| ids.contains(id));",
        instead: "self.held.retain(|id, _| ids.contains(id) || true);",
        cases: &[
            "training::strategy::flex::moments_are_forgotten_or_kept",
            "layerwise::memory::flex::badam_holds_gradients_and_moments_of_one_block",
            "layerwise::memory::flex::lisa_forgets_the_blocks_that_it_left",
        ],
    },
    Fault {
        name: "a run goes on without its moments",
        file: "crates/peft-train/src/trainer/trained.rs",
        text: "            self.adamw.hold(param.id, Moments { time: *time, both });\n",
        instead: "            let _ = Moments { time: *time, both };\n",
        cases: &[
            "training::resume::flex::an_adapter_goes_on_to_the_same_bits",
            "training::resume::flex::a_whole_model_goes_on_to_the_same_bits",
        ],
    },
    Fault {
        name: "an output layer has the gradient of its last rows alone",
        file: "crates/peft-train/src/loss.rs",
        text: "            of_layer.accumulate(model, GradientsParams::from_grads(grads, model));\n",
        instead: "            of_layer = GradientsAccumulator::new();\n            of_layer.accumulate(model, GradientsParams::from_grads(grads, model));\n",
        cases: &[
            "training::vocabulary::flex::an_adapted_output_layer_has_the_gradients_of_the_whole",
            "training::vocabulary::flex::a_tied_output_layer_has_the_gradients_of_the_whole",
        ],
    },
    Fault {
        name: "the cells of a table are all text",
        file: "crates/peft-train/src/data/shape.rs",
        text: "        typed(&mut row)?;",
        instead: "",
        cases: &["training::shapes::cells_have_the_types_that_they_write"],
    },
    Fault {
        name: "a turn that does not train is a target",
        file: "crates/peft-train/src/data/row.rs",
        text: "                        message.pass_over();",
        instead: "",
        cases: &["training::shapes::conversations_are_given_a_system_and_the_turns_that_train"],
    },
    Fault {
        name: "where a row is does not decide its side of a split",
        file: "crates/peft-train/src/data/split.rs",
        text: "digest.add(at.number());",
        instead: "",
        cases: &["training::shapes::a_split_is_decided_row_by_row"],
    },
    Fault {
        name: "a conversation goes on behind what was not said",
        file: "crates/peft-train/src/generate/read_text.rs",
        text: "cache.truncate(model.stages().n_virtual_tokens() + alike);",
        instead: "let _ = (&mut cache, model.stages().n_virtual_tokens());",
        cases: &[
            "training::together::flex::a_rotary_decoder_and_one_with_windows",
            "training::together::flex::a_rotation_that_changes_with_the_length",
            "training::together::flex::models_with_a_prefix_and_with_a_prompt",
        ],
    },
];
