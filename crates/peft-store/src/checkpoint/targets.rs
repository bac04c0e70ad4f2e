//! [`FamilyTargets`]: the layers of each family by what they do, for the methods that ask for it.

use peft_models::{EncoderConfig, LanguageModelConfig};

use super::CheckpointConfig;
use super::load::Checkpoint;

/// Names of a family's layers, as suffixes of paths.
///
/// IA3's are those of its paper: keys, values, and the input of the feed-forward's second half.
/// PEFT's table agrees for `llama`, `mistral`, `gpt2`, `bert` and `roberta`; for `qwen2`, `qwen3`,
/// `gemma2` and `gemma3_text` it has queries in place of keys, and nothing for the others. Where a
/// family has one layer for queries, keys and values, it is that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyTargets {
    /// The projections to queries, keys and values.
    pub attention: &'static [&'static str],
    /// What IA3 rescales, the feed-forward included.
    pub ia3: &'static [&'static str],
    /// The layers of `ia3` whose input is rescaled.
    pub ia3_feedforward: &'static [&'static str],
}

const LLAMA: FamilyTargets = FamilyTargets {
    attention: &["q_proj", "k_proj", "v_proj"],
    ia3: &["k_proj", "v_proj", "down_proj"],
    ia3_feedforward: &["down_proj"],
};
const PHI3: FamilyTargets = FamilyTargets {
    attention: &["qkv_proj"],
    ia3: &["qkv_proj", "down_proj"],
    ia3_feedforward: &["down_proj"],
};
const GPT2: FamilyTargets = FamilyTargets {
    attention: &["c_attn"],
    ia3: &["c_attn", "mlp.c_proj"],
    ia3_feedforward: &["mlp.c_proj"],
};
const BERT: FamilyTargets = FamilyTargets {
    attention: &["query", "key", "value"],
    ia3: &["key", "value", "output.dense"],
    ia3_feedforward: &["output.dense"],
};
const DISTILBERT: FamilyTargets = FamilyTargets {
    attention: &["q_lin", "k_lin", "v_lin"],
    ia3: &["k_lin", "v_lin", "ffn.lin2"],
    ia3_feedforward: &["ffn.lin2"],
};
const MODERNBERT: FamilyTargets = FamilyTargets {
    attention: &["Wqkv"],
    ia3: &["Wqkv", "mlp.Wo"],
    ia3_feedforward: &["mlp.Wo"],
};

impl Checkpoint {
    /// The layers of this family by what they do.
    pub fn family_targets(&self) -> FamilyTargets {
        match self.config() {
            CheckpointConfig::LanguageModel(LanguageModelConfig::Gpt2(_)) => GPT2,
            CheckpointConfig::LanguageModel(LanguageModelConfig::Decoder(config)) => {
                match config.fused_projections {
                    true => PHI3,
                    false => LLAMA,
                }
            }
            CheckpointConfig::Encoder(EncoderConfig::Bert(_) | EncoderConfig::Roberta(_)) => BERT,
            CheckpointConfig::Encoder(EncoderConfig::DistilBert(_)) => DISTILBERT,
            CheckpointConfig::Encoder(EncoderConfig::ModernBert(_)) => MODERNBERT,
        }
    }
}
