//! Faults of the forward pass.

use super::Fault;

pub(super) const FAULTS: [Fault; 13] = [
    Fault {
        name: "what a cache was given counts as read",
        file: "crates/peft-model/src/kv_cache.rs",
        text: "        cache.given = cache.len();\n",
        instead: "",
        cases: &["prompts::acting::flex::what_was_given_to_a_cache_comes_before_the_prompt"],
    },
    Fault {
        name: "positions are those of another row",
        file: "crates/peft-model/src/select_positions.rs",
        text: ".mul_scalar(positions as i64)",
        instead: ".mul_scalar(read as i64)",
        cases: &[
            "conformance::models::llama::flex::runs_at_chosen_positions",
            "conformance::models::bert_states::ndarray::runs_at_chosen_positions",
        ],
    },
    Fault {
        name: "rotation behind a cache is off by one",
        file: "crates/peft-model/src/rotation.rs",
        text: "|f| *place as f32 * f",
        instead: "|f| (*place + usize::from(places[0] > 0)) as f32 * f",
        cases: &["conformance::models::llama::flex::reads_in_parts"],
    },
    Fault {
        name: "a cache holds whatever the rotation",
        file: "crates/peft-model/src/rope.rs",
        text: "cached == 0 || (cached > original) == (length > original)",
        instead: "cached == 0 || (cached > original) <= (length > original)",
        cases: &["conformance::models::phi3::flex::reads_in_parts"],
    },
    Fault {
        name: "learned positions count from zero behind a cache",
        file: "crates/peft-model/src/context.rs",
        text: "let range = self.cached as i64..(self.cached + self.positions) as i64;",
        instead: "let range = 0..self.positions as i64;",
        cases: &[
            "conformance::models::gpt2::flex::goes_on_from_given_keys",
            "conformance::models::gpt2::flex::reads_in_parts",
        ],
    },
    Fault {
        name: "a prefix is not put into a new cache",
        file: "crates/peft-model/src/context.rs",
        text: "cache.is_none_or(KvCache::is_unread)",
        instead: "cache.is_none()",
        cases: &[
            "prefix::sight::flex::it_fills_an_empty_cache_once",
            "prefix::generation::flex::generation_equals_reading_all_again",
        ],
    },
    Fault {
        name: "a cached prompt is read again",
        file: "crates/peft-model/src/context.rs",
        text: "cache.is_none_or(KvCache::is_unread)",
        instead: "cache.is_none_or(|_| true)",
        cases: &["prompts::acting::flex::a_cache_reads_the_prompt_once"],
    },
    Fault {
        name: "places of a shorter row count its padding",
        file: "crates/peft-model/src/rows.rs",
        text: "let first = row.iter().filter(|column| column.is_text).count();",
        instead: "let first = row.len();",
        cases: &[
            "conformance::models::llama::flex::reads_in_parts",
            "training::together::flex::a_gpt2_with_learned_positions",
        ],
    },
    Fault {
        name: "a block that runs again drops out anew",
        file: "crates/peft-model/src/context.rs",
        text: "*self.dropout.get_or_init(|| Dropout::drawn(rate, device));",
        instead: "Dropout::drawn(rate, device);",
        cases: &["models::passes::flex::blocks_run_again_to_the_same_bits"],
    },
    Fault {
        name: "what is read behind a prompt is where it was without",
        file: "crates/peft-model/src/context.rs",
        text: "self.at.take().map(|at| at + positions as i64);",
        instead: "self.at.take();",
        cases: &["models::passes::flex::virtual_tokens_compose_with_stages"],
    },
    Fault {
        name: "a kept row is cut by its virtual tokens",
        file: "crates/peft-train/src/trainer/trunk/trunks.rs",
        text: "&bytes[..(before + example.length()) * size]",
        instead: "&bytes[..example.length() * size]",
        cases: &["layerwise::trunk::flex::virtual_tokens_are_before_a_trunk"],
    },
    Fault {
        name: "states stay on the device of the last block",
        file: "crates/peft-model/src/transformer.rs",
        text: "x = context.back(x);",
        instead: "let _ = context.back(x.clone());",
        cases: &["training::split::flex::families_have_the_states_and_gradients_of_one"],
    },
    Fault {
        name: "a prefix stays on the first device",
        file: "crates/peft-model/src/context.rs",
        text: "(on(k, device), on(v, device))",
        instead: "(on(k, device), v)",
        cases: &["training::split::flex::texts_are_continued_alike"],
    },
];
