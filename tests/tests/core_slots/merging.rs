//! Merging, and undoing it.

use burn::module::{Lora as BurnLora, Module};
use burn::tensor::{DType, Device, Tensor};
use peft_core::{ForwardPath, PeftError, Placed, Targets, TrainBias, edit_slots, merge, slots};
use peft_lora::{Lora, LoraConfig};
use peft_tests::tolerance::PATHS;

use super::{adapted, lora};
use crate::fixture::{
    Net, assert_close, assert_differs, assert_same, filled_adapters, params, slot_state, values,
};

peft_tests::cases!(
    merging_removes_the_slots,
    a_half_precision_base_is_rounded_once,
    values_that_are_not_finite_are_refused,
    a_model_without_adapters_is_refused,
    a_foreign_reparameterization_is_refused,
);

fn merging_removes_the_slots(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = Net::new(&device);
    LoraConfig::new(2, 3.0)
        .with_train_bias(TrainBias::All)
        .with_whole_modules(["norm"])
        .attach(&mut model, "a")
        .expect("it attaches");
    let mut model = filled_adapters(model);
    let expected = model.output(ForwardPath::Factored);
    drop(merge(&mut model).expect("it merges"));
    assert!(slots(&model).is_empty());
    assert_eq!(model.num_params(), Net::new(&device).num_params());
    for path in [ForwardPath::Factored, ForwardPath::Weight] {
        assert_close(&model.output(path), &expected, PATHS);
    }
    // It can be adapted again, and the merged weights are then the base.
    let report = lora(ForwardPath::Factored).attach(&mut model, "a");
    assert!(report.expect("it attaches").active);
    assert_close(&model.output(ForwardPath::Factored), &expected, PATHS);
}

fn a_half_precision_base_is_rounded_once(device: &Device) {
    // The narrowest base that the backend holds; where that is f32, nothing is rounded.
    let half = device.supports_dtype(DType::BF16);
    let dtype = if half { DType::BF16 } else { DType::F32 };
    let layer = burn::nn::LinearConfig::new(6, 10)
        .with_bias(false)
        .init(device);
    let mut model = crate::fixture::filled(layer);
    model.weight = model.weight.map(|weight| weight.cast(dtype));
    let base = model.weight.val();
    assert_eq!(base.dtype(), dtype);
    LoraConfig::new(2, 3.0)
        .attach(&mut model, "a")
        .expect("it attaches");
    let mut model = filled_adapters(model);
    let (_, slot) = slots(&model).remove(0);
    let lora: &Lora = slot.get("a").expect("a LoRA");
    assert_eq!(lora.lora_a.dtype(), DType::F32);
    let expected = (base.cast(DType::F32) + lora.delta()).cast(dtype);
    drop(merge(&mut model).expect("it merges"));
    assert_eq!(model.weight.val().dtype(), dtype);
    assert_same(&model.weight.val(), &expected);
}

fn values_that_are_not_finite_are_refused(device: &Device) {
    for poison in [f32::NAN, f32::INFINITY] {
        let mut model = adapted(device, ForwardPath::Factored);
        edit_slots(&mut model, |path, slot| {
            if path == "layers.1.down_proj.weight" {
                let a = Tensor::full([10, 2], poison, device);
                slot.set(
                    "default",
                    Lora::new(a, values([2, 6], 1.0, device), 1.5, 0.0),
                );
            }
            Ok(())
        })
        .expect("it can be edited");
        let state = slot_state(&model);
        let error = merge(&mut model).expect_err("not finite");
        assert_eq!(
            error.to_string(),
            "merging `layers.1.down_proj.weight` gives values that are not finite; the model is unchanged"
        );
        assert_eq!(slot_state(&model), state);
    }
}

fn a_model_without_adapters_is_refused(device: &Device) {
    let mut model = Net::new(device);
    assert_eq!(merge(&mut model).map(drop), Err(PeftError::NoAdapter));
}

fn a_foreign_reparameterization_is_refused(device: &Device) {
    let mut model = Net::new(device).apply_lora(BurnLora::new(2, 4.0));
    let (before, output) = (params(&model), model.output(ForwardPath::Weight));
    let config = LoraConfig::new(2, 3.0).with_targets(Targets::suffixes(["q_proj"]));
    let error = config.attach(&mut model, "a").expect_err("taken");
    assert_eq!(
        error.to_string(),
        "`embed.weight` already carries a `lora` reparameterization; materialize or remove it before using adapters"
    );
    let edit = edit_slots(&mut model, |_, _| Ok(()));
    assert_eq!(edit, Err(error));
    assert_eq!(params(&model), before);
    assert_same(&model.output(ForwardPath::Weight), &output);
    // Once it is folded in, adapters are welcome.
    let mut model = model.materialize();
    config.attach(&mut model, "a").expect("it attaches");
    assert_same(&model.output(ForwardPath::Weight), &output);
    let model = filled_adapters(model);
    assert_differs(&model.output(ForwardPath::Weight), &output);
}
