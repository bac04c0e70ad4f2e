//! A frozen weight's products are those with its dense value, and a method can be asked by itself
//! what it makes of one.

use burn::tensor::{DType, Device, Int, Tensor, module};
use peft_core::{Adapter, Digest, FrozenEmbedding, FrozenLinear, FrozenWeight};
use peft_lora::Lora;
use peft_tests::tolerance::PATHS;

use crate::fixture::{assert_close, assert_same, values};

peft_tests::cases!(
    products_are_those_with_the_dense_value,
    gradients_of_the_rows_go_through_the_transpose,
    a_value_is_rounded_to_what_is_stored,
    a_method_is_asked_by_itself,
    a_digest_of_parts_is_that_of_the_whole,
);

/// Of a weight that is read whole, and of one whose rows are read some at a time.
fn a_digest_of_parts_is_that_of_the_whole(device: &Device) {
    for (shape, n) in [([5, 7], 1), ([37, 200_000], 2)] {
        let weight: Tensor<2> = values(shape, 1.0, device);
        let mut whole = Digest::default();
        whole.add_bytes(weight.to_data().as_bytes());
        let weight = FrozenWeight::from(weight);
        assert_eq!(weight.stored().count(), n);
        let mut found = Digest::default();
        weight.add_to(&mut found);
        assert_eq!(found, whole);
    }
}

fn products_are_those_with_the_dense_value(device: &Device) {
    let dense: Tensor<2> = values([6, 10], 1.0, device);
    let bias: Tensor<1> = values([10], 2.0, device);
    let weight = FrozenWeight::from(dense.clone());
    assert_eq!(weight.dims(), [6, 10]);
    assert_same(&weight.dense(), &dense);
    let x: Tensor<3> = values([2, 3, 6], 3.0, device);
    let expected = x.clone().matmul(dense.clone().unsqueeze());
    assert_close(&weight.product(x.clone(), None), &expected, PATHS);
    let expected = expected + bias.clone().unsqueeze();
    assert_close(&weight.product(x, Some(bias)), &expected, PATHS);
    let y: Tensor<2> = values([5, 10], 4.0, device);
    let expected = y.clone().matmul(dense.clone().transpose());
    assert_close(&weight.transposed_product(y), &expected, PATHS);
    let ids = Tensor::<2, Int>::from_data([[5, 0], [3, 5]], device);
    let expected = module::embedding(dense, ids.clone());
    assert_same(&weight.rows(ids), &expected);
}

/// Autodiff of a product with a frozen weight, and the product that it stands for.
fn gradients_of_the_rows_go_through_the_transpose(device: &Device) {
    let auto = &device.clone().autodiff();
    let weight = FrozenWeight::from(values::<2>([6, 10], 1.0, auto));
    let x = values::<2>([4, 6], 2.0, auto).require_grad();
    let of_y: Tensor<2> = values([4, 10], 3.0, auto);
    let grads = (weight.product(x.clone(), None) * of_y.clone())
        .sum()
        .backward();
    let found = x.grad(&grads).expect("rows that require one");
    assert_close(&found, &weight.transposed_product(of_y).inner(), PATHS);
}

fn a_value_is_rounded_to_what_is_stored(device: &Device) {
    let value: Tensor<2> = values([6, 10], 1.0, device);
    let weight = FrozenWeight::from(value.zeros_like());
    assert_same(&weight.rounded(value.clone()), &value);
    // Not every backend holds halves.
    if !device.supports_dtype(DType::BF16) {
        return;
    }
    let half = FrozenWeight::from(value.zeros_like().cast(DType::BF16));
    assert_eq!(half.dtype(), DType::BF16);
    assert_eq!(half.dense_in(DType::F32).dtype(), DType::F32);
    let expected = value.clone().cast(DType::BF16);
    assert_same(&half.rounded(value), &expected);
}

/// What an author's test does: no model, no slot.
fn a_method_is_asked_by_itself(device: &Device) {
    let (a, b) = (values([6, 2], 1.0, device), values([2, 10], 2.0, device));
    let lora = Lora::new(a, b, 1.5, 0.0);
    let weight: Tensor<2> = values([6, 10], 3.0, device);
    let bias: Tensor<1> = values([10], 4.0, device);
    let x: Tensor<2> = values([4, 6], 5.0, device);
    let adapted = weight.clone() + lora.delta();
    let base = FrozenLinear::new(weight.clone(), Some(bias.clone()));
    let found = lora.linear(x.clone().into(), &base);
    let expected = x.matmul(adapted.clone()) + bias.unsqueeze();
    assert_close(&found, &expected, PATHS);
    assert_close(&lora.weight(&base.weight()), &adapted, PATHS);
    let ids = Tensor::<2, Int>::from_data([[5, 0], [3, 5]], device);
    let found = lora.embedding(ids.clone(), &FrozenEmbedding::new(weight));
    assert_close(&found, &module::embedding(adapted, ids), PATHS);
}
