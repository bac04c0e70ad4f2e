//! Products with packed weights, and their gradients, beside those with the dense value.

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::Adapter;
use peft_core::{FrozenLinear, FrozenWeight};
use peft_kernels::{PackedFormat, linear, matmul};
use peft_lora::Lora;
use peft_tests::tolerance::{PATHS, STORED_BF16};

use super::{numbers, packed, packs};
use crate::fixture::{assert_close, values};

peft_tests::cases!(on the cores:
    products_are_those_with_the_dense_value,
    rows_are_the_same_among_any,
    rows_of_other_types_and_none,
    methods_act_on_packed_layers,
);

fn of<const D: usize>(dims: [usize; D], seed: f32, device: &Device) -> Tensor<D> {
    let n = dims.iter().product();
    Tensor::from_data(TensorData::new(numbers(n, seed), dims), device)
}

/// Sizes around tiles, panels and blocks: of few rows, of rows that blocks lie across, of several
/// blocks along the inner axis.
fn sizes(format: PackedFormat) -> Vec<[usize; 3]> {
    let mut sizes = vec![[1, 256, 32], [3, 512, 70], [4, 1792, 33], [70, 256, 210]];
    if matches!(
        format,
        PackedFormat::Nf4 | PackedFormat::Nf4Double | PackedFormat::Q8_0
    ) {
        sizes.extend([[1, 37, 5], [2, 96, 41], [19, 101, 64], [5, 1601, 40]]);
    }
    sizes
}

fn products_are_those_with_the_dense_value(device: &Device) {
    if !packs(device) {
        return;
    }
    let auto = device.clone().autodiff();
    for format in PackedFormat::ALL {
        for [rows, d_in, d_out] in sizes(format) {
            for (dtype, tolerance) in [(DType::F32, PATHS), (DType::BF16, STORED_BF16)] {
                let held = packed(format, [d_in, d_out], 2.0).into_tensor(dtype, &auto);
                let weight = FrozenWeight::from(held.expect("it is held"));
                assert_eq!(weight.packed(), Some(format));
                let dense = weight.dense().cast(DType::F32);
                let x = of([rows, d_in], 1.0, &auto).require_grad();
                let y = of([rows, d_out], 3.0, &auto).require_grad();
                let bias = of([d_out], 4.0, &auto);
                // In bf16 the terms of a sum are rounded, which may be larger than what they
                // come to: the error is of the size of the root of their squares' sum.
                let terms = |of: &Tensor<2>, weight: Tensor<2>| match dtype {
                    DType::BF16 => {
                        let squares = of.clone().square().matmul(weight.square());
                        squares.max().into_scalar::<f32>().sqrt()
                    }
                    _ => 1.0,
                };
                let (along, across) = (
                    terms(&x, dense.clone()),
                    terms(&y, dense.clone().transpose()),
                );
                let close = |what: &str, terms: f32, found: Tensor<2>, expected: Tensor<2>| {
                    let (found, expected) = (found.inner(), expected.inner());
                    let largest = expected.clone().abs().max().into_scalar::<f32>();
                    let largest = largest.max(terms).max(1.0);
                    let gap = (found - expected).abs().max().into_scalar::<f32>();
                    let what = format!("{what} {format} {rows} {d_in} {d_out} {dtype:?}");
                    assert!(gap <= tolerance * largest, "{what}: {gap} of {largest}");
                };
                let product = weight.product(x.clone(), Some(bias.clone()));
                let expected = x.clone().matmul(dense.clone()) + bias.unsqueeze();
                close("product", along, product.clone(), expected.clone());
                let grad = |y: Tensor<2>, of: &Tensor<2>, x: &Tensor<2>| {
                    let grads = (y * of.clone().detach()).sum().backward();
                    Tensor::from_inner(x.grad(&grads).expect("it requires one"))
                };
                close(
                    "gradient",
                    across,
                    grad(product, &y, &x),
                    grad(expected, &y, &x),
                );
                let turned = weight.transposed_product(y.clone());
                let expected = y.clone().matmul(dense.clone().transpose());
                close("transposed", across, turned.clone(), expected.clone());
                close(
                    "its gradient",
                    along,
                    grad(turned, &x, &y),
                    grad(expected, &x, &y),
                );
            }
        }
    }
}

/// A row gives the bits that it gives alone, and as one of few.
fn rows_are_the_same_among_any(device: &Device) {
    if !packs(device) {
        return;
    }
    for format in PackedFormat::ALL {
        let weight = packed(format, [512, 75], 2.0).into_tensor(DType::F32, device);
        let weight = weight.expect("it is held");
        let x = of([37, 512], 1.0, device);
        let all = matmul(x.clone(), weight.clone());
        for (first, rows) in [(0, 1), (17, 1), (30, 3), (5, 4), (20, 17)] {
            let some = matmul(x.clone().narrow(0, first, rows), weight.clone());
            let expected = all.clone().narrow(0, first, rows).into_data();
            peft_conformance::read(some).assert_eq(&expected, true);
        }
    }
}

fn rows_of_other_types_and_none(device: &Device) {
    if !packs(device) {
        return;
    }
    let weight = packed(PackedFormat::Nf4, [64, 5], 2.0).into_tensor(DType::F32, device);
    let weight = weight.expect("it is held");
    let none = Tensor::<2>::zeros([0, 64], device);
    assert_eq!(linear(none, weight.clone(), None).dims(), [0, 5]);
    let frozen = FrozenWeight::from(weight.clone());
    let turned = frozen.transposed_product(Tensor::<2>::zeros([0, 5], device));
    assert_eq!(turned.dims(), [0, 64]);
    let x = of([3, 64], 1.0, device);
    let expected = matmul(x.clone().cast(DType::BF16).cast(DType::F32), weight.clone());
    let found = matmul(x.cast(DType::BF16), weight);
    assert_close(&found, &expected, 0.0);
}

/// A method's own form on a packed layer is its weight's, which is defined by the dense value.
fn methods_act_on_packed_layers(device: &Device) {
    if !packs(device) {
        return;
    }
    for format in [PackedFormat::Nf4, PackedFormat::Q8_0, PackedFormat::Q6_K] {
        let held = packed(format, [256, 10], 2.0).into_tensor(DType::F32, device);
        let base = FrozenLinear::new(held.expect("it is held"), Some(values([10], 4.0, device)));
        let (a, b) = (values([256, 2], 1.0, device), values([2, 10], 2.0, device));
        let x: Tensor<2> = values([4, 256], 5.0, device);
        let lora = Lora::new(a, b, 1.5, 0.0);
        let adapted = lora.weight(&base.weight());
        let expected = x.clone().matmul(adapted) + values::<1>([10], 4.0, device).unsqueeze();
        assert_close(&lora.linear(x.into(), &base), &expected, PATHS);
    }
}
