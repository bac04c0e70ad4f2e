//! Layers whose weight is stored in bf16 or f16, with rows in f32.

use burn::tensor::{DType, Device, Tensor};
use peft_kernels::{linear, matmul};
use peft_tests::tolerance::{PATHS, STORED_BF16, STORED_F16};

use super::{agree_within, differentiated, near, of};

peft_tests::cases!(on the cores:
    stored_layers, rows_of_stored_layers, few_rows_of_f32);

const FORMATS: [(DType, f32); 2] = [(DType::BF16, STORED_BF16), (DType::F16, STORED_F16)];

fn stored_layers(device: &Device) {
    for (dtype, tolerance) in FORMATS {
        if !peft_tests::computes_in(device, dtype) {
            continue;
        }
        for device in differentiated(device) {
            // Of no rows' tile, of few rows, of several blocks along the inner axis, for all cores.
            for (batch, rows, d_in, d_out) in [
                (1, 1, 4, 1),
                (2, 1, 96, 70),
                (2, 3, 1701, 41),
                (3, 70, 230, 210),
            ] {
                for tracked in [[true; 3], [true, false, false], [false, true, true]] {
                    // Rows are held by either type; what is rounded is a weight's gradient.
                    let tolerance = if tracked[1] { tolerance } else { PATHS };
                    let x = of([batch, rows, d_in], 1.0, &device).set_require_grad(tracked[0]);
                    let stored = |dims, seed| of::<2>(dims, seed, &device).cast(dtype).detach();
                    let weight = stored([d_in, d_out], 2.0).set_require_grad(tracked[1]);
                    // As a tied output layer reads an embedding, and one of several fused layers.
                    let turned = stored([d_out, d_in], 3.0).set_require_grad(tracked[1]);
                    let fused = stored([d_in, d_out + 5], 4.0).set_require_grad(tracked[1]);
                    let bias = of([d_out], 5.0, &device).cast(dtype).detach();
                    let bias = bias.set_require_grad(tracked[2]);
                    let narrow = || fused.clone().narrow(1, 3, d_out);
                    let product =
                        |weight: Tensor<2>| x.clone().matmul(weight.cast(DType::F32).unsqueeze());
                    let with_bias = |weight: Tensor<2>| {
                        product(weight) + bias.clone().cast(DType::F32).unsqueeze()
                    };
                    let compare =
                        |found: &dyn Fn() -> Tensor<3>, expected: &dyn Fn() -> Tensor<3>| {
                            assert_eq!(found().dtype(), DType::F32);
                            agree_within(
                                tolerance,
                                found,
                                expected,
                                &[&x, &weight, &turned, &fused, &bias],
                            );
                        };
                    compare(&|| linear(x.clone(), weight.clone(), None), &|| {
                        product(weight.clone())
                    });
                    compare(
                        &|| linear(x.clone(), turned.clone().transpose(), None),
                        &|| product(turned.clone().transpose()),
                    );
                    compare(&|| linear(x.clone(), narrow(), Some(bias.clone())), &|| {
                        with_bias(narrow())
                    });
                }
            }
        }
    }
}

/// A row gives the bits that it gives alone, and as one of few.
fn rows_of_stored_layers(device: &Device) {
    for (dtype, _) in FORMATS {
        if !peft_tests::computes_in(device, dtype) {
            continue;
        }
        let x = of([37, 230], 1.0, device);
        let weights = [
            of([230, 75], 2.0, device).cast(dtype),
            of([75, 230], 2.0, device).cast(dtype).transpose(),
        ];
        for weight in weights {
            let all = matmul(x.clone(), weight.clone());
            for (first, rows) in [(0, 1), (17, 1), (30, 3), (5, 4), (9, 7), (2, 8), (20, 17)] {
                let some = matmul(x.clone().narrow(0, first, rows), weight.clone());
                let expected = all.clone().narrow(0, first, rows).into_data();
                peft_conformance::read(some).assert_eq(&expected, true);
            }
        }
    }
}

/// A token, or one of each of some texts: their product reads the weight from where it lies.
fn few_rows_of_f32(device: &Device) {
    // Shared by threads, with columns that fill no panel, and with more sums than are kept at once.
    for [d_in, d_out] in [[64, 32], [160, 1300], [16, 4000], [33, 100]] {
        let rows = of([9, d_in], 1.0, device);
        let weights = [
            of([d_in, d_out], 2.0, device),
            of([d_out, d_in], 2.0, device).transpose(),
            of([d_in, d_out + 5], 2.0, device).narrow(1, 3, d_out),
        ];
        for weight in weights {
            let product = |first, n| {
                let rows = rows.clone().narrow(0, first, n);
                peft_conformance::read(matmul(rows, weight.clone()))
            };
            let all = peft_conformance::read(rows.clone().matmul(weight.clone()));
            let all: Vec<f32> = all.iter().collect();
            for (first, n) in [(0, 1), (8, 1), (3, 2), (1, 5), (1, 8)] {
                let found: Vec<f32> = product(first, n).iter().collect();
                let what = format!("{n} rows of {d_in} by {d_out}");
                near(&found, &all[first * d_out..][..n * d_out], &what);
            }
        }
    }
}
