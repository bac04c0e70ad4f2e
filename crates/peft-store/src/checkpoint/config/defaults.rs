//! [`Defaults`]: the sizes that a decoder's `config.json` may leave out, as transformers fills them
//! in.

use super::decoder::Family;

/// The sizes of each family's config class; one that is written by a class of several models leaves
/// out what is as here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    /// As many as there are heads, where none.
    pub(super) num_key_value_heads: Option<usize>,
}

impl Defaults {
    /// The sizes of a family.
    pub(super) fn of(family: Family) -> Self {
        let (vocab_size, hidden_size, intermediate_size, layers, heads, kv_heads) = match family {
            Family::Llama => (32_000, 4096, 11_008, 32, 32, None),
            Family::Mistral => (32_000, 4096, 14_336, 32, 32, Some(8)),
            Family::Qwen2 | Family::Qwen3 => (151_936, 4096, 22_016, 32, 32, Some(32)),
            Family::Phi3 => (32_064, 3072, 8192, 32, 32, None),
            Family::Gemma2 => (256_000, 2304, 9216, 26, 8, Some(4)),
            Family::Gemma3 => (262_208, 2304, 9216, 26, 8, Some(4)),
        };
        Self {
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
        }
    }
}
