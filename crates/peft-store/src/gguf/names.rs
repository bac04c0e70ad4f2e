//! What ggml calls the tensors of each family, and what they are called in a checkpoint.

/// The tensors outside of the blocks of Llama and of the decoders after it.
const DECODER: &[(&str, &str)] = &[
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
];
/// Those of GPT-2.
const GPT2: &[(&str, &str)] = &[
    ("token_embd", "transformer.wte"),
    ("position_embd", "transformer.wpe"),
    ("output_norm", "transformer.ln_f"),
    ("output", "lm_head"),
];

/// What all blocks of these decoders have.
const ATTENTION: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_down", "mlp.down_proj"),
];
/// Two layers in front of the product of a feed-forward, and the norm before them.
const GATED: &[(&str, &str)] = &[
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
];
/// The same with norms on both sides.
const SANDWICH: &[(&str, &str)] = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
];
/// The two layers in one.
const FUSED: &[(&str, &str)] = &[
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_up", "mlp.gate_up_proj"),
];
const GPT2_BLOCK: &[(&str, &str)] = &[
    ("attn_norm", "ln_1"),
    ("attn_qkv", "attn.c_attn"),
    ("attn_output", "attn.c_proj"),
    ("ffn_norm", "ln_2"),
    ("ffn_up", "mlp.c_fc"),
    ("ffn_down", "mlp.c_proj"),
];

/// The names of one family's tensors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    outside: &'static [(&'static str, &'static str)],
    blocks: [&'static [(&'static str, &'static str)]; 2],
    /// What a block's keys begin with, before its number.
    block: &'static str,
}

impl Names {
    /// Those of an architecture, as ggml calls it.
    pub(super) fn of(architecture: &str) -> Self {
        let decoder = |of_block| Self {
            outside: DECODER,
            blocks: [ATTENTION, of_block],
            block: "model.layers.",
        };
        match architecture {
            "gpt2" => Self {
                outside: GPT2,
                blocks: [GPT2_BLOCK, &[]],
                block: "transformer.h.",
            },
            "gemma2" | "gemma3" => decoder(SANDWICH),
            "phi3" => decoder(FUSED),
            _ => decoder(GATED),
        }
    }

    /// The key in a checkpoint of a tensor that ggml calls `name`; none where it has no such
    /// tensor.
    pub(super) fn key(&self, name: &str) -> Option<String> {
        let (module, end) = name.rsplit_once('.')?;
        let ours = |table: &[(&str, &'static str)], module: &str| {
            let found = table.iter().find(|(theirs, _)| *theirs == module);
            found.map(|(_, ours)| *ours)
        };
        match module.strip_prefix("blk.") {
            None => Some(format!("{}.{end}", ours(self.outside, module)?)),
            Some(of_block) => {
                let (number, module) = of_block.split_once('.')?;
                let number: usize = number.parse().ok()?;
                let found = self.blocks.iter().find_map(|table| ours(table, module));
                Some(format!("{}{number}.{}.{end}", self.block, found?))
            }
        }
    }

    /// What ggml calls the tensor with this key; none where it has no such tensor.
    pub(super) fn name(&self, key: &str) -> Option<String> {
        let (module, end) = key.rsplit_once('.')?;
        let theirs = |table: &[(&'static str, &str)], module: &str| {
            let found = table.iter().find(|(_, ours)| *ours == module);
            found.map(|(theirs, _)| *theirs)
        };
        match module.strip_prefix(self.block) {
            None => Some(format!("{}.{end}", theirs(self.outside, module)?)),
            Some(of_block) => {
                let (number, module) = of_block.split_once('.')?;
                let number: usize = number.parse().ok()?;
                let found = self.blocks.iter().find_map(|table| theirs(table, module));
                Some(format!("blk.{number}.{}.{end}", found?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_each_others() {
        let pairs = [
            ("llama", "token_embd.weight", "model.embed_tokens.weight"),
            ("llama", "output.weight", "lm_head.weight"),
            (
                "llama",
                "blk.10.attn_q.bias",
                "model.layers.10.self_attn.q_proj.bias",
            ),
            (
                "qwen3",
                "blk.0.ffn_norm.weight",
                "model.layers.0.post_attention_layernorm.weight",
            ),
            (
                "gemma2",
                "blk.0.ffn_norm.weight",
                "model.layers.0.pre_feedforward_layernorm.weight",
            ),
            (
                "gemma3",
                "blk.1.post_attention_norm.weight",
                "model.layers.1.post_attention_layernorm.weight",
            ),
            (
                "phi3",
                "blk.1.ffn_up.weight",
                "model.layers.1.mlp.gate_up_proj.weight",
            ),
            (
                "gpt2",
                "blk.3.attn_output.bias",
                "transformer.h.3.attn.c_proj.bias",
            ),
            ("gpt2", "position_embd.weight", "transformer.wpe.weight"),
        ];
        for (architecture, name, key) in pairs {
            let names = Names::of(architecture);
            assert_eq!(names.key(name).as_deref(), Some(key));
            assert_eq!(names.name(key).as_deref(), Some(name));
        }
        let llama = Names::of("llama");
        for name in [
            "rope_freqs.weight",
            "blk.x.attn_q.weight",
            "blk.1",
            "weight",
            "blk.0.ssm_a.b",
        ] {
            assert_eq!(llama.key(name), None, "{name}");
        }
    }
}
