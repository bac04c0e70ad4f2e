//! What Burn's own traversals do with the parameters inside slots.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use peft_core::{ForwardPath, slots};
use peft_lora::Lora;
use peft_tests::tolerance::PATHS;

use super::{adapted, lora};
use crate::fixture::{
    Net, adapter_paths, assert_close, assert_differs, assert_same, filled_adapters, params,
    slot_state, steps, trained,
};

peft_tests::cases!(
    num_params_counts_adapters,
    adapters_have_paths,
    a_fork_is_a_model_of_its_own,
    a_move_keeps_everything,
    a_validation_model_has_no_graph_and_trains_again,
    dropout_acts_in_training_only,
);

/// Ranks 2 on three queries `[6, 10]` and three down projections `[10, 6]`.
const ADAPTERS: usize = 3 * (2 * (6 + 10) + 2 * (10 + 6));

fn num_params_counts_adapters(device: &Device) {
    let before = Net::new(device).num_params();
    let model = adapted(device, ForwardPath::Factored);
    assert_eq!(model.num_params(), before + ADAPTERS);
}

fn adapters_have_paths(device: &Device) {
    let model = adapted(device, ForwardPath::Factored);
    let mut expected = Vec::new();
    for layer in 0..3 {
        for name in ["down_proj", "q_proj"] {
            for factor in ["lora_a", "lora_b"] {
                expected.push(format!(
                    "layers.{layer}.{name}.weight.adapters.default.{factor}"
                ));
            }
        }
    }
    assert_eq!(adapter_paths(&model), expected);
}

fn a_fork_is_a_model_of_its_own(device: &Device) {
    let device = device.clone().autodiff();
    let model = adapted(&device, ForwardPath::Factored);
    let before = params(&model);
    let fork = model.clone().fork(&device);
    assert_eq!(params(&fork), before);
    assert_eq!(slot_state(&fork), slot_state(&model));
    // Leaves of its own: what it computes has no gradient in the model that it came from.
    let gradients = |model: &Net| {
        let grads = fork.loss(ForwardPath::Factored).backward();
        GradientsParams::from_grads(grads, model).len()
    };
    assert_eq!((gradients(&fork), gradients(&model)), (3 * 2 * 2, 0));
    let (fork, _) = steps(fork, 2, |model| model.loss(ForwardPath::Factored));
    for name in adapter_paths(&fork) {
        assert_ne!(params(&fork)[&name].data, before[&name].data, "{name}");
    }
    assert_eq!(params(&model), before);
}

/// Every other backend of this build, and the same device, for where there is only one.
pub(super) fn others(device: &Device) -> Vec<Device> {
    let mut others = vec![device.clone()];
    if cfg!(all(feature = "flex", feature = "ndarray")) {
        others.extend(["flex", "ndarray"].map(peft_tests::device));
    }
    others
}

fn a_move_keeps_everything(device: &Device) {
    let model = adapted(device, ForwardPath::Factored);
    for other in others(device) {
        let moved = model.clone().to_device(&other);
        assert_eq!(moved.devices(), [other]);
        assert_eq!(params(&moved), params(&model));
        for (_, slot) in slots(&moved) {
            let lora: &Lora = slot.get("default").expect("a LoRA");
            assert_eq!(lora.lora_a.device(), moved.devices()[0]);
        }
        let y = moved.output(ForwardPath::Factored).to_device(device);
        let expected = model.output(ForwardPath::Factored);
        assert_close(&y, &expected, PATHS);
    }
}

fn a_validation_model_has_no_graph_and_trains_again(device: &Device) {
    let device = device.clone().autodiff();
    let model = adapted(&device, ForwardPath::Factored);
    let valid = model.valid();
    assert!(!valid.output(ForwardPath::Factored).is_autodiff());
    assert_eq!(trained(&valid), Vec::<String>::new());
    assert_eq!(slot_state(&valid), slot_state(&model));
    let output = model.output(ForwardPath::Factored).inner();
    assert_close(&valid.output(ForwardPath::Factored), &output, PATHS);
    let again = Module::train(valid);
    assert_eq!(trained(&again), adapter_paths(&model));
    let before = params(&again);
    let (again, _) = steps(again, 1, |model| model.loss(ForwardPath::Factored));
    for name in adapter_paths(&again) {
        assert_ne!(params(&again)[&name].data, before[&name].data, "{name}");
    }
}

fn dropout_acts_in_training_only(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = Net::new(&device);
    lora(ForwardPath::Factored)
        .with_dropout(0.5)
        .attach(&mut model, "default")
        .expect("it attaches");
    let model = filled_adapters(model);
    let output = |model: &Net| model.output(ForwardPath::Factored);
    assert_differs(&output(&model), &output(&model));

    let valid = model.valid();
    let without = adapted(&device, ForwardPath::Factored).valid();
    assert_same(&output(&valid), &output(&valid));
    assert_same(&output(&valid), &output(&without));
    // In validation nothing is dropped, so the weight says it all.
    let by_weight = valid.output(ForwardPath::Weight);
    assert_close(&by_weight, &output(&valid), PATHS);

    let (trained, losses) = steps(model, 8, |model| model.loss(ForwardPath::Factored));
    assert!(losses.iter().all(|loss| loss.is_finite()));
    let again = Module::train(trained.valid());
    assert_differs(&output(&again), &output(&again));
}
