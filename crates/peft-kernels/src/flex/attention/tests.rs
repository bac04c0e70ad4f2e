//! Whatever the machine and the number of its cores.

use burn::tensor::{Device, Shape, Tensor, TensorData};
use rayon::ThreadPoolBuilder;

use super::block::Inputs;
use super::forward::Forward;
use crate::attention::{Dropout, Sight, Visibility, attention};
use crate::flex::simd::{Unfused, Work, widest};
use crate::flex::values::tensor;

fn of(dims: [usize; 4], seed: f32, device: &Device) -> Tensor<4> {
    let n = dims.iter().product();
    let values: Vec<f32> = (0..n).map(|i| (seed + i as f32 * 1.7).sin()).collect();
    Tensor::from_data(TensorData::new(values, dims), device)
}

#[test]
fn results_have_the_same_bits_on_any_number_of_cores() {
    let device = Device::flex().autodiff();
    let run = || {
        let q = of([2, 6, 300, 20], 1.0, &device).require_grad();
        let [k, v] = [2.0, 3.0].map(|seed| of([2, 2, 300, 20], seed, &device).require_grad());
        let seen = Visibility::new(Sight::CAUSAL, 0, 300);
        let dropout = Some(Dropout { rate: 0.2, seed: 7 });
        let y = attention(q.clone(), k.clone(), v.clone(), &seen, None, dropout);
        let grads = y.clone().square().sum().backward();
        let mut all = vec![y.into_data()];
        all.extend([q, k, v].map(|x| x.grad(&grads).expect("a gradient").into_data()));
        all
    };
    let on = |cores| {
        let pool = ThreadPoolBuilder::new().num_threads(cores).build();
        pool.expect("a pool").install(run)
    };
    let one = on(1);
    for cores in [2, 5] {
        assert_eq!(on(cores), one, "{cores} cores");
    }
}

/// As a cache needs it, and packed rows.
#[test]
fn a_row_has_the_same_bits_whatever_is_behind_it() {
    let device = Device::flex();
    let [q, k, v] =
        [(6, 1.0), (2, 2.0), (2, 3.0)].map(|(heads, seed)| of([1, heads, 150, 20], seed, &device));
    let first = |x: &Tensor<4>, n| x.clone().narrow(2, 0, n);
    let bits = |x: Tensor<4>| x.into_data();
    let seen = Visibility::new(Sight::CAUSAL, 0, 150);
    let whole = attention(q.clone(), k.clone(), v.clone(), &seen, None, None);
    for n in [1, 63, 64, 65, 149] {
        let seen = Visibility::new(Sight::CAUSAL, 0, n);
        let found = attention(first(&q, n), first(&k, n), first(&v, n), &seen, None, None);
        assert_eq!(bits(found), bits(first(&whole, n)), "the first {n}");
        let seen = Visibility::new(Sight::CAUSAL, n - 1, 1);
        let last = q.clone().narrow(2, n - 1, 1);
        let found = attention(last, first(&k, n), first(&v, n), &seen, None, None);
        let expected = whole.clone().narrow(2, n - 1, 1);
        assert_eq!(bits(found), bits(expected), "behind a cache of {}", n - 1);
    }
}

#[test]
fn instructions_of_this_machine_give_what_plain_ones_do() {
    let (k, q) = (
        of([1, 1, 90, 20], 1.0, &Device::flex()),
        of([1, 3, 90, 20], 2.0, &Device::flex()),
    );
    let seen = Visibility::new(Sight::CAUSAL, 0, 90);
    let spec = super::Spec {
        rule: seen.rule(),
        softcap: Some(3.0),
        dropout: None,
    };
    let plain = |x: Tensor<4>| {
        let dims = x.dims();
        let data = x.into_data();
        let values: Vec<f32> = data.iter().collect();
        tensor(values, Shape::from(dims.to_vec()))
    };
    let attention = super::Attention::new([plain(q), plain(k.clone()), plain(k)], spec);
    let inputs: Inputs<'_> = attention.inputs();
    let work = || Forward {
        inputs: &inputs,
        block: inputs.get(0, 0, 1),
    };
    let (found, expected) = (widest(work()), work().run::<Unfused>());
    assert_eq!(found.out.len(), expected.out.len());
    let pairs = found.out.iter().zip(&expected.out);
    for (a, b) in pairs.chain(found.log_sums.iter().zip(&expected.log_sums)) {
        assert!((a - b).abs() <= 1e-5, "{a}, expected {b}");
    }
}
