//! DoRA: what its norms are, also where sums cancel, and what is kept of them.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};
use peft_core::{
    Adapter, ForwardPath, FrozenLinear, FrozenWeight, Placed, Targets, linear, merge, set_active,
    slots,
};
use peft_kernels::PackedFormat;
use peft_lora::{Lora, LoraConfig};
use peft_tests::tolerance::{PATHS, STORED_BF16};

use crate::fixture::{Net, assert_close, assert_differs, filled, filled_adapters, values};
use crate::packed::{packed, packs};

peft_tests::cases!(
    the_output_is_the_formula,
    the_norm_is_a_constant_to_gradients,
    columns_that_cancel_are_exact,
    a_column_of_zeros_stays_one,
    norms_follow_the_base_and_the_factors,
    it_decomposes_what_lies_below,
    dropout_drops_from_both_parts,
    packed_layers_are_decomposed,
);

const SCALE: f64 = 1.5;

fn adapter(d_in: usize, d_out: usize, dropout: f64, device: &Device) -> Lora {
    let a = values([d_in, 3], 21.0, device);
    let b = values([3, d_out], 22.0, device);
    Lora::new(a, b, SCALE, dropout).with_magnitude(values([d_out], 23.0, device) + 1.0)
}

/// `‖W + s A B‖` by column, in f64.
fn exact(weight: &Tensor<2>, lora: &Lora) -> Vec<f64> {
    let of = |x: &Tensor<2>| -> Vec<f64> { x.to_data().iter().collect() };
    let [d_in, d_out] = weight.dims();
    let rank = lora.lora_a.dims()[1];
    let (w, a, b) = (of(weight), of(&lora.lora_a.val()), of(&lora.lora_b.val()));
    let element = |i: usize, j: usize| {
        let low: f64 = (0..rank).map(|k| a[i * rank + k] * b[k * d_out + j]).sum();
        w[i * d_out + j] + lora.scale() * low
    };
    let column = |j: usize| (0..d_in).map(|i| element(i, j).powi(2)).sum::<f64>().sqrt();
    (0..d_out).map(column).collect()
}

/// `m ∘ (W + s A B) / ‖W + s A B‖`.
fn by_definition(weight: &Tensor<2>, lora: &Lora) -> Tensor<2> {
    let norms = exact(weight, lora).into_iter().map(|norm| norm as f32);
    let norms = Tensor::<1>::from_data(norms.collect::<Vec<f32>>().as_slice(), &weight.device());
    let magnitude = lora.magnitude.as_ref().expect("it has one").vector.val();
    (weight.clone() + lora.delta()) * (magnitude / norms).unsqueeze()
}

fn the_output_is_the_formula(device: &Device) {
    let weight = values([12, 7], 1.0, device);
    let bias = values([7], 2.0, device);
    let x = values([5, 12], 3.0, device);
    let lora = adapter(12, 7, 0.0, device);
    let expected = x.clone().matmul(by_definition(&weight, &lora)) + bias.clone().unsqueeze();
    let base = FrozenLinear::new(weight.clone(), Some(bias));
    assert_differs(&expected, &base.forward(x.clone()));
    assert_close(&lora.linear(x.into(), &base), &expected, PATHS);
    let found = lora.weight(&weight.clone().into());
    assert_close(&found, &by_definition(&weight, &lora), PATHS);
}

/// Section 4.3 of the paper, and PEFT: `A`'s gradient is that of a fixed factor by column.
fn the_norm_is_a_constant_to_gradients(device: &Device) {
    let device = &device.clone().autodiff();
    let weight = values::<2>([12, 7], 1.0, device);
    let x = values([5, 12], 3.0, device);
    let lora = adapter(12, 7, 0.0, device);
    let base = FrozenLinear::new(weight.clone(), None);
    let ways = [
        lora.linear(x.clone().into(), &base),
        x.clone().matmul(lora.weight(&weight.clone().into())),
        {
            let norms = exact(&weight, &lora).into_iter().map(|norm| norm as f32);
            let norms = Tensor::<1>::from_data(norms.collect::<Vec<_>>().as_slice(), device);
            let magnitude = lora.magnitude.as_ref().expect("it has one").vector.val();
            x.matmul((weight + lora.delta()) * (magnitude / norms).unsqueeze())
        },
    ];
    let grads = ways.map(|y| {
        let grads = y.powi_scalar(2).sum().backward();
        let magnitude = &lora.magnitude.as_ref().expect("it has one").vector;
        (
            lora.lora_a.val().grad(&grads).expect("it trains"),
            lora.lora_b.val().grad(&grads).expect("it trains"),
            magnitude.val().grad(&grads).expect("it trains"),
        )
    });
    for (a, b, m) in &grads[..2] {
        assert_close(a, &grads[2].0, PATHS);
        assert_close(b, &grads[2].1, PATHS);
        assert_close(m, &grads[2].2, PATHS);
    }
}

/// The low-rank part is large, and in some columns nearly minus the weight: what is left of a
/// thousand parts by the sum alone would be noise.
fn columns_that_cancel_are_exact(device: &Device) {
    let (d_in, d_out) = (96, 40);
    let lora = adapter(d_in, d_out, 0.0, device);
    for size in [1.0, 300.0] {
        let lora = Lora::new(
            lora.lora_a.val() * size,
            lora.lora_b.val() * size,
            SCALE,
            0.0,
        )
        .with_magnitude(values([d_out], 23.0, device) + 1.0);
        let noise = values::<2>([d_in, d_out], 5.0, device);
        // Columns at which ever less is left, down to a part of 10⁻⁶.
        let left: Vec<f32> = (0..d_out)
            .map(|j| 10f32.powf(-6.0 * j as f32 / 39.0))
            .collect();
        let left = Tensor::<1>::from_data(left.as_slice(), device);
        let largest = lora.delta().abs().max().into_scalar::<f32>();
        let weight = lora.delta().neg() + noise * left.unsqueeze() * largest;
        let exact = exact(&weight, &lora);
        let one = Lora::new(lora.lora_a.val(), lora.lora_b.val(), SCALE, 0.0)
            .with_magnitude(Tensor::ones([d_out], device));
        // By the norms that are found, columns come out of length one.
        let found = one.weight(&FrozenWeight::from(weight.clone()));
        let found: Vec<f64> = found.into_data().iter().collect();
        let sums: Vec<f64> = (weight + one.delta()).into_data().iter().collect();
        for j in 0..d_out {
            let length = (0..d_in).map(|i| found[i * d_out + j].powi(2)).sum::<f64>();
            let near = 1e-4 + 4e-7 * 10f64.powf(6.0 * j as f64 / 39.0);
            assert!(
                (length - 1.0).abs() < near,
                "column {j} of {size}: {length}"
            );
            // What is left is rounded as the sum of weight and low-rank part is.
            let sum = (0..d_in).map(|i| sums[i * d_out + j].powi(2)).sum::<f64>();
            assert!((sum.sqrt() / exact[j] - 1.0).abs() < 0.1, "column {j}");
        }
    }
}

fn a_column_of_zeros_stays_one(device: &Device) {
    let mut layer: Linear = filled(LinearConfig::new(6, 4).init(device));
    let mask = Tensor::<1>::from_data([1.0, 0.0, 1.0, 1.0], device);
    layer.weight = Param::from_tensor(layer.weight.val() * mask.unsqueeze());
    let x = values([3, 6], 3.0, device);
    let before = layer.forward(x.clone());
    LoraConfig::new(2, 3.0)
        .with_dora(true)
        .attach(&mut layer, "a")
        .expect("it attaches");
    assert_close(&linear(&layer, x.clone()), &before, 0.0);
    assert_close(&layer.forward(x), &before, 0.0);
}

/// Another base, other factors, and a model on which both are changed behind it.
fn norms_follow_the_base_and_the_factors(device: &Device) {
    struct Change(fn(&str) -> bool, Vec<String>);
    impl ModuleMapper for Change {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match (self.0)(&self.1.join(".")) {
                true => param.map(|value| value * 1.7 + 0.1),
                false => param,
            }
        }
    }
    let mut layer: Linear = filled(LinearConfig::new(6, 4).init(device));
    LoraConfig::new(2, 3.0)
        .with_dora(true)
        .attach(&mut layer, "a")
        .expect("it attaches");
    let mut layer = filled_adapters(layer);
    let x = values([3, 6], 3.0, device);
    let of = |layer: &Linear| {
        let (_, slot) = slots(layer).remove(0);
        let lora = slot.get::<Lora>("a").expect("it is there").clone();
        let weight = FrozenWeight::of(&layer.weight).dense();
        let bias = layer.bias.as_ref().expect("it has one").val();
        x.clone().matmul(by_definition(&weight, &lora)) + bias.unsqueeze()
    };
    assert_close(&linear(&layer, x.clone()), &of(&layer), PATHS);
    let changes: [fn(&str) -> bool; 3] = [
        |path| path == "weight",
        |path| path.ends_with("lora_b"),
        |path| path.ends_with("lora_a"),
    ];
    for change in changes {
        let before = linear(&layer, x.clone());
        layer = layer.map(&mut Change(change, Vec::new()));
        let found = linear(&layer, x.clone());
        assert_differs(&found, &before);
        assert_close(&found, &of(&layer), PATHS);
    }
}

/// Above another adapter its columns are those of the weight with that.
fn it_decomposes_what_lies_below(device: &Device) {
    let mut model = Net::new(device);
    for (name, dora) in [("below", false), ("above", true)] {
        LoraConfig::new(2, 3.0)
            .with_dora(dora)
            .with_targets(Targets::suffixes(["q_proj", "embed"]))
            .with_path(ForwardPath::Factored)
            .attach(&mut model, name)
            .expect("it attaches");
    }
    let mut model = filled_adapters(model);
    set_active(&mut model, &[("above", 1.0)]).expect("it exists");
    let alone = model.output(ForwardPath::Factored);
    set_active(&mut model, &[("below", 1.0), ("above", 1.0)]).expect("both exist");
    let both = model.output(ForwardPath::Factored);
    assert_differs(&both, &alone);
    assert_close(&model.output(ForwardPath::Weight), &both, PATHS);
    drop(merge(&mut model).expect("both act"));
    assert_close(&model.output(ForwardPath::Weight), &both, PATHS);
}

/// In training `y = W x + (f − 1) ∘ W d(x) + f ∘ s B A d(x)`; the mean over what is dropped is what
/// it gives out of training.
fn dropout_drops_from_both_parts(device: &Device) {
    let device = &device.clone().autodiff();
    let weight = values::<2>([12, 7], 1.0, device);
    let base = FrozenLinear::new(weight.clone(), None);
    let lora = adapter(12, 7, 0.25, device);
    let x = values::<2>([1, 12], 3.0, device).expand([4000, 12]);
    let y = lora.linear(x.clone().into(), &base);
    let without = adapter(12, 7, 0.0, device).linear(x.clone().into(), &base);
    assert_differs(&y, &without);
    assert_close(&y.clone().mean_dim(0), &without.narrow(0, 0, 1), 0.05);
    // What lies in no direction of the difference is not dropped: `m` the norms, `B` zero.
    let plain = Lora::new(
        lora.lora_a.val().detach(),
        Tensor::zeros([3, 7], device),
        SCALE,
        0.25,
    )
    .with_magnitude_of(&weight.clone().into());
    let y = plain.linear(x.clone().into(), &base);
    assert_close(&y, &base.forward(x), PATHS);
}

/// Norms of blocks are those of their dense value.
fn packed_layers_are_decomposed(device: &Device) {
    if !packs(device) {
        return;
    }
    for format in PackedFormat::ALL {
        for (dtype, tolerance) in [(DType::F32, PATHS), (DType::BF16, STORED_BF16)] {
            let dims = [512, 75];
            let held = packed(format, dims, 2.0).into_tensor(dtype, device);
            let held = FrozenWeight::from(held.expect("it is held"));
            let dense = held.dense().cast(DType::F32);
            let squares = dense.clone().square().sum_dim(0).reshape([75]);
            let largest = squares.clone().max().into_scalar::<f32>();
            let found = held.column_squares(DType::F32);
            assert_close(&found, &squares, tolerance * largest.max(1.0));
            let some = held.columns(&[0, 74, 3]).cast(DType::F32);
            let expected = [0, 74, 3].map(|j| dense.clone().narrow(1, j, 1));
            assert_close(&some, &Tensor::cat(expected.into(), 1), 0.0);

            let x = values([3, 512], 3.0, device);
            let lora = adapter(512, 75, 0.0, device);
            let y = lora.linear(x.clone().into(), &FrozenLinear::new(held, None));
            let expected = x.matmul(by_definition(&dense, &lora));
            let largest = expected.clone().abs().max().into_scalar::<f32>();
            assert_close(&y, &expected, tolerance * largest.max(1.0));
        }
    }
}
