//! What is of a decoder's forward pass alone, each property by a second way to compute the same;
//! what any model must keep is in [`crate::conformance`].

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, s};
use peft_core::{Placed, Summary, Targets};
use peft_lora::LoraConfig;
use peft_models::{
    CausalLm, DecoderAttention, DecoderConfig, ProjectionBias, RmsNorm, SplitAttention, Transformer,
};
use peft_tests::tolerance::PATHS;

use super::{assert_close, ids, params, spread, tiny};
use crate::fixture::filled_adapters;

peft_tests::cases!(
    grouped_queries_equal_repeated_heads,
    positions_matter,
    norm_equals_its_equation,
    tied_head_is_the_embedding,
    untied_head_trains_if_the_embedding_does,
    parameter_paths_are_keys,
    what_trains_is_told_without_weights,
);

fn grouped_queries_equal_repeated_heads(device: &Device) {
    let config = tiny();
    let grouped = spread(&config, device);
    let mut model = grouped.clone();
    let heads = DecoderConfig {
        n_kv_heads: config.n_heads,
        ..config.clone()
    };
    let full = heads.init(device);
    for (layer, whole) in model.model.layers.iter_mut().zip(full.model.layers) {
        let (mut attention, grouped) = (split(&whole.self_attn), split(&layer.self_attn));
        attention.k_proj = repeated(&grouped.k_proj, &config);
        attention.v_proj = repeated(&grouped.v_proj, &config);
        attention.q_proj = grouped.q_proj;
        attention.o_proj = grouped.o_proj;
        layer.self_attn = DecoderAttention::Split(attention);
    }
    let ids = ids(2, 6, 23, device);
    let expected = model.hidden(ids.clone(), None, None);
    assert_close(&grouped.hidden(ids, None, None), &expected, PATHS);
}

/// Attention whose projections are apart.
fn split(attention: &DecoderAttention) -> SplitAttention {
    match attention {
        DecoderAttention::Split(attention) => attention.clone(),
        DecoderAttention::Fused(_) => panic!("the projections are one matrix"),
    }
}

/// Each head's outputs as often as query heads share it.
fn repeated(layer: &Linear, config: &DecoderConfig) -> Linear {
    let groups = config.n_heads / config.n_kv_heads;
    let heads = |matrix: Tensor<2>| {
        let parts = (0..config.n_heads).map(|head| {
            let start = head / groups * config.head_dim;
            matrix.clone().slice(s![.., start..start + config.head_dim])
        });
        Tensor::cat(parts.collect(), 1)
    };
    let bias = layer
        .bias
        .as_ref()
        .map(|bias| heads(bias.val().unsqueeze()));
    Linear {
        weight: Param::from_tensor(heads(layer.weight.val())),
        bias: bias.map(|bias| Param::from_tensor(bias.squeeze_dim::<1>(0))),
    }
}

fn positions_matter(device: &Device) {
    // Without rotation the last state of a single layer sees a set of tokens and not their order.
    let mut config = DecoderConfig {
        n_layers: 1,
        ..tiny()
    };
    config.rope.theta = 10.0;
    let model = spread(&config, device);
    let ids = Tensor::from_data([[3, 5, 8, 9, 2], [9, 8, 5, 3, 2]], device);
    let hidden = model.hidden(ids, None, None);
    let last = |row: usize| hidden.clone().slice(s![row..row + 1, 4..5, ..]);
    assert!(max_difference(&last(0), &last(1)) > 10.0 * PATHS);
}

fn norm_equals_its_equation(device: &Device) {
    let mut norm = RmsNorm::new(3, 0.5, device);
    norm.weight = Param::from_data([2.0, -1.0, 0.5], device);
    let x: Tensor<3> = Tensor::from_data([[[1.0, 2.0, 3.0]], [[-4.0, 0.0, 1.0]]], device);
    let (first, second) = ((14.0f32 / 3.0 + 0.5).sqrt(), (17.0f32 / 3.0 + 0.5).sqrt());
    let expected = [
        [[2.0 / first, -2.0 / first, 1.5 / first]],
        [[-8.0 / second, 0.0, 0.5 / second]],
    ];
    assert_close(
        &norm.forward(x),
        &Tensor::from_data(expected, device),
        PATHS,
    );
}

fn tied_head_is_the_embedding(device: &Device) {
    let config = DecoderConfig {
        tie_word_embeddings: true,
        ..tiny()
    };
    let model = spread(&config, device);
    let ids = ids(2, 5, 23, device);
    let hidden = model.hidden(ids.clone(), None, None);
    let logits = model.logits(hidden.clone());
    let embedding = model.model.embed_tokens.weight.val();
    let by_hand = hidden.clone().matmul(embedding.transpose().unsqueeze());
    assert_close(&logits, &by_hand, PATHS);
    assert_close(
        &model.clone().untie().logits(hidden.clone()),
        &logits,
        PATHS,
    );

    // An adapter on the embedding changes what goes in and not what comes out.
    let mut adapted = model;
    LoraConfig::new(2, 6.0)
        .with_targets(Targets::suffixes(["embed_tokens"]))
        .attach(&mut adapted, "default")
        .expect("the embedding can be adapted");
    let adapted = filled_adapters(adapted);
    assert!(max_difference(&adapted.hidden(ids, None, None), &hidden) > 1e-2);
    assert_close(&adapted.logits(hidden.clone()), &logits, 0.0);
    assert_close(&adapted.untie().logits(hidden), &logits, PATHS);
}

fn untied_head_trains_if_the_embedding_does(device: &Device) {
    let config = DecoderConfig {
        tie_word_embeddings: true,
        ..tiny()
    };
    for device in [device.clone(), device.clone().autodiff()] {
        for trains in [true, false] {
            let mut model = config.init(&device);
            let embedding = &mut model.model.embed_tokens.weight;
            *embedding = embedding.clone().set_require_grad(trains);
            let untied = model.untie();
            assert!(!untied.config().tie_word_embeddings);
            let head = untied.lm_head.expect("a head of its own");
            assert_eq!(Module::train(head).weight.base().is_require_grad(), trains);
        }
    }
}

fn parameter_paths_are_keys(device: &Device) {
    let config = DecoderConfig {
        n_layers: 1,
        attention_bias: ProjectionBias::None,
        mlp_bias: false,
        ..tiny()
    };
    let mut found: Vec<String> = params(&config.init(device))
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    found.sort();
    let layer = [
        "input_layernorm",
        "mlp.down_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "post_attention_layernorm",
        "self_attn.k_proj",
        "self_attn.o_proj",
        "self_attn.q_proj",
        "self_attn.v_proj",
    ];
    let mut expected = vec![
        "lm_head.weight".to_owned(),
        "model.embed_tokens.weight".into(),
    ];
    expected.extend(layer.map(|name| format!("model.layers.0.{name}.weight")));
    expected.push("model.norm.weight".into());
    assert_eq!(found, expected);
}

fn max_difference<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> f32 {
    (a.clone() - b.clone()).abs().max().into_scalar()
}

fn what_trains_is_told_without_weights(device: &Device) {
    struct Lazy(usize);
    impl ModuleVisitor for Lazy {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += usize::from(!param.is_initialized());
        }
    }
    for device in [device.clone(), device.clone().autodiff()] {
        let model = tiny().init(&device);
        let mut before = Lazy(0);
        model.visit(&mut before);
        assert!(before.0 > 20, "{}", before.0);
        let whole = Summary::of(&model);
        assert_eq!(whole.trainable, whole.total);
        let mut after = Lazy(0);
        model.visit(&mut after);
        assert_eq!(after.0, before.0);
        let frozen = model.no_grad();
        assert_eq!(Summary::of(&frozen).trainable, 0);
    }
}
