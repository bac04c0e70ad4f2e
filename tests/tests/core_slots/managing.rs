//! Several adapters on one model: activate, rename, detach.

use burn::module::Module;
use burn::tensor::Device;
use peft_core::{
    AdapterSlot, ForwardPath, PeftError, Placed, Targets, Whole, adapter_names, detach, edit_slots,
    rename, set_active, set_disabled, slots,
};
use peft_lora::{Lora, LoraConfig};

use super::{adapted, lora};
use crate::fixture::{
    Net, adapter_paths, assert_differs, assert_same, filled_adapters, params, slot_state, values,
};

peft_tests::cases!(
    the_first_adapter_acts_and_later_ones_wait,
    activation_is_by_name,
    a_renamed_adapter_is_the_same,
    detaching_leaves_the_others,
    detaching_the_last_gives_the_base,
    a_disabled_model_stays_disabled,
    an_edit_that_fails_changes_nothing,
);

fn second(model: &mut Net) {
    let report = LoraConfig::new(3, 1.0)
        .with_targets(Targets::suffixes(["q_proj", "head"]))
        .with_path(ForwardPath::Factored)
        .attach(model, "second")
        .expect("it attaches");
    assert!(!report.active);
    assert!(report.to_string().contains("not active yet"));
}

fn the_first_adapter_acts_and_later_ones_wait(device: &Device) {
    let mut model = adapted(device, ForwardPath::Factored);
    let before = model.output(ForwardPath::Factored);
    second(&mut model);
    assert_eq!(adapter_names(&model), ["default", "second"]);
    assert_same(&model.output(ForwardPath::Factored), &before);
}

fn activation_is_by_name(device: &Device) {
    let mut model = adapted(device, ForwardPath::Factored);
    second(&mut model);
    let mut model = filled_adapters(model);
    let first = model.output(ForwardPath::Factored);
    set_active(&mut model, &[("second", 1.0)]).expect("it exists");
    let only_second = model.output(ForwardPath::Factored);
    assert_differs(&only_second, &first);
    set_active(&mut model, &[("second", 1.0), ("default", 1.0)]).expect("both exist");
    assert_differs(&model.output(ForwardPath::Factored), &only_second);
    assert!(
        slot_state(&model)
            .contains(&"head.weight: [\"second\"] [(\"second\", 1.0)] false".to_owned())
    );
    set_active(&mut model, &[("default", 1.0)]).expect("it exists");
    assert_same(&model.output(ForwardPath::Factored), &first);
}

fn a_renamed_adapter_is_the_same(device: &Device) {
    let mut model = adapted(device, ForwardPath::Factored);
    let before = model.output(ForwardPath::Factored);
    let paths = adapter_paths(&model);
    rename(&mut model, "default", "mine").expect("it exists");
    assert_eq!(adapter_names(&model), ["mine"]);
    assert_same(&model.output(ForwardPath::Factored), &before);
    let renamed: Vec<String> = paths
        .iter()
        .map(|p| p.replace(".default.", ".mine."))
        .collect();
    assert_eq!(adapter_paths(&model), renamed);
}

fn detaching_leaves_the_others(device: &Device) {
    let mut model = adapted(device, ForwardPath::Factored);
    second(&mut model);
    let mut model = filled_adapters(model);
    let before = model.output(ForwardPath::Factored);
    detach(&mut model, "second").expect("it exists");
    assert_eq!(adapter_names(&model), ["default"]);
    assert_same(&model.output(ForwardPath::Factored), &before);
    // The head carried only the second: it has no slot any more.
    assert!(
        model
            .head
            .weight
            .reparameterization::<peft_core::AdapterSlot>()
            .is_none()
    );
    assert_eq!(slots(&model).len(), 6);
}

fn detaching_the_last_gives_the_base(device: &Device) {
    let base = Net::new(device);
    let mut model = adapted(device, ForwardPath::Factored);
    detach(&mut model, "default").expect("it exists");
    assert!(slots(&model).is_empty());
    assert_eq!(model.num_params(), base.num_params());
    assert_same(
        &model.output(ForwardPath::Factored),
        &base.output(ForwardPath::Factored),
    );
    // And the name is free again; the adapter is the first once more.
    let report = lora(ForwardPath::Factored).attach(&mut model, "default");
    assert!(report.expect("it attaches").active);
}

fn a_disabled_model_stays_disabled(device: &Device) {
    let base = Net::new(device);
    let mut model = adapted(device, ForwardPath::Factored);
    set_disabled(&mut model, true).expect("slots only");
    second(&mut model); // on a layer that had no slot to be switched off
    let mut model = filled_adapters(model);
    set_active(&mut model, &[("default", 1.0), ("second", 1.0)]).expect("both exist");
    assert_same(
        &model.output(ForwardPath::Factored),
        &base.output(ForwardPath::Factored),
    );
    set_disabled(&mut model, false).expect("slots only");
    assert_differs(
        &model.output(ForwardPath::Factored),
        &base.output(ForwardPath::Factored),
    );
}

fn an_edit_that_fails_changes_nothing(device: &Device) {
    let mut model = adapted(device, ForwardPath::Factored);
    let (state, before) = (slot_state(&model), params(&model));
    let error = edit_slots(&mut model, |path, slot| {
        silence(slot);
        match path.contains("2.down") {
            true => Err(PeftError::NoAdapter),
            false => Ok(()),
        }
    });
    assert_eq!(error, Err(PeftError::NoAdapter));
    assert_eq!((slot_state(&model), params(&model)), (state, before));

    // An edit may replace an adapter by another of its name: it stays active.
    edit_slots(&mut model, |_, slot| {
        silence(slot);
        // Nothing else: what is not there, or is of another method, stays.
        assert!(!slot.set("other", Whole::new(values([2, 2], 1.0, device))));
        assert!(!slot.set("default", Whole::new(values([2, 2], 1.0, device))));
        Ok(())
    })
    .expect("it can be edited");
    assert_same(
        &model.output(ForwardPath::Factored),
        &Net::new(device).output(ForwardPath::Factored),
    );
}

/// The slot's LoRA with a scale of zero.
fn silence(slot: &mut AdapterSlot) {
    let lora: Lora = slot.get::<Lora>("default").expect("a LoRA").clone();
    let (a, b) = (lora.lora_a.val(), lora.lora_b.val());
    assert!(slot.set("default", Lora::new(a, b, 0.0, 0.0)));
}
