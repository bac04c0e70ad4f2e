//! Rows of one batch that go through different adapters, and values swapped in place.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Int, Tensor, s};
use peft_core::{
    ForwardPath, LayerKind, PeftError, Placement, Targets, TrainBias, adapter_names, detach, merge,
    rename, replace, route, set_active, set_disabled, slots, unroute,
};

use super::{Device, attach, everywhere, names, verified, with_all};
use crate::tolerance::PATHS;
use crate::{
    AdapterFixture, Invariant, Net, assert_close, assert_differs, assert_same, params, slot_state,
};

const FACTORED: ForwardPath = ForwardPath::Factored;

/// `first` everywhere with all biases, `second` everywhere but on the head, of which it has a copy,
/// `third` on part of it with biases.
fn three<F: AdapterFixture>(device: &Device) -> Net {
    let biased = Placement {
        train_bias: TrainBias::All,
        ..everywhere::<F>(FACTORED)
    };
    let without_head = names::<F>(FACTORED)
        .into_iter()
        .filter(|name| *name != "head");
    let copied = Placement {
        targets: Targets::suffixes(without_head),
        whole_modules: vec!["head".into()],
        ..everywhere::<F>(FACTORED)
    };
    let part = match F::KINDS.contains(&LayerKind::Linear) {
        true => Targets::suffixes(["v_proj", "down_proj"]).last(1),
        false => Targets::suffixes(["embed"]),
    };
    let partial = Placement {
        targets: part,
        train_bias: TrainBias::Adapted,
        ..everywhere::<F>(FACTORED)
    };
    let mut model = Net::new(device);
    for (name, placement) in [("first", biased), ("second", copied), ("third", partial)] {
        attach::<F>(&mut model, name, &placement);
    }
    F::perturb(model)
}

/// `[rows, 4]`, every row another one.
fn batch(rows: usize, device: &Device) -> Tensor<2, Int> {
    let ids = (0..rows as i64 * 4).map(|i| (i * i * 3 + i * 5 + 1) % 11);
    let ids: Vec<i64> = ids.collect();
    Tensor::<1, Int>::from_data(ids.as_slice(), device).reshape([rows, 4])
}

/// What a batch gives that one adapter acts on, or none.
fn alone(model: &Net, name: Option<&str>, ids: &Tensor<2, Int>) -> Tensor<3> {
    let mut model = model.clone();
    let active: Vec<(&str, f64)> = name.map(|name| (name, 1.0)).into_iter().collect();
    set_active(&mut model, &active).expect("it exists");
    model.forward(ids.clone(), FACTORED)
}

/// Each row has the output of a batch of its adapter alone, in any order; what is no such batch is
/// refused, and nothing of it stays.
pub fn rows_choose_their_adapter<F: AdapterFixture>(device: &Device) {
    const NAMES: [Option<&str>; 4] = [Some("first"), Some("second"), Some("third"), None];
    let model = three::<F>(device);
    let [first, second, third, base] = NAMES;
    let orders: [&[Option<&str>]; 6] = [
        &[second, base, first, third, second, first, base],
        &[base, first, second, third],
        &[first, first, second],
        &[third, base, third],
        &[first, first],
        &[base],
    ];
    for order in orders {
        let ids = batch(order.len(), device);
        let expected = NAMES.map(|name| (name, alone(&model, name, &ids)));
        for (at, (_, output)) in expected.iter().enumerate() {
            for (_, other) in &expected[..at] {
                assert_differs(output, other);
            }
        }
        let mut routed = model.clone();
        route(&mut routed, order).expect("all exist");
        let found = routed.forward(ids.clone(), FACTORED);
        for (row, name) in order.iter().enumerate() {
            let (_, expected) = expected.iter().find(|(of, _)| of == name).expect("a name");
            let of_row = s![row..row + 1, .., ..];
            let expected = expected.clone().slice(of_row);
            assert_close(&found.clone().slice(of_row), &expected, PATHS);
        }
        // Where it was moved, and after another choice and none.
        let moved = routed.clone().to_device(device).fork(device);
        assert_same(&moved.forward(ids.clone(), FACTORED), &found);
        let backwards: Vec<Option<&str>> = order.iter().rev().copied().collect();
        route(&mut routed, &backwards).expect("all exist");
        let rows = routed.forward(ids.clone().flip([0]), FACTORED).flip([0]);
        assert_close(&rows, &found, PATHS);
        set_disabled(&mut routed, true).expect("slots only");
        assert_close(
            &routed.forward(ids.clone(), FACTORED),
            &expected[3].1,
            PATHS,
        );
        set_disabled(&mut routed, false).expect("slots only");
        unroute(&mut routed).expect("slots only");
        assert_eq!(slot_state(&routed), slot_state(&model));
        assert_same(
            &routed.forward(ids.clone(), FACTORED),
            &model.forward(ids, FACTORED),
        );
    }
    refuses_rows::<F>(&model, device);
    verified::<F>(Invariant::Routed, device);
}

fn refuses_rows<F: AdapterFixture>(model: &Net, device: &Device) {
    let rows = [Some("first"), None, Some("second")];
    let mut routed = model.clone();
    let before = (slot_state(&routed), params(&routed));
    let unknown = route(&mut routed, &[Some("first"), Some("secnod")]).expect_err("a typo");
    assert!(matches!(unknown, PeftError::UnknownAdapter { .. }));
    assert!(
        unknown.to_string().contains("did you mean `second`?"),
        "{unknown}"
    );
    let none = route(&mut routed, &[]);
    assert!(matches!(none, Err(PeftError::InvalidSetting { .. })));
    assert!(slots(&routed).iter().all(|(_, slot)| !slot.is_routed()));
    let on = &device.clone().autodiff();
    let training = route(&mut three::<F>(on), &rows);
    assert_eq!(training, Err(PeftError::RoutedInTraining));
    let plain = route(&mut Net::new(device), &[None, None, None]);
    assert_eq!(plain, Err(PeftError::NoAdapter));
    let mut merged = model.clone();
    for name in ["second", "third"] {
        detach(&mut merged, name).expect("it exists");
    }
    drop(merge(&mut merged).expect("it acts"));
    let merged = route(&mut merged, &rows);
    assert!(matches!(merged, Err(PeftError::UnknownAdapter { .. })));

    route(&mut routed, &rows).expect("all exist");
    let everything = everywhere::<F>(FACTORED);
    let refusals = [
        set_active(&mut routed, &[("second", 1.0)]),
        rename(&mut routed, "first", "fourth"),
        replace(&mut routed, "first", "second"),
        detach(&mut routed, "first"),
        merge(&mut routed).map(drop),
        F::attach(&mut routed, "fourth", &everything).map(drop),
        peft_core::train_whole(&mut routed, "fourth", &["norm".into()]).map(drop),
    ];
    for refusal in refusals {
        assert_eq!(refusal, Err(PeftError::Routed));
    }
    assert_eq!((slot_state(&routed), params(&routed)), before);
    let panics = |model: &Net, rows: usize, path: ForwardPath| {
        let run = || model.forward(batch(rows, device), path);
        catch_unwind(AssertUnwindSafe(run)).is_err()
    };
    assert!(!panics(&routed, 3, FACTORED));
    assert!(panics(&routed, 2, FACTORED) && panics(&routed, 4, FACTORED));
    assert!(panics(&routed, 3, ForwardPath::Weight));
    // The choice is of the model in use and not of its record.
    let bytes = routed.into_record().into_bytes().expect("written");
    let record = ModuleRecord::from_bytes(bytes).expect("read");
    let loaded = three::<F>(device).load_record(record);
    assert!(slots(&loaded).iter().all(|(_, slot)| !slot.is_routed()));
    assert_same(&loaded.output(FACTORED), &model.output(FACTORED));
}

/// Put in the place of another, it has that one's name, order and strength, and its own values;
/// unlike ones are refused.
pub fn replaces<F: AdapterFixture>(device: &Device) {
    let mut model = Net::new(device);
    attach::<F>(&mut model, "a", &with_all::<F>(FACTORED));
    attach::<F>(&mut model, "other", &everywhere::<F>(FACTORED));
    let order = |name| [(name, 0.75), ("other", 1.5)];
    set_active(&mut model, &order("a")).expect("both exist");
    let state = slot_state(&model);
    attach::<F>(&mut model, "new", &with_all::<F>(FACTORED));
    let mut model = F::perturb(model);
    let before = params(&model);
    let old = model.output(FACTORED);
    let mut fresh = model.clone();
    set_active(&mut fresh, &order("new")).expect("both exist");
    let expected = fresh.output(FACTORED);
    assert_differs(&expected, &old);

    replace(&mut model, "a", "new").expect("they are alike");
    assert_eq!(slot_state(&model), state);
    assert_eq!(adapter_names(&model), ["a", "other"]);
    assert_same(&model.output(FACTORED), &expected);
    for (path, seen) in params(&model) {
        let from = path.replace(".adapters.a.", ".adapters.new.");
        assert_eq!(seen, before[&from], "{path}");
    }

    // Without the copies of the first, or with more of them.
    for (name, with) in [("a", "other"), ("other", "a")] {
        let kept = (slot_state(&model), params(&model));
        match replace(&mut model, name, with) {
            Err(PeftError::UnlikeAdapters { places, .. }) => {
                let copies = ["norm.gamma", "norm.beta", "head.bias"];
                for copy in copies {
                    assert!(places.contains(&format!("{copy}: only a")), "{places:?}");
                }
            }
            found => panic!("{found:?}"),
        }
        for (name, with) in [("a", "nobody"), ("nobody", "a")] {
            let unknown = replace(&mut model, name, with);
            assert!(matches!(unknown, Err(PeftError::UnknownAdapter { .. })));
        }
        assert_eq!((slot_state(&model), params(&model)), kept);
    }
    verified::<F>(Invariant::Replaced, device);
}
