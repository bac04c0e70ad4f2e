//! [`ModernBertModel`]: the encoder.

use std::ops::Range;

use burn::module::Module;
use burn::nn::{Dropout, Embedding};
use burn::tensor::{Int, Tensor};
use peft_kernels::Sight;

use super::{ModernBertConfig, ModernBertLayer};
use crate::mask::AttentionBias;
use crate::rope::Rotation;
use crate::rows::embedding;
use crate::{FromEmbeddings, KvCache, LayerNorm, Transformer};

/// What the first block reads, `norm(word)`.
#[derive(Module, Debug)]
pub struct ModernBertEmbeddings {
    /// `[vocabulary, d_model]`.
    pub tok_embeddings: Embedding,
    /// The norm.
    pub norm: LayerNorm,
    /// After the norm.
    pub drop: Dropout,
}

/// The encoder of ModernBERT.
#[derive(Module, Debug)]
pub struct ModernBertModel {
    /// Before the blocks.
    pub embeddings: ModernBertEmbeddings,
    /// The blocks.
    pub layers: Vec<ModernBertLayer>,
    /// After the blocks.
    pub final_norm: LayerNorm,
    #[module(skip)]
    pub(super) config: ModernBertConfig,
}

impl ModernBertModel {
    /// The sizes.
    pub fn config(&self) -> &ModernBertConfig {
        &self.config
    }

    /// Some blocks; one block where it is asked at some positions alone.
    fn run(
        &self,
        mut x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        mut cache: Option<&mut KvCache>,
        at: Option<Tensor<2, Int>>,
    ) -> Tensor<3> {
        let positions = x.dims()[1];
        let cached = cache.as_ref().map_or(0, |cache| cache.len_of(blocks.start));
        let device = x.device();
        let (_, head_dim) = self.kv_shape();
        let window = Sight {
            reach: Some(self.config.reach),
            ..Sight::ALL
        };
        let [global, local] = [
            (&self.config.global_rope, Sight::ALL),
            (&self.config.local_rope, window),
        ]
        .map(|(rope, sight)| {
            let rotation = Rotation::new(rope, head_dim, cached, positions, &device);
            let bias = AttentionBias::new(sight, positions, cached, segments.clone());
            (rotation.asked_at(at.clone()), bias.asked_at(at.clone()))
        });
        for i in blocks {
            let layer = &self.layers[i];
            let (rotation, bias) = if layer.windowed { &local } else { &global };
            let cache = cache.as_deref_mut().map(|cache| (cache, i));
            x = layer.forward(x, rotation, bias, cache);
        }
        x
    }
}

impl FromEmbeddings for ModernBertModel {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(&self.embeddings.tok_embeddings, ids)
    }

    fn hidden_from(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.stages(embeds, segments, cache)
    }

    fn hidden_at(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        self.stages_at(embeds, segments, at)
    }
}

impl Transformer for ModernBertModel {
    fn begin(&self, embeds: Tensor<3>, _start: usize) -> Tensor<3> {
        let normed = self.embeddings.norm.forward(embeds);
        self.embeddings.drop.forward(normed)
    }

    fn n_blocks(&self) -> usize {
        self.layers.len()
    }

    fn run_blocks(
        &self,
        x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.run(x, blocks, segments, cache, None)
    }

    fn run_last(
        &self,
        x: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        let end = self.n_blocks();
        self.run(x, end - 1..end, segments, None, Some(at))
    }

    fn finish(&self, x: Tensor<3>) -> Tensor<3> {
        self.final_norm.forward(x)
    }

    fn d_model(&self) -> usize {
        self.config.d_model
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn max_positions(&self) -> usize {
        self.config.max_positions
    }

    fn kv_shape(&self) -> (usize, usize) {
        (
            self.config.n_heads,
            self.config.d_model / self.config.n_heads,
        )
    }
}
