//! A model that is not of this workspace, whole: a small decoder with learned positions, one head and a gated feed-forward layer. What follows it is all that its author writes to
//! know that LoRA, prompts, prefixes and strategies by depth are right on it.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{DType, Device, Int, Tensor};
use peft_conformance::{Logits, ModelFixture};
use peft_core::{
    CausalLm, EVERY_SEQUENCE, FromEmbeddings, KvCache, Transformer, embedding, linear,
};

const VOCABULARY: usize = 19;
const D_MODEL: usize = 10;
const HEAD: usize = 6;
const POSITIONS: usize = 16;

#[derive(Module, Debug)]
struct Block {
    norm: LayerNorm,
    qkv: Linear,
    out: Linear,
    gate: Linear,
    up: Linear,
    down: Linear,
}

#[derive(Module, Debug)]
struct OwnModel {
    tokens: Embedding,
    places: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl OwnModel {
    fn new(device: &Device) -> Self {
        let linear =
            |d_in, d_out, bias| LinearConfig::new(d_in, d_out).with_bias(bias).init(device);
        let norm = || LayerNormConfig::new(D_MODEL).init(device);
        let block = |_| Block {
            norm: norm(),
            qkv: linear(D_MODEL, 3 * HEAD, true),
            out: linear(HEAD, D_MODEL, false),
            gate: linear(D_MODEL, 14, true),
            up: linear(D_MODEL, 14, false),
            down: linear(14, D_MODEL, true),
        };
        Self {
            tokens: EmbeddingConfig::new(VOCABULARY, D_MODEL).init(device),
            places: Param::from_tensor(Tensor::zeros([POSITIONS, D_MODEL], device)),
            blocks: (0..2).map(block).collect(),
            norm: norm(),
            head: linear(D_MODEL, VOCABULARY, false),
        }
    }
}

/// Zero where a position sees a key and far below it where not, `[1 or batch, 1, positions, cached + positions]`: nothing later, and no other sequence.
fn hidden(
    positions: usize,
    cached: usize,
    segments: Option<Tensor<2, Int>>,
    device: &Device,
) -> Tensor<4> {
    let place = |range: Range<usize>| {
        Tensor::<1, Int>::arange(range.start as i64..range.end as i64, device)
    };
    let (keys, queries) = (
        place(0..cached + positions),
        place(cached..cached + positions),
    );
    let mut hidden = keys
        .unsqueeze_dim::<2>(0)
        .greater(queries.unsqueeze_dim(1))
        .unsqueeze::<4>();
    if let Some(keys) = segments {
        let of = keys
            .clone()
            .narrow(1, cached, positions)
            .unsqueeze_dim::<3>(2);
        let keys = keys.unsqueeze_dim::<3>(1);
        let all = keys.clone().equal_elem(EVERY_SEQUENCE);
        let other = of.not_equal(keys).bool_and(all.bool_not());
        hidden = hidden.bool_or(other.unsqueeze_dim(1));
    }
    hidden.float().cast(DType::F32) * -1e30
}

impl FromEmbeddings for OwnModel {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(&self.tokens, ids)
    }

    fn hidden_from(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.stages(embeds, segments, cache)
    }
}

impl Transformer for OwnModel {
    fn begin(&self, embeds: Tensor<3>, start: usize) -> Tensor<3> {
        let positions = embeds.dims()[1];
        embeds + self.places.val().narrow(0, start, positions).unsqueeze()
    }

    fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn run_blocks(
        &self,
        mut x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        let mut own = self.new_cache();
        let cache = cache.unwrap_or(&mut own);
        let (positions, device) = (x.dims()[1], x.device());
        let hidden = hidden(positions, cache.len_of(blocks.start), segments, &device);
        for i in blocks {
            let block = &self.blocks[i];
            let qkv = linear(&block.qkv, block.norm.forward(x.clone())).unsqueeze_dim::<4>(1);
            let part = |j| qkv.clone().narrow(3, j * HEAD, HEAD); // [batch, 1, positions, HEAD]
            let (k, v) = cache.append(i, part(1), part(2));
            let scores = part(0).matmul(k.transpose()).cast(DType::F32) * (HEAD as f64).powf(-0.5);
            let weights = softmax(scores + hidden.clone(), 3).cast(v.dtype());
            x = x + linear(&block.out, weights.matmul(v).squeeze_dim::<3>(1));
            let wide = sigmoid(linear(&block.gate, x.clone())) * linear(&block.up, x.clone());
            x = x + linear(&block.down, wide);
        }
        x
    }

    fn finish(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(x)
    }

    fn d_model(&self) -> usize {
        D_MODEL
    }

    fn vocab_size(&self) -> usize {
        VOCABULARY
    }

    fn max_positions(&self) -> usize {
        POSITIONS
    }

    fn kv_shape(&self) -> (usize, usize) {
        (1, HEAD)
    }
}

impl CausalLm for OwnModel {
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        linear(&self.head, hidden)
    }
}

struct Fixture;

impl ModelFixture for Fixture {
    type Model = OwnModel;
    type Head = Logits;
    const NAME: &'static str = "own model";

    fn model(device: &Device) -> OwnModel {
        OwnModel::new(device)
    }
}

mod own_model {
    peft_conformance::model_suite!(super::Fixture);
}
