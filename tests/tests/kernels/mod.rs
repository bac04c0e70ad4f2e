//! Every function, value and gradients, beside its definition in Burn's operations, which Burn
//! differentiates.
//!
//! On `flex` that checks what runs as one pass, elsewhere the definitions that the crate has for
//! every backend.

mod adamw;
mod adamw_8bit;
mod attention;
mod columns;
mod empty;
mod stored;

use burn::tensor::{Device, Gradients, Tensor, TensorData, activation};
use peft_kernels::{
    Activation, layer_norm, linear, matmul, matmul_to_merge, rms_norm, rotate, softmax,
    with_gradient,
};
use peft_tests::tolerance::PATHS;

peft_tests::cases!(
    activations,
    gates,
    softmaxes,
    products,
    layers,
    norms,
    norms_of_rows,
    rotations,
    known_gradients,
    results_repeat_to_the_bit
);

/// Values between −1 and 1 in no order; bf16 and f16 hold them, so that a product of them that is
/// rounded to either is still exact.
fn of<const D: usize>(dims: [usize; D], seed: f32, device: &Device) -> Tensor<D> {
    let n = dims.iter().product();
    let value = |i: usize| ((seed + i as f32 * 1.7).sin() * 128.0).round() / 128.0;
    let values: Vec<f32> = (0..n).map(value).collect();
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// A differentiated tensor, of whatever rank.
trait Leaf {
    fn grad_of(&self, grads: &Gradients) -> Option<Vec<f32>>;
}

impl<const D: usize> Leaf for Tensor<D> {
    fn grad_of(&self, grads: &Gradients) -> Option<Vec<f32>> {
        self.grad(grads)
            .map(|grad| grad.into_data().iter().collect())
    }
}

fn near(found: &[f32], expected: &[f32], what: &str) {
    near_within(PATHS, found, expected, what);
}

fn near_within(tolerance: f32, found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1.0f32, |size, x| size.max(x.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * size,
            "{what} at {i}: {a}, expected {b}"
        );
    }
}

/// The values and the leaves' gradients of one thing computed from them in two ways.
fn agree<const D: usize>(
    found: impl Fn() -> Tensor<D>,
    expected: impl Fn() -> Tensor<D>,
    leaves: &[&dyn Leaf],
) {
    agree_within(PATHS, found, expected, leaves);
}

fn agree_within<const D: usize>(
    tolerance: f32,
    found: impl Fn() -> Tensor<D>,
    expected: impl Fn() -> Tensor<D>,
    leaves: &[&dyn Leaf],
) {
    let of_way = |y: Tensor<D>| {
        let weights = of(y.dims(), 0.4, &y.device());
        let grads = (y.clone() * weights).sum().backward();
        let values: Vec<f32> = y.clone().into_data().iter().collect();
        let grads: Vec<_> = leaves.iter().map(|leaf| leaf.grad_of(&grads)).collect();
        (y.dims(), values, grads)
    };
    let (found, expected) = (of_way(found()), of_way(expected()));
    assert_eq!(found.0, expected.0);
    near_within(tolerance, &found.1, &expected.1, "value");
    for (i, (found, expected)) in found.2.iter().zip(&expected.2).enumerate() {
        assert_eq!(found.is_some(), expected.is_some(), "gradient {i}");
        if let (Some(found), Some(expected)) = (found, expected) {
            near_within(tolerance, found, expected, &format!("gradient {i}"));
        }
    }
}

/// With and without gradient checkpointing.
fn differentiated(device: &Device) -> [Device; 2] {
    let auto = device.clone().autodiff();
    [auto.clone(), auto.gradient_checkpointing()]
}

const ACTIVATIONS: [Activation; 5] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::QuickGelu,
];

fn by_definition<const D: usize>(activation: Activation, x: Tensor<D>) -> Tensor<D> {
    match activation {
        Activation::Silu => x.clone() / ((-x).exp() + 1.0),
        Activation::Gelu => x.clone() * ((x / 2f64.sqrt()).erf() + 1.0) * 0.5,
        Activation::GeluTanh => activation::gelu_approximate(x),
        Activation::Relu => activation::relu(x),
        Activation::QuickGelu => x.clone() / ((x * -1.702).exp() + 1.0),
        other => panic!("{other:?} has no definition here"),
    }
}

fn activations(device: &Device) {
    for device in differentiated(device) {
        // More than one run of a pass, and no whole number of them.
        let x = (of([3, 5, 4099], 1.0, &device) * 6.0)
            .detach()
            .require_grad();
        for activation in ACTIVATIONS {
            agree(
                || activation.apply(x.clone()),
                || by_definition(activation, x.clone()),
                &[&x],
            );
            let turned = || x.clone().swap_dims(0, 2);
            agree(
                || activation.apply(turned()),
                || by_definition(activation, turned()),
                &[&x],
            );
        }
    }
}

fn gates(device: &Device) {
    for device in differentiated(device) {
        let both = (of([3, 5, 6000], 1.0, &device) * 4.0)
            .detach()
            .require_grad();
        let fixed = || of([3, 5, 3000], 2.0, &device);
        let half = |at| both.clone().narrow(2, at, 3000);
        let pairs: [&dyn Fn() -> (Tensor<3>, Tensor<3>); 3] =
            [&|| (half(0), half(3000)), &|| (half(0), fixed()), &|| {
                (fixed(), half(3000))
            }];
        for (activation, pair) in ACTIVATIONS
            .iter()
            .flat_map(|a| pairs.map(|pair| (*a, pair)))
        {
            agree(
                || {
                    let (gate, up) = pair();
                    activation.gate(gate, up)
                },
                || {
                    let (gate, up) = pair();
                    by_definition(activation, gate) * up
                },
                &[&both],
            );
        }
    }
}

fn softmaxes(device: &Device) {
    for device in differentiated(device) {
        let x = (of([2, 3, 37, 129], 1.0, &device) * 5.0)
            .detach()
            .require_grad();
        let hidden = of::<4>([2, 3, 37, 129], 3.0, &device);
        let hidden = hidden.greater_elem(0.9).float() * -1e30;
        let inputs: [&dyn Fn() -> Tensor<4>; 3] =
            [&|| x.clone(), &|| x.clone() + hidden.clone(), &|| {
                x.clone().swap_dims(2, 3)
            }];
        for input in inputs {
            let by_definition = || {
                let exp = (input() - input().max_dim(3).detach()).exp();
                exp.clone() / exp.sum_dim(3)
            };
            agree(|| softmax(input()), by_definition, &[&x]);
        }
    }
}

fn products(device: &Device) {
    for device in differentiated(device) {
        for tracked in [[true, true], [true, false], [false, true]] {
            // A product for all cores, and many for one each.
            for ([a, b], [rows, inner, columns]) in [
                ([1, 1], [190, 200, 210]),
                ([2, 3], [5, 7, 3]),
                ([8, 12], [64, 32, 48]),
            ] {
                let lhs = of([a, b, rows, inner], 1.0, &device).set_require_grad(tracked[0]);
                let rhs = of([a, columns, b, inner], 2.0, &device).set_require_grad(tracked[1]);
                let turned = || rhs.clone().permute([0, 2, 3, 1]);
                agree(
                    || matmul(lhs.clone(), turned()),
                    || lhs.clone().matmul(turned()),
                    &[&lhs, &rhs],
                );
            }
        }
        // By head from features of positions, and back: nothing of it is in order in memory.
        for (heads, width) in [(3, 4), (1, 6), (4, 1)] {
            let rows = |seed, n| of([2, n, heads * width], seed, &device).require_grad();
            let (lhs, rhs) = (rows(1.0, 5), rows(2.0, 7));
            let by_head = |x: &Tensor<3>| {
                let [batch, n, _] = x.dims();
                x.clone().reshape([batch, n, heads, width]).swap_dims(1, 2)
            };
            let merged = |x: Tensor<4>| x.swap_dims(1, 2).reshape([2, 5, heads * width]);
            agree(
                || {
                    let scores = matmul(by_head(&lhs), by_head(&rhs).swap_dims(2, 3));
                    merged(matmul_to_merge(scores, by_head(&rhs)))
                },
                || {
                    let scores = by_head(&lhs).matmul(by_head(&rhs).swap_dims(2, 3));
                    merged(scores.matmul(by_head(&rhs)))
                },
                &[&lhs, &rhs],
            );
        }
        let lhs = of([2, 3, 5, 7], 1.0, &device).require_grad();
        let wide = of([1, 3, 7, 4], 2.0, &device).require_grad();
        agree(
            || matmul(lhs.clone(), wide.clone()),
            || lhs.clone().matmul(wide.clone()),
            &[&lhs, &wide],
        );
        let rhs = of([2, 3, 7, 4], 2.0, &device).require_grad();
        let flipped = || lhs.clone().flip([3]);
        agree(
            || matmul(flipped(), rhs.clone()),
            || flipped().matmul(rhs.clone()),
            &[&lhs, &rhs],
        );
    }
}

fn layers(device: &Device) {
    for device in differentiated(device) {
        for (batch, rows, d_in, d_out) in [(3, 70, 230, 210), (2, 3, 5, 7), (1, 1, 4, 1)] {
            for tracked in [[true; 3], [false, true, true], [true, false, false]] {
                let x = of([batch, rows, d_in], 1.0, &device).set_require_grad(tracked[0]);
                let weight = of([d_in, d_out], 2.0, &device).set_require_grad(tracked[1]);
                let bias = of([d_out], 3.0, &device).set_require_grad(tracked[2]);
                let product = || x.clone().matmul(weight.clone().unsqueeze());
                agree(
                    || linear(x.clone(), weight.clone(), None),
                    product,
                    &[&x, &weight],
                );
                agree(
                    || linear(x.clone(), weight.clone(), Some(bias.clone())),
                    || product() + bias.clone().unsqueeze(),
                    &[&x, &weight, &bias],
                );
            }
        }
    }
}

fn norms(device: &Device) {
    for device in differentiated(device) {
        for tracked in [[true; 3], [true, false, false], [false, true, true]] {
            let x = of([3, 411, 37], 1.0, &device).set_require_grad(tracked[0]);
            let weight = (of([37], 2.0, &device) + 1.0).detach();
            let weight = weight.set_require_grad(tracked[1]);
            let bias = of([37], 3.0, &device).set_require_grad(tracked[2]);
            let (scale, shift) = (|| weight.clone().unsqueeze(), || bias.clone().unsqueeze());
            // Of rows far from zero, and in another order in memory.
            let inputs: [&dyn Fn() -> Tensor<3>; 3] =
                [&|| x.clone(), &|| x.clone() * 0.5 + 1.0, &|| {
                    x.clone().swap_dims(0, 1)
                }];
            for input in inputs {
                let by_size = || input() / (input().square().mean_dim(2) + 0.02).sqrt() * scale();
                let found = || rms_norm(input(), scale(), 0.02);
                agree(found, by_size, &[&x, &weight]);

                let by_deviation = || {
                    let centred = input() - input().mean_dim(2);
                    centred.clone() / (centred.square().mean_dim(2) + 0.02).sqrt() * scale()
                };
                let found = || layer_norm(input(), scale(), None, 0.02);
                agree(found, by_deviation, &[&x, &weight]);
                let found = || layer_norm(input(), scale(), Some(shift()), 0.02);
                agree(found, || by_deviation() + shift(), &[&x, &weight, &bias]);
            }
        }
    }
}

/// A weight for each row of a batch, as mixed batches have it.
fn norms_of_rows(device: &Device) {
    let x = of::<3>([2, 5, 37], 1.0, device);
    let weight = of::<3>([2, 1, 37], 2.0, device);
    let size = (x.clone().square().mean_dim(2) + 0.02).sqrt();
    let expected = x.clone() / size * weight.clone();
    let values = |y: Tensor<3>| -> Vec<f32> { y.into_data().iter().collect() };
    near(
        &values(rms_norm(x, weight, 0.02)),
        &values(expected),
        "rows",
    );
}

fn rotations(device: &Device) {
    for device in differentiated(device) {
        let (batch, heads, positions, head_dim) = (2, 3, 17, 10);
        let x = of([batch, positions, heads, head_dim], 1.0, &device).require_grad();
        let inputs: [&dyn Fn() -> Tensor<4>; 2] = [&|| x.clone().swap_dims(1, 2), &|| {
            x.clone().reshape([batch, heads, positions, head_dim])
        }];
        for (of_table, half) in [(1, 5), (1, 3), (batch, 4)] {
            let angles = of::<4>([of_table, 1, positions, half], 2.0, &device) * 3.0;
            let (cos, sin) = (angles.clone().cos(), angles.sin());
            for input in inputs {
                let by_definition = || {
                    let part = |start, n| input().narrow(3, start, n);
                    let mut parts = vec![
                        part(0, half) * cos.clone() - part(half, half) * sin.clone(),
                        part(half, half) * cos.clone() + part(0, half) * sin.clone(),
                    ];
                    if head_dim > 2 * half {
                        parts.push(part(2 * half, head_dim - 2 * half));
                    }
                    Tensor::cat(parts, 3)
                };
                agree(|| rotate(input(), &cos, &sin), by_definition, &[&x]);
            }
        }
    }
}

/// Cubes, whose gradients are thrice the squares.
fn known_gradients(device: &Device) {
    for device in differentiated(device) {
        let x = of([700, 33], 1.0, &device).require_grad();
        let cubes = || {
            (x.clone() * x.clone() * x.clone())
                .sum_dim(1)
                .reshape([700])
        };
        let slopes = || x.clone() * x.clone() * 3.0;
        agree(|| with_gradient(cubes(), x.clone(), slopes()), cubes, &[&x]);
    }
}

/// Sums over rows are made in the same order however many cores there are.
fn results_repeat_to_the_bit(device: &Device) {
    let device = device.clone().autodiff();
    let run = || {
        let x = of([64, 96, 48], 1.0, &device).require_grad();
        let weight = of([48, 80], 2.0, &device).require_grad();
        let bias = of([80], 3.0, &device).require_grad();
        let scale = of::<1>([48], 4.0, &device).require_grad();
        let normed = rms_norm(x.clone(), scale.clone().unsqueeze(), 1e-6);
        let y = softmax(linear(normed, weight.clone(), Some(bias.clone())));
        let grads = (y.clone() * of([64, 96, 80], 5.0, &device))
            .sum()
            .backward();
        let leaves: [&dyn Leaf; 4] = [&x, &weight, &bias, &scale];
        leaves.map(|leaf| leaf.grad_of(&grads))
    };
    let first = run();
    assert!(first.iter().all(Option::is_some));
    for _ in 0..5 {
        assert_eq!(run(), first);
    }
}
