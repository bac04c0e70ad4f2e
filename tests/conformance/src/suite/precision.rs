//! Gradients in f64, and bases in half precision.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{Adapter, ForwardPath, merge, slots};

use super::{BOTH, Device, attach, everywhere, verified, with_all};
use crate::compare::apart;
use crate::net::cast;
use crate::tolerance::{FINITE_DIFFERENCE, PATHS_BF16, PATHS_F16, PATHS_F16_SHADERS};
use crate::{
    AdapterFixture, Invariant, Net, assert_same, backend, computes_in, is_adapter, params, replace,
    steps, with_gradient,
};

/// The step of a central difference: its error is about the square of this, and of rounding 1e-16
/// over it.
const STEP: f64 = 1e-5;

/// On a base and with adapters in f64, which a method computes in where its parameters are: every
/// element of every gradient.
pub fn gradients_are_finite_differences<F: AdapterFixture>(device: &Device) {
    if F::DETACHED || !computes_in(device, DType::F64) {
        return;
    }
    let on = &device.clone().autodiff();
    for path in BOTH {
        let mut model = Net::new(on);
        let mut placement = with_all::<F>(path);
        placement.whole_modules.clear();
        attach::<F>(&mut model, "a", &placement);
        let model = cast(F::perturb(model), DType::F64);
        let gradients = with_gradient(&model, &model.loss(path));
        let plain = model.valid();
        let stored = params(&plain);
        assert!(!gradients.is_empty());
        for (name, gradient) in gradients {
            assert_eq!(gradient.dtype(), DType::F64, "{name}");
            let values: Vec<f64> = stored[&name].data.iter().collect();
            for (i, slope) in gradient.iter::<f64>().enumerate() {
                let loss = |step: f64| {
                    let mut values = values.clone();
                    values[i] += step;
                    let data = TensorData::new(values, stored[&name].data.shape().to_vec());
                    let moved = replace(plain.clone(), BTreeMap::from([(name.clone(), data)]));
                    moved.loss(path).into_scalar::<f64>()
                };
                let difference = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
                assert!(
                    (slope - difference).abs() <= FINITE_DIFFERENCE * slope.abs().max(1.0),
                    "element {i} of {name}: {slope}, the loss says {difference}"
                );
            }
        }
    }
    verified::<F>(Invariant::FiniteDifference, device);
}

/// On a base in half precision the adapter stays f32, both paths agree, it trains, and a merge
/// rounds once.
pub fn takes_half_precision<F: AdapterFixture>(device: &Device) {
    let f16 = match backend(device) {
        "vulkan" | "wgpu" => PATHS_F16_SHADERS,
        _ => PATHS_F16,
    };
    let types = [(DType::BF16, PATHS_BF16), (DType::F16, f16)];
    let mut seen = 0;
    for (dtype, tolerance) in types {
        if !device.supports_dtype(dtype) {
            continue;
        }
        seen += 1;
        let near = |found: &Tensor<3>, expected: &Tensor<3>| {
            let apart = apart(found, expected);
            assert!(apart < f64::from(tolerance), "{apart} apart in {dtype:?}");
        };
        let on = &device.clone().autodiff();
        let base = cast(Net::new(on), dtype);
        for path in BOTH {
            let mut model = base.clone();
            attach::<F>(&mut model, "a", &everywhere::<F>(path));
            let model = F::perturb(model);
            for (path, seen) in params(&model) {
                let expected = if is_adapter(&path) { DType::F32 } else { dtype };
                assert_eq!(seen.data.dtype(), expected, "{path}");
            }
            let output = model.output(path);
            assert_eq!(output.dtype(), dtype);
            let factored = model.output(ForwardPath::Factored);
            near(&output, &factored);
            assert!(apart(&output, &base.output(path)) > 2.0 * f64::from(tolerance));

            let mut merged = model.clone();
            drop(merge(&mut merged).expect("it acts"));
            near(&merged.output(path), &output);
            let (merged, stored) = (params(&merged), params(&base));
            for (path, slot) in slots(&model) {
                let adapter: &F::Adapter = slot.get("a").expect("an adapter");
                let weight = Tensor::<2>::from_data(stored[&path].data.clone(), (on, dtype));
                let once = adapter.weight(&weight.cast(DType::F32).into()).cast(dtype);
                let found = Tensor::from_data(merged[&path].data.clone(), (on, dtype));
                assert_same(&found, &once);
            }
            for (path, gradient) in with_gradient(&model, &model.loss(path)) {
                assert_eq!(gradient.dtype(), DType::F32, "{path}");
            }
            let before = params(&model);
            let (model, _) = steps(model, 3, |model| model.loss(path).cast(DType::F32));
            for (path, after) in params(&model) {
                let changed = after.data != before[&path].data;
                assert_eq!(changed, before[&path].trains, "{path}");
            }
        }
    }
    if seen > 0 {
        verified::<F>(Invariant::HalfPrecision, device);
    }
}
