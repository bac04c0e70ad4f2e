//! IA3: vectors on outputs and inputs, and what they do beside a LoRA.

use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use peft_core::{ForwardPath, Names, Placed, Targets, linear, merge, set_active, slots};
use peft_ia3::{Ia3, Ia3Config, Ia3Side};
use peft_lora::{Lora, LoraConfig};
use peft_tests::tolerance::PATHS;

use crate::fixture::{Net, assert_close, assert_differs, filled, filled_adapters, values};

peft_tests::cases!(
    shapes_follow_the_side,
    an_output_is_rescaled_with_its_bias,
    an_input_is_rescaled_and_the_bias_is_not,
    a_lora_and_an_ia3_compose_in_order,
    strengths_interpolate,
);

/// IA3 on the only layer of a model.
fn only(model: &Linear) -> Tensor<1> {
    let (_, slot) = slots(model).remove(0);
    slot.get::<Ia3>("ia3").expect("an IA3").scaling.val()
}

fn outputs() -> Ia3Config {
    Ia3Config::new(Targets::all_linear()).with_path(ForwardPath::Factored)
}

fn inputs() -> Ia3Config {
    outputs().with_feedforward(Names::Regex(String::new()))
}

/// Keys and values by their output, the feed-forward by its input, all with their biases.
fn usual() -> Ia3Config {
    Ia3Config::new(Targets::suffixes(["q_proj", "v_proj", "down_proj"]))
        .with_feedforward(Names::suffixes(["down_proj"]))
        .with_path(ForwardPath::Factored)
}

fn shapes_follow_the_side(device: &Device) {
    let mut model = Net::new(device);
    let report = usual().attach(&mut model, "ia3").expect("it attaches");
    assert_eq!(report.summary.trainable, 3 * (10 + 10 + 10));
    for (path, slot) in slots(&model) {
        let ia3: &Ia3 = slot.get("ia3").expect("an IA3");
        let side = match path.split('.').nth(2) {
            Some("down_proj") => Ia3Side::Input,
            Some("q_proj") => Ia3Side::Output { has_bias: true },
            _ => Ia3Side::Output { has_bias: false },
        };
        assert_eq!(ia3.side(), side, "{path}");
        assert_eq!(ia3.scaling.dims(), [10]);
        assert_eq!(slot.method("ia3"), Some("ia3"));
    }
}

/// A biased layer with `config` on it, and the layer without.
fn pair(device: &Device, config: &Ia3Config) -> (Linear, Linear) {
    let base = filled(LinearConfig::new(6, 10).init(device));
    let mut model = base.clone();
    config.attach(&mut model, "ia3").expect("it attaches");
    (filled_adapters(model), base)
}

fn an_output_is_rescaled_with_its_bias(device: &Device) {
    let (mut model, base) = pair(device, &outputs());
    let x = values([2, 3, 6], 1.0, device);
    let expected = base.forward(x.clone()) * only(&model).unsqueeze();
    assert_differs(&expected, &base.forward(x.clone()));
    assert_close(&linear(&model, x.clone()), &expected, PATHS);
    drop(merge(&mut model).expect("it merges"));
    assert_close(&model.forward(x), &expected, PATHS);
}

fn an_input_is_rescaled_and_the_bias_is_not(device: &Device) {
    let (mut model, base) = pair(device, &inputs());
    let x = values([2, 3, 6], 1.0, device);
    let expected = base.forward(x.clone() * only(&model).unsqueeze());
    assert_differs(&expected, &base.forward(x.clone()));
    assert_close(&linear(&model, x.clone()), &expected, PATHS);
    assert_close(&model.forward(x.clone()), &expected, PATHS);
    drop(merge(&mut model).expect("it merges"));
    assert_close(&model.forward(x), &expected, PATHS);
}

/// A LoRA and an output-side IA3 on one biased weight; the delta of the one, the vector of the
/// other.
fn both(device: &Device) -> (Linear, Linear, Tensor<2>, Tensor<1>) {
    let (mut model, base) = pair(device, &outputs());
    LoraConfig::new(2, 3.0)
        .with_path(ForwardPath::Factored)
        .attach(&mut model, "lora")
        .expect("it attaches");
    let model = filled_adapters(model);
    let (_, slot) = slots(&model).remove(0);
    let delta = slot.get::<Lora>("lora").expect("a LoRA").delta();
    let vector = only(&model);
    (model, base, delta, vector)
}

fn a_lora_and_an_ia3_compose_in_order(device: &Device) {
    let (model, base, delta, vector) = both(device);
    let x = values([2, 3, 6], 1.0, device);
    let low_rank = || x.clone().matmul(delta.clone().unsqueeze());
    let below = base.forward(x.clone());
    // The IA3 above rescales what the LoRA adds; below, it does not.
    let lora_first = (below.clone() + low_rank()) * vector.clone().unsqueeze();
    let ia3_first = below * vector.unsqueeze() + low_rank();
    assert_differs(&lora_first, &ia3_first);
    for (order, expected) in [(["lora", "ia3"], lora_first), (["ia3", "lora"], ia3_first)] {
        let mut model = model.clone();
        set_active(&mut model, &order.map(|name| (name, 1.0))).expect("both exist");
        assert_close(&linear(&model, x.clone()), &expected, PATHS);
        drop(merge(&mut model).expect("it merges"));
        assert_close(&model.forward(x.clone()), &expected, PATHS);
    }
}

fn strengths_interpolate(device: &Device) {
    let (mut model, base, delta, vector) = both(device);
    let x = values([2, 3, 6], 1.0, device);
    set_active(&mut model, &[("lora", 0.5), ("ia3", 0.25)]).expect("both exist");
    let below = base.forward(x.clone()) + x.clone().matmul(delta.unsqueeze()).mul_scalar(0.5);
    let factor = vector.mul_scalar(0.25) + 0.75;
    let expected = below * factor.unsqueeze();
    assert_close(&linear(&model, x.clone()), &expected, PATHS);
    drop(merge(&mut model).expect("it merges"));
    assert_close(&model.forward(x), &expected, PATHS);
}
