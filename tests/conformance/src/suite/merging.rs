//! Merging, undoing it, and what is not merged.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::TensorData;
use peft_core::{ForwardPath, PeftError, merge, set_active, set_disabled, slots};

use super::{BOTH, Device, adapted, attach, everywhere, verified, with_all};
use crate::tolerance::PATHS;
use crate::{
    AdapterFixture, Invariant, Net, assert_close, assert_differs, assert_same, is_adapter, params,
    replace, slot_state,
};

/// A merged model computes what the adapted one does, is not the base, and is a plain model that
/// any other reads.
pub fn merges<F: AdapterFixture>(device: &Device) {
    for placement in [everywhere::<F>, with_all::<F>] {
        let base = Net::new(device);
        let mut model = base.clone();
        attach::<F>(&mut model, "a", &placement(ForwardPath::Factored));
        let mut model = F::perturb(model);
        let expected = model.output(ForwardPath::Factored);
        drop(merge(&mut model).expect("it acts"));
        assert!(slots(&model).is_empty());
        let paths = |model: &Net| -> Vec<String> { params(model).into_keys().collect() };
        assert_eq!(paths(&model), paths(&base));
        for path in BOTH {
            assert_close(&model.output(path), &expected, PATHS);
            assert_differs(&model.output(path), &base.output(path));
        }
        let bytes = model.clone().into_record().into_bytes().expect("written");
        let record = ModuleRecord::from_bytes(bytes).expect("read");
        let plain = Net::new(device).load_record(record);
        assert_same(
            &plain.output(ForwardPath::Weight),
            &model.output(ForwardPath::Weight),
        );
    }
    verified::<F>(Invariant::Merged, device);
}

/// Undone, a merge leaves every bit as it was: parameters, slots and outputs.
pub fn a_merge_is_undone<F: AdapterFixture>(device: &Device) {
    let base = Net::new(device);
    let mut model = base.clone();
    attach::<F>(&mut model, "a", &with_all::<F>(ForwardPath::Factored));
    let mut model = F::perturb(model);
    let (state, before) = (slot_state(&model), params(&model));
    let output = model.output(ForwardPath::Factored);
    for _ in 0..2 {
        let unmerged = merge(&mut model).expect("it acts");
        assert_ne!(params(&model), before);
        unmerged.restore(&mut model);
        assert_eq!(
            (slot_state(&model), params(&model)),
            (state.clone(), before.clone())
        );
        assert_same(&model.output(ForwardPath::Factored), &output);
    }
    set_disabled(&mut model, true).expect("slots only");
    for path in BOTH {
        assert_same(&model.output(path), &base.output(path));
    }
    verified::<F>(Invariant::Unmerged, device);
}

/// Each refusal leaves the model as it was.
pub fn refuses_to_merge<F: AdapterFixture>(device: &Device) {
    let refused = |model: &mut Net| {
        let (state, before) = (slot_state(model), params(model));
        let error = merge(model).map(drop).expect_err("it is refused");
        assert_eq!(slot_state(model), state);
        // Bits: a value that is not a number is not equal to itself.
        let bits = |params: &BTreeMap<String, crate::ParamSnapshot>| -> Vec<Vec<u8>> {
            let params = params.values();
            params.map(|seen| seen.data.as_bytes().to_vec()).collect()
        };
        assert_eq!(bits(&params(model)), bits(&before));
        error
    };
    // Merged already.
    let mut model = adapted::<F>(&["a"], device);
    drop(merge(&mut model).expect("it acts"));
    assert_eq!(refused(&mut model), PeftError::NoAdapter);
    // One that would be lost, or all.
    let mut model = adapted::<F>(&["a", "idle"], device);
    let idle = |error: PeftError, expected: &[&str]| match error {
        PeftError::InactiveAdapters { names } => assert_eq!(names, expected),
        other => panic!("{other}"),
    };
    idle(refused(&mut model), &["idle"]);
    set_active(&mut model, &[("idle", 1.0), ("a", 1.0)]).expect("both exist");
    set_disabled(&mut model, true).expect("slots only");
    idle(refused(&mut model), &["a", "idle"]);
    // Values that are not finite, on one layer.
    let model = adapted::<F>(&["a"], device);
    let (layer, _) = slots(&model).swap_remove(1);
    for poison in [f32::NAN, f32::INFINITY] {
        let poisoned = params(&model)
            .into_iter()
            .filter(|(path, _)| is_adapter(path) && path.starts_with(&format!("{layer}.")))
            .map(|(path, seen)| {
                let shape = seen.data.shape().to_vec();
                let n: usize = shape.iter().product();
                (path, TensorData::new(vec![poison; n], shape))
            });
        let mut model = replace(model.clone(), poisoned.collect());
        match refused(&mut model) {
            PeftError::NonFinite { path } => assert_eq!(path, layer),
            other => panic!("{other}"),
        }
    }
    verified::<F>(Invariant::MergeRefused, device);
}
