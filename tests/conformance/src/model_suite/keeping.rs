//! What keeps a model, and other types.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, Param};
use burn::store::ModuleRecord;
use burn::tensor::{DType, Tensor};
use peft_core::{Targets, parameters};
use peft_model::Transformer;

use super::adapting::lora;
use super::{Device, POSITIONS, ROWS, loss_of, model, output_of, tokens, verified};
use crate::compare::apart;
use crate::net::cast;
use crate::tolerance::{MODEL_BF16, MODEL_F16, PATHS};
use crate::{
    ModelFixture, ModelInvariant, adapter_paths, assert_close, assert_differs, assert_same, params,
    perturbed, trained, with_gradient,
};

/// No two parameters have one path, and a record through bytes gives another model of other values
/// the bits of the first.
pub fn records<F: ModelFixture>(device: &Device) {
    struct Shift;
    impl ModuleMapper for Shift {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor + 0.25)
        }
    }
    let source = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &source, device);
    let paths = parameters(&source)
        .into_iter()
        .map(|parameter| parameter.path);
    let mut seen = BTreeSet::new();
    for path in paths {
        assert!(
            path.split('.').all(|segment| !segment.is_empty()),
            "{path:?}"
        );
        assert!(seen.insert(path.clone()), "two parameters are {path}");
    }
    let expected = output_of::<F>(&source, &ids);
    let bytes = source.clone().into_record().into_bytes().expect("written");
    let record = ModuleRecord::from_bytes(bytes).expect("read");
    assert_eq!(record.len(), seen.len());
    let target = F::model(device).map(&mut Shift);
    assert_differs(&output_of::<F>(&target, &ids), &expected);
    let target = target.load_record(record);
    assert_eq!(params(&target), params(&source));
    assert_same(&output_of::<F>(&target, &ids), &expected);
    verified::<F>(ModelInvariant::Record, device);
}

/// A move, a fork, and leaving training and coming back.
pub fn moves<F: ModelFixture>(device: &Device) {
    let on = &device.clone().autodiff();
    let model = model::<F>(on);
    let ids = tokens(ROWS, POSITIONS, &model, on);
    let expected = output_of::<F>(&model, &ids);
    let fork = model.clone().fork(on);
    assert_eq!(params(&fork), params(&model));
    assert_same(&output_of::<F>(&fork, &ids), &expected);
    let plain = model.valid();
    assert_eq!(trained(&plain), Vec::<String>::new());
    let ids = tokens(ROWS, POSITIONS, &plain, device);
    let output = output_of::<F>(&plain, &ids);
    assert!(!output.is_autodiff());
    assert_close(&output, &expected.inner(), PATHS);
    let moved = plain.clone().to_device(device);
    assert_eq!(params(&moved), params(&plain));
    let again = Module::train(plain);
    assert_eq!(params(&again), params(&model));
    verified::<F>(ModelInvariant::Moves, device);
}

/// With weights of either type where the backend has it, alone and with LoRA, whose parameters stay
/// f32; and near what f32 gives.
pub fn takes_half_precision<F: ModelFixture>(device: &Device) {
    let on = &device.clone().autodiff();
    let mut seen = 0;
    for (dtype, tolerance) in [(DType::BF16, MODEL_BF16), (DType::F16, MODEL_F16)] {
        if !device.supports_dtype(dtype) {
            continue;
        }
        seen += 1;
        let plain = model::<F>(on);
        let ids = tokens(ROWS, POSITIONS, &plain, on);
        // The same base in f32, so that only what is computed rounds.
        let rounded = cast(cast(plain.clone(), dtype), DType::F32);
        let mut low = cast(plain, dtype);
        let states = low.hidden(ids.clone(), None, None);
        // A model may compute in f32 all that is no product with a weight.
        let of_states = states.dtype();
        assert!([dtype, DType::F32].contains(&of_states), "{of_states:?}");
        let expected = rounded.hidden(ids.clone(), None, None);
        let apart = apart(&states, &expected);
        println!("{} {dtype:?}: {apart}", F::NAME);
        assert!(apart < f64::from(tolerance), "{apart} apart in {dtype:?}");
        lora::<F>(&mut low, Targets::all_linear());
        let low = perturbed(low);
        let output = output_of::<F>(&low, &ids);
        assert_eq!(output.dtype(), of_states);
        let gradients = with_gradient(&low, &loss_of(output));
        assert!(gradients.keys().eq(&adapter_paths(&low)));
        for (path, gradient) in gradients {
            assert_eq!(gradient.dtype(), DType::F32, "{path}");
            assert!(gradient.iter::<f64>().all(f64::is_finite), "{path}");
        }
    }
    if seen > 0 {
        verified::<F>(ModelInvariant::HalfPrecision, device);
    }
}
