//! Where it goes, what trains beside it, and what keeps it.

use burn::module::{Module, ModuleMapper, Param};
use burn::store::ModuleRecord;
use burn::tensor::Tensor;
use peft_core::{
    ForwardPath, LayerKind, Placement, Targets, TrainBias, merge, set_disabled, slots,
};

use super::{BOTH, Device, adapted, attach, everywhere, names, verified, with_all};
use crate::tolerance::PATHS;
use crate::{
    AdapterFixture, Invariant, Net, adapter_paths, assert_close, assert_differs, assert_same,
    params, slot_state, steps, trained,
};

/// By suffix, by expression, by exclusion and by index, it is on the layers that these mean, in the
/// model's order.
pub fn goes_where_it_is_sent<F: AdapterFixture>(device: &Device) {
    let on = |targets: Targets| -> Vec<String> {
        let mut model = Net::new(device);
        let placement = Placement {
            targets,
            ..everywhere::<F>(ForwardPath::Factored)
        };
        let report = F::attach(&mut model, "a", &placement).expect("it attaches");
        let reported: Vec<String> = report.layers.into_iter().map(|layer| layer.path).collect();
        let slots = slots(&model).into_iter();
        let weights: Vec<String> = slots.map(|(path, _)| path).collect();
        let expected: Vec<_> = reported
            .iter()
            .map(|path| format!("{path}.weight"))
            .collect();
        assert_eq!(weights, expected);
        reported
    };
    if F::KINDS.contains(&LayerKind::Embedding) {
        assert_eq!(on(Targets::suffixes(["embed"])), ["embed"]);
    }
    if F::KINDS.contains(&LayerKind::Linear) {
        let pairs = |layers: &[usize], names: &[&str]| -> Vec<String> {
            let layers = layers.iter();
            layers
                .flat_map(|i| names.iter().map(move |name| format!("layers.{i}.{name}")))
                .collect()
        };
        let all = ["q_proj", "v_proj", "down_proj"];
        let cases = [
            (
                Targets::suffixes(["v_proj"]),
                pairs(&[0, 1, 2], &["v_proj"]),
            ),
            (Targets::suffixes(["1.v_proj"]), pairs(&[1], &["v_proj"])),
            (
                Targets::regex(r".*\.[02]\.(q|v)_proj"),
                pairs(&[0, 2], &all[..2]),
            ),
            (Targets::suffixes(all).last(2), pairs(&[1, 2], &all)),
            (Targets::suffixes(all).first(1), pairs(&[0], &all)),
            (
                Targets::all_linear()
                    .excluding(["head", "0.q_proj", "v_proj"])
                    .first(2),
                vec![
                    "layers.0.down_proj".into(),
                    "layers.1.q_proj".into(),
                    "layers.1.down_proj".into(),
                ],
            ),
        ];
        for (targets, expected) in cases {
            assert_eq!(on(targets.clone()), expected, "{targets:?}");
        }
    }
    verified::<F>(Invariant::Selection, device);
}

/// Biases and modules train as copies: exactly those asked for, merged with it, and off with it.
pub fn trains_biases_beside_it<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    let base = Net::new(device);
    let blocks = |names: &[&str]| -> Vec<String> {
        let layers =
            (0..3).flat_map(|i| names.iter().map(move |name| format!("layers.{i}.{name}")));
        layers.collect()
    };
    let all = [vec!["head".to_owned()], blocks(&["down_proj", "q_proj"])].concat();
    let adapts_linear = names::<F>(ForwardPath::Factored).contains(&"head");
    let adapted = if adapts_linear {
        all.clone()
    } else {
        Vec::new()
    };
    for (bias, layers) in [
        (TrainBias::None, Vec::new()),
        (TrainBias::Adapted, adapted),
        (TrainBias::All, all),
    ] {
        let placement = Placement {
            train_bias: bias,
            ..with_all::<F>(ForwardPath::Factored)
        };
        let mut model = base.clone();
        let report = F::attach(&mut model, "a", &placement).expect("it attaches");
        let mut copied: Vec<String> = layers.iter().map(|layer| format!("{layer}.bias")).collect();
        copied.extend(["norm.beta".into(), "norm.gamma".into()]);
        copied.sort();
        let mut found = report.trained_whole;
        found.sort();
        assert_eq!(found, copied);
        for path in &copied {
            let copy = format!("{path}.adapters.a.value");
            assert!(trained(&model).contains(&copy), "{copy}");
        }
        let (model, _) = steps(model, 3, |model| model.loss(ForwardPath::Factored));
        let mut model = F::perturb(model);
        let acting = model.output(ForwardPath::Factored);
        let mut merged = model.clone();
        drop(merge(&mut merged).expect("it acts"));
        assert_close(&merged.output(ForwardPath::Weight), &acting, PATHS);
        for path in &copied {
            assert_ne!(
                params(&merged)[path].data,
                params(&base)[path].data,
                "{path}"
            );
        }
        set_disabled(&mut model, true).expect("slots only");
        for path in BOTH {
            assert_same(&model.output(path), &base.output(path));
        }
    }
    verified::<F>(Invariant::Beside, device);
}

/// A record through bytes gives another model of another base and other values the bits of the
/// first.
pub fn records<F: AdapterFixture>(device: &Device) {
    struct Shift;
    impl ModuleMapper for Shift {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor + 0.25)
        }
    }
    let fresh = |model: &mut Net| {
        attach::<F>(model, "a", &with_all::<F>(ForwardPath::Factored));
        attach::<F>(model, "b", &everywhere::<F>(ForwardPath::Factored));
    };
    let mut source = Net::new(device);
    fresh(&mut source);
    let source = F::perturb(source);
    let expected = source.output(ForwardPath::Factored);
    let bytes = source.clone().into_record().into_bytes().expect("written");
    let record = ModuleRecord::from_bytes(bytes).expect("read");
    assert_eq!(record.len(), params(&source).len());
    let mut target = Net::new(device).map(&mut Shift);
    fresh(&mut target);
    assert_differs(&target.output(ForwardPath::Factored), &expected);
    let target = target.load_record(record);
    assert_eq!(params(&target), params(&source));
    assert_eq!(slot_state(&target), slot_state(&source));
    assert_same(&target.output(ForwardPath::Factored), &expected);
    // What lacks the adapter is not taken for it.
    let plain = Net::new(device).into_record();
    assert!(source.try_load_record(plain).is_err());
    verified::<F>(Invariant::Record, device);
}

/// A move, a fork, and leaving training and coming back.
pub fn moves<F: AdapterFixture>(plain_device: &Device) {
    let device = &plain_device.clone().autodiff();
    let model = adapted::<F>(&["a", "b"], device);
    let expected = model.output(ForwardPath::Factored);
    let (state, before) = (slot_state(&model), params(&model));
    let fork = model.clone().fork(device);
    assert_eq!(
        (slot_state(&fork), params(&fork)),
        (state.clone(), before.clone())
    );
    assert_same(&fork.output(ForwardPath::Factored), &expected);
    // A move is an operation of a graph; Burn moves what trains by forking it.
    let still = adapted::<F>(&["a", "b"], plain_device);
    let moved = still.clone().to_device(plain_device);
    assert_eq!(
        (slot_state(&moved), params(&moved)),
        (state.clone(), params(&still))
    );
    assert_same(
        &moved.output(ForwardPath::Factored),
        &still.output(ForwardPath::Factored),
    );
    let plain = model.valid();
    assert_eq!(trained(&plain), Vec::<String>::new());
    assert_eq!(slot_state(&plain), state);
    let output = plain.output(ForwardPath::Factored);
    assert!(!output.is_autodiff());
    assert_close(&output, &expected.inner(), PATHS);
    let again = Module::train(plain);
    assert_eq!(trained(&again), trained(&model));
    let (again, _) = steps(again, 1, |model| model.loss(ForwardPath::Factored));
    let changed = |path: &String| params(&again)[path].data != before[path].data;
    let of_first = adapter_paths(&again)
        .into_iter()
        .filter(|path| path.contains(".adapters.a."));
    assert!(of_first.clone().count() > 0);
    for path in of_first.filter(|path| before[path].trains) {
        assert!(changed(&path), "{path}");
    }
    verified::<F>(Invariant::Moves, device);
}
