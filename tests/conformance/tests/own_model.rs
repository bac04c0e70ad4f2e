//! A model that is not of this workspace, whole: a small decoder with learned positions, one head
//! and a gated feed-forward layer. What follows it is all that its author writes to know that LoRA,
//! prompts, prefixes and strategies by depth are right on it.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Int, Tensor};
use peft_conformance::{Logits, ModelFixture};
use peft_core::{embedding, linear};
use peft_model::{Attention, CausalLm, Context, Look, Scores, Spec, Stages, Transformer};

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

impl Stages for OwnModel {
    fn spec(&self) -> Spec {
        Spec {
            d_model: D_MODEL,
            n_blocks: self.blocks.len(),
            vocab_size: VOCABULARY,
            max_positions: POSITIONS,
            n_kv_heads: 1,
            head_dim: HEAD,
        }
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(&self.tokens, ids)
    }

    fn begin(&self, embeds: Tensor<3>, context: &Context) -> Tensor<3> {
        let places = context.places(); // [1 or batch, positions]
        let [rows, positions] = places.dims();
        let learned = self.places.val().select(0, places.flatten(0, 1));
        embeds + learned.reshape([rows, positions, D_MODEL])
    }

    fn look(&self, _: usize) -> Look<'_> {
        Look::CAUSAL
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let block = &self.blocks[block];
        let qkv = linear(&block.qkv, block.norm.forward(x.clone()));
        let part = |j| qkv.clone().narrow(2, j * HEAD, HEAD); // [batch, positions, HEAD]
        let q = Attention::split_heads(attention.queries(part(0)), 1);
        let [k, v] = [1, 2].map(|j| Attention::split_heads(part(j), 1));
        let x = attention.queries(x);
        let mixed = attention.attend(q, k, v, Scores::new((HEAD as f64).powf(-0.5)));
        let x = x + linear(&block.out, mixed);
        let wide = sigmoid(linear(&block.gate, x.clone())) * linear(&block.up, x.clone());
        x + linear(&block.down, wide)
    }

    fn finish(&self, x: Tensor<3>, _: &Context) -> Tensor<3> {
        self.norm.forward(x)
    }
}

impl Transformer for OwnModel {
    fn stages(&self) -> &dyn Stages {
        self
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
