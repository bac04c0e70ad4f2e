//! The parameters of the small decoder and the small encoder, by hand.

use std::collections::BTreeSet;

/// What a decoder's block has beside its norms.
const DECODER_LAYERS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];
const DECODER_NORMS: [&str; 2] = ["input_layernorm", "post_attention_layernorm"];
const ENCODER_LAYERS: [&str; 6] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
];
const ENCODER_NORMS: [&str; 2] = ["attention.output.LayerNorm", "output.LayerNorm"];

pub(super) type Paths = BTreeSet<String>;

pub(super) fn paths<S: Into<String>>(paths: impl IntoIterator<Item = S>) -> Paths {
    paths.into_iter().map(Into::into).collect()
}

/// All of these.
pub(super) fn all(sets: impl IntoIterator<Item = Paths>) -> Paths {
    sets.into_iter().flatten().collect()
}

pub(super) mod decoder {
    use super::*;

    pub(crate) fn below() -> Paths {
        paths(["model.embed_tokens.weight"])
    }

    pub(crate) fn block(i: usize) -> Paths {
        let layers = DECODER_LAYERS.iter().flat_map(|layer| {
            ["weight", "bias"].map(|name| format!("model.layers.{i}.{layer}.{name}"))
        });
        let norms = DECODER_NORMS.map(|norm| format!("model.layers.{i}.{norm}.weight"));
        layers.chain(norms).collect()
    }

    pub(crate) fn above() -> Paths {
        paths(["model.norm.weight", "lm_head.weight"])
    }

    pub(crate) fn biases() -> Paths {
        let of = |i| DECODER_LAYERS.map(move |layer| format!("model.layers.{i}.{layer}.bias"));
        (0..3).flat_map(of).collect()
    }

    pub(crate) fn norms() -> Paths {
        let of = |i| DECODER_NORMS.map(move |norm| format!("model.layers.{i}.{norm}.weight"));
        let blocks = (0..3).flat_map(of);
        blocks.chain(["model.norm.weight".to_owned()]).collect()
    }

    pub(crate) fn every() -> Paths {
        all([below(), block(0), block(1), block(2), above()])
    }
}

pub(super) mod encoder {
    use super::*;

    const ENDS: [&str; 2] = ["weight", "bias"];

    pub(crate) fn below() -> Paths {
        let tables = ["word", "position", "token_type"]
            .map(|table| format!("bert.embeddings.{table}_embeddings.weight"));
        let norm = ENDS.map(|name| format!("bert.embeddings.LayerNorm.{name}"));
        tables.into_iter().chain(norm).collect()
    }

    pub(crate) fn block(i: usize) -> Paths {
        let modules = ENCODER_LAYERS.iter().chain(&ENCODER_NORMS);
        let of = |module: &&str| ENDS.map(|name| format!("bert.encoder.layer.{i}.{module}.{name}"));
        modules.flat_map(of).collect()
    }

    pub(crate) fn head() -> Paths {
        paths(["classifier.weight", "classifier.bias"])
    }

    pub(crate) fn above() -> Paths {
        let pooler = paths(["bert.pooler.dense.weight", "bert.pooler.dense.bias"]);
        all([pooler, head()])
    }

    pub(crate) fn biases() -> Paths {
        let ends = |path: &String| path.ends_with(".bias");
        every().into_iter().filter(ends).collect()
    }

    pub(crate) fn norms() -> Paths {
        let of = |i| {
            ENCODER_NORMS.iter().flat_map(move |norm| {
                ENDS.map(|name| format!("bert.encoder.layer.{i}.{norm}.{name}"))
            })
        };
        let embeddings = ENDS.map(|name| format!("bert.embeddings.LayerNorm.{name}"));
        (0..3).flat_map(of).chain(embeddings).collect()
    }

    pub(crate) fn every() -> Paths {
        all([below(), block(0), block(1), block(2), above()])
    }
}
