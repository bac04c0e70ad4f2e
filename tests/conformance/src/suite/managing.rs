//! Activating, switching off, taking off; several adapters.

use burn::module::Module;
use peft_core::{
    ForwardPath, ParamSet, PeftError, adapter_names, detach, freeze_all_but, rename, set_active,
    set_disabled, slots,
};

use super::{BOTH, Device, adapted, attach, everywhere, verified, with_all};
use crate::{
    AdapterFixture, Invariant, Net, assert_differs, assert_same, params, slot_state, steps, trained,
};

/// Switched off, or with nothing active, both paths give the base's bits, after training too; on
/// again, it is what it was.
pub fn switches_off<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    let base = Net::new(device);
    let is_base = |model: &Net| {
        for path in BOTH {
            assert_same(&model.output(path), &base.output(path));
        }
    };
    let mut model = base.clone();
    attach::<F>(&mut model, "a", &with_all::<F>(ForwardPath::Factored));
    let model = F::perturb(model);
    let (trained, _) = steps(model.clone(), 3, |model| model.loss(ForwardPath::Factored));
    for mut model in [model, trained] {
        let state = slot_state(&model);
        let acting = model.output(ForwardPath::Factored);
        assert_differs(&acting, &base.output(ForwardPath::Factored));
        set_disabled(&mut model, true).expect("slots only");
        is_base(&model);
        // What comes later on a model that is off is off too.
        attach::<F>(&mut model, "b", &everywhere::<F>(ForwardPath::Factored));
        set_active(&mut model, &[("b", 1.0), ("a", 1.0)]).expect("both exist");
        is_base(&model);
        detach(&mut model, "b").expect("it exists");
        set_disabled(&mut model, false).expect("slots only");
        assert_eq!(slot_state(&model), state);
        assert_same(&model.output(ForwardPath::Factored), &acting);
        set_active(&mut model, &[]).expect("nothing to find");
        is_base(&model);
    }
    verified::<F>(Invariant::Disabled, device);
}

/// The first is active, the second is when it is asked for, and then it is as if it were alone.
pub fn waits_until_activated<F: AdapterFixture>(device: &Device) {
    let placement = everywhere::<F>(ForwardPath::Factored);
    let mut model = Net::new(device);
    let first = F::attach(&mut model, "a", &placement).expect("it attaches");
    let mut model = F::perturb(model);
    let only_first = model.output(ForwardPath::Factored);
    let second = F::attach(&mut model, "b", &placement).expect("it attaches");
    assert_eq!((first.active, second.active), (true, false));
    assert_same(&model.output(ForwardPath::Factored), &only_first);

    let mut model = F::perturb(model);
    set_active(&mut model, &[("b", 1.0)]).expect("it exists");
    let only_second = model.output(ForwardPath::Factored);
    assert_differs(&only_second, &only_first);
    let mut alone = model.clone();
    detach(&mut alone, "a").expect("it exists");
    assert_same(&alone.output(ForwardPath::Factored), &only_second);

    let state = slot_state(&model);
    let wrong = [
        vec![("b", 1.0), ("nobody", 1.0)],
        vec![("a", f64::NAN)],
        vec![("a", 1.0), ("a", 1.0)],
    ];
    for active in wrong {
        assert!(set_active(&mut model, &active).is_err(), "{active:?}");
        assert_eq!(slot_state(&model), state);
    }
    verified::<F>(Invariant::Activation, device);
}

/// Names that hold one another: each is activated, kept and taken off for itself.
pub fn names_are_whole<F: AdapterFixture>(device: &Device) {
    let names = [
        "default",
        "default2",
        "other_default",
        "foodefault_bar",
        "efaul",
    ];
    let mut model = adapted::<F>(&names, device);
    assert_eq!(adapter_names(&model), names);
    let alone = |model: &Net, name: &str| {
        let mut model = model.clone();
        set_active(&mut model, &[(name, 1.0)]).expect("it exists");
        model.output(ForwardPath::Factored)
    };
    let outputs = names.map(|name| alone(&model, name));
    for (at, output) in outputs.iter().enumerate() {
        for other in &outputs[..at] {
            assert_differs(output, other);
        }
    }
    let before = params(&model);
    detach(&mut model, "default").expect("it exists");
    let after = params(&model);
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    assert!(gone.clone().count() > 0);
    for path in gone {
        assert!(path.contains(".adapters.default."), "{path}");
    }
    for (path, seen) in &after {
        assert_eq!(seen, &before[path], "{path}");
    }
    rename(&mut model, "efaul", "default").expect("it is free");
    let kept = ["default2", "other_default", "foodefault_bar"];
    assert_eq!(adapter_names(&model), [&kept[..], &["default"]].concat());
    for (name, output) in kept.iter().zip(&outputs[1..]) {
        assert_same(&alone(&model, name), output);
    }
    assert_same(&alone(&model, "default"), &outputs[4]);
    verified::<F>(Invariant::Names, device);
}

/// Taken off, active or not, it leaves nothing.
pub fn detaches<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    let base = Net::new(device).no_grad();
    for order in [["a", "b"], ["b", "a"]] {
        let mut model = Net::new(device);
        attach::<F>(&mut model, "a", &with_all::<F>(ForwardPath::Factored));
        attach::<F>(&mut model, "b", &everywhere::<F>(ForwardPath::Factored));
        let mut model = F::perturb(model);
        for name in order {
            detach(&mut model, name).expect("it exists");
            assert!(
                !slot_state(&model)
                    .join(" ")
                    .contains(&format!("\"{name}\""))
            );
        }
        assert!(slots(&model).is_empty());
        assert_eq!(params(&model), params(&base));
        assert_eq!(model.num_params(), base.num_params());
        for path in BOTH {
            assert_same(&model.output(path), &base.output(path));
        }
        let missing = detach(&mut model, "a");
        assert!(matches!(missing, Err(PeftError::UnknownAdapter { .. })));
        // The name is free, and the next adapter is the first again.
        let placement = everywhere::<F>(ForwardPath::Factored);
        let report = F::attach(&mut model, "a", &placement).expect("it attaches");
        assert!(report.active);
    }
    verified::<F>(Invariant::Detached, device);
}

/// A frozen first adapter stays frozen and one that trains trains on, whatever is done with a
/// second one.
pub fn another_changes_nothing_that_trains<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    for frozen in [true, false] {
        let mut model = Net::new(device);
        attach::<F>(&mut model, "a", &with_all::<F>(ForwardPath::Factored));
        if frozen {
            freeze_all_but(&mut model, &ParamSet::None).expect("no name to miss");
        }
        let first = trained(&model);
        let of_first = |model: &Net| -> Vec<String> {
            let trained = trained(model).into_iter();
            trained
                .filter(|path| !path.contains(".adapters.b."))
                .collect()
        };
        attach::<F>(&mut model, "b", &everywhere::<F>(ForwardPath::Factored));
        assert!(trained(&model).len() > first.len());
        assert_eq!(of_first(&model), first);
        set_active(&mut model, &[("b", 1.0)]).expect("it exists");
        assert_eq!(of_first(&model), first);
        set_disabled(&mut model, true).expect("slots only");
        set_disabled(&mut model, false).expect("slots only");
        rename(&mut model, "b", "c").expect("it is free");
        detach(&mut model, "c").expect("it exists");
        assert_eq!(trained(&model), first);
    }
    verified::<F>(Invariant::SecondTrains, device);
}
