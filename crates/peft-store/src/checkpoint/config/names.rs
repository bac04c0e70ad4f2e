//! What a config's file calls the settings of a model.

use peft_models::ModelConfigError;

use super::super::CheckpointError;

/// The names of most families.
const SHARED: [(&str, &str); 23] = [
    ("d_model", "hidden_size"),
    ("d_ff", "intermediate_size"),
    ("n_layers", "num_hidden_layers"),
    ("n_heads", "num_attention_heads"),
    ("n_kv_heads", "num_key_value_heads"),
    ("n_token_types", "type_vocab_size"),
    ("max_positions", "max_position_embeddings"),
    ("position_offset", "pad_token_id"),
    ("window", "sliding_window"),
    ("query_scale", "query_pre_attn_scalar"),
    ("attention_softcap", "attn_logit_softcapping"),
    ("logit_softcap", "final_logit_softcapping"),
    ("rope.theta", "rope_theta"),
    ("rope.fraction", "partial_rotary_factor"),
    ("rope.factor", "factor"),
    ("rope.short", "short_factor"),
    ("rope.long", "long_factor"),
    ("rope.max_positions", "max_position_embeddings"),
    (
        "rope.original_max_positions",
        "original_max_position_embeddings",
    ),
    ("rope.attention_factor", "attention_factor"),
    ("rope.low_freq_factor", "low_freq_factor"),
    ("rope.high_freq_factor", "high_freq_factor"),
    ("rope.beta_fast", "beta_fast"),
];

/// Those of a family that has others.
fn own(family: &str) -> &'static [(&'static str, &'static str)] {
    match family {
        "gpt2" => &[
            ("d_model", "n_embd"),
            ("d_ff", "n_inner"),
            ("n_layers", "n_layer"),
            ("n_heads", "n_head"),
            ("max_positions", "n_positions"),
            ("norm_epsilon", "layer_norm_epsilon"),
        ],
        "distilbert" => &[
            ("d_model", "dim"),
            ("d_ff", "hidden_dim"),
            ("n_layers", "n_layers"),
            ("n_heads", "n_heads"),
            ("hidden_dropout", "dropout"),
            ("classifier_dropout", "seq_classif_dropout"),
        ],
        "modernbert" => &[("norm_epsilon", "norm_eps")],
        "bert" | "roberta" | "xlm-roberta" => &[
            ("norm_epsilon", "layer_norm_eps"),
            ("hidden_dropout", "hidden_dropout_prob"),
            ("attention_dropout", "attention_probs_dropout_prob"),
        ],
        _ => &[("norm_epsilon", "rms_norm_eps")],
    }
}

/// A setting that cannot be, by the names of the family's file.
pub(super) fn in_file(family: &str, error: &ModelConfigError) -> CheckpointError {
    let named = |setting: &str| {
        let mut all = own(family).iter().chain(&SHARED);
        let found = all.find(|(name, _)| *name == setting);
        found.map_or(setting.to_owned(), |(_, field)| (*field).to_owned())
    };
    let expected: Vec<String> = error.expected.split(' ').map(named).collect();
    CheckpointError::Config {
        field: named(error.field),
        value: error.value,
        expected: expected.join(" "),
    }
}
