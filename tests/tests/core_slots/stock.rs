//! Burn's own transformer blocks, adapted without a change to them.

use burn::module::Module;
use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput,
};
use burn::tensor::{Device, Tensor};
use peft_core::{Names, Placed, Targets, merge};
use peft_ia3::Ia3Config;
use peft_lora::LoraConfig;
use peft_tests::tolerance::PATHS;

use crate::fixture::{
    adapter_paths, assert_close, assert_differs, assert_same, filled, filled_adapters, is_adapter,
    params, steps, values,
};

peft_tests::cases!(
    an_encoder_trains_and_merges,
    attention_trains_and_merges,
    ia3_on_attention_without_biases,
);

fn encode(model: &TransformerEncoder, device: &Device) -> Tensor<3> {
    model.forward(TransformerEncoderInput::new(values([2, 3, 8], 1.0, device)))
}

fn attend(model: &MultiHeadAttention, device: &Device) -> Tensor<3> {
    let x = values([2, 3, 8], 1.0, device);
    model.forward(MhaInput::self_attn(x)).context
}

/// Adapts `base`, trains the adapters, and compares: the base bit for bit, the merged model with
/// the adapted one.
fn lifecycle<M: Module>(
    base: M,
    config: &LoraConfig,
    layers: usize,
    run: impl Fn(&M) -> Tensor<3>,
) {
    // Not drawn: what is drawn depends on the cases of other threads.
    let base = filled(base);
    let mut model = base.clone();
    let report = config.attach(&mut model, "default").expect("it attaches");
    assert_eq!(report.layers.len(), layers, "{report}");
    assert_same(&run(&model), &run(&base)); // B is zero
    let model = filled_adapters(model);
    let before = params(&model);
    let (model, losses) = steps(model, 8, |model| {
        let y = run(model);
        let target = values(y.dims(), 5.0, &y.device());
        (y - target).powi_scalar(2).mean()
    });
    assert!(losses[7] < 0.95 * losses[0], "{losses:?}");
    for (name, after) in params(&model) {
        assert_eq!(
            after.data != before[&name].data,
            is_adapter(&name),
            "{name}"
        );
    }
    assert_eq!(adapter_paths(&model).len(), 2 * layers);
    let mut merged = model.clone();
    let unmerged = merge(&mut merged).expect("it merges");
    assert_eq!(merged.num_params(), base.num_params());
    assert_differs(&run(&merged), &run(&base));
    assert_close(&run(&merged), &run(&model), PATHS);
    unmerged.restore(&mut merged);
    assert_eq!(params(&merged), params(&model));
}

fn an_encoder_trains_and_merges(device: &Device) {
    let device = device.clone().autodiff();
    let base = TransformerEncoderConfig::new(8, 12, 2, 2)
        .with_dropout(0.0)
        .init(&device);
    let config = LoraConfig::new(2, 3.0).with_targets(Targets::suffixes([
        "query",
        "value",
        "linear_inner",
        "linear_outer",
    ]));
    lifecycle(base, &config, 2 * 4, |model| encode(model, &device));
}

fn attention_trains_and_merges(device: &Device) {
    let device = device.clone().autodiff();
    let base = MultiHeadAttentionConfig::new(8, 2)
        .with_dropout(0.0)
        .init(&device);
    let config = LoraConfig::new(2, 3.0).with_targets(Targets::suffixes(["query", "value"]));
    lifecycle(base, &config, 2, |model| attend(model, &device));
}

fn ia3_on_attention_without_biases(device: &Device) {
    let base = MultiHeadAttentionConfig::new(8, 2)
        .with_dropout(0.0)
        .with_key_bias(false)
        .with_value_bias(false)
        .init(device);
    let mut model = base.clone();
    Ia3Config::new(Targets::suffixes(["key", "value", "output"]))
        .with_feedforward(Names::suffixes(["output"]))
        .attach(&mut model, "default")
        .expect("it attaches");
    assert_same(&attend(&model, device), &attend(&base, device)); // every factor is one
    let mut model = filled_adapters(model);
    let adapted = attend(&model, device);
    assert_differs(&adapted, &attend(&base, device));
    drop(merge(&mut model).expect("it merges"));
    assert_close(&attend(&model, device), &adapted, PATHS);
}
