//! AdamW's step.

use burn::tensor::{Device, Tensor, TensorData};
use peft_kernels::AdamWStep;

peft_tests::cases!(it_is_its_definition, what_others_hold_is_not_written);

/// Three steps in f64 by the definition, beside both ways to take them.
fn it_is_its_definition(device: &Device) {
    const N: usize = 7 * 9001; // more than one run of a pass, and no whole number of them
    let values =
        |seed: f32| -> Vec<f32> { (0..N).map(|i| (seed + i as f32 * 1.7).sin()).collect() };
    let tensor = |values: Vec<f32>| -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, [7, 9001]), device)
    };
    let step = |time| AdamWStep {
        beta_1: 0.8,
        beta_2: 0.99,
        epsilon: 1e-3,
        weight_decay: 0.1,
        rate: 0.05,
        time,
    };
    let mut expected: Vec<f64> = values(0.3).into_iter().map(f64::from).collect();
    let mut of_expected = vec![[0.0f64; 2]; N];
    let (mut param, mut moments) = (tensor(values(0.3)), None);
    for time in 1..=3 {
        let grad = values(time as f32);
        for ((param, [m, v]), grad) in expected.iter_mut().zip(&mut of_expected).zip(&grad) {
            let grad = f64::from(*grad);
            *m = 0.8 * *m + 0.2 * grad;
            *v = 0.99 * *v + 0.01 * grad * grad;
            let along = *m / (1.0 - 0.8f64.powi(time));
            let size = (*v / (1.0 - 0.99f64.powi(time))).sqrt() + 1e-3;
            *param = *param * (1.0 - 0.05 * 0.1) - 0.05 * along / size;
        }
        let (updated, kept) = step(time as usize).update(param, tensor(grad), moments);
        (param, moments) = (updated, Some(kept));
    }
    let found: Vec<f32> = param.into_data().iter().collect();
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (f64::from(*found) - expected).abs() < 2e-6,
            "{i}: {found}, expected {expected}"
        );
    }
}

/// A parameter and moments that something else holds too are left as they were.
fn what_others_hold_is_not_written(device: &Device) {
    let of = |x: f32| Tensor::<1>::from_data([x, -x], device);
    let (param, moments) = (of(1.0), [of(0.1), of(0.2).abs()]);
    let step = AdamWStep {
        beta_1: 0.9,
        beta_2: 0.9,
        epsilon: 1e-8,
        weight_decay: 0.0,
        rate: 0.1,
        time: 2,
    };
    let (updated, _) = step.update(param.clone(), of(0.5), Some(moments.clone()));
    let values = |x: Tensor<1>| -> Vec<f32> { x.into_data().iter().collect() };
    assert_ne!(values(updated), [1.0, -1.0]);
    assert_eq!(values(param), [1.0, -1.0]);
    let [first, second] = moments;
    assert_eq!(values(first), [0.1, -0.1]);
    assert_eq!(values(second), [0.2, 0.2]);
}
