//! Attention beside its definition: every score, what is hidden, softmax, and the mix of values.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use peft_kernels::{Dropout, EVERY_SEQUENCE, Sight, Visibility, attention};

use super::{agree, differentiated, near, of};

peft_tests::cases!(on the cores:
    it_is_its_definition,
    gradients_are_formed_where_they_are_wanted,
    a_row_is_the_same_in_a_longer_one,
    hidden_keys_have_no_gradient,
    dropout_is_the_same_in_both_passes
);

/// Something of a row's query or key.
type Of<T> = fn(usize, usize) -> T;

/// A pass, by what each query sees.
#[derive(Clone)]
struct Case {
    batch: usize,
    kv_heads: usize,
    groups: usize,
    width: usize,
    cached: usize,
    positions: usize,
    sight: Sight,
    segment: Option<Of<i64>>,
    /// Queries of each row.
    query: Option<(usize, Of<usize>)>,
    place: Option<Of<i64>>,
    softcap: Option<f64>,
}

const CAUSAL: Case = Case {
    batch: 2,
    kv_heads: 2,
    groups: 3,
    width: 5,
    cached: 0,
    // More than a block of queries and two tiles of keys, and no whole number of them.
    positions: 131,
    sight: Sight::CAUSAL,
    segment: None,
    query: None,
    place: None,
    softcap: None,
};

const fn within(causal: bool, reach: usize) -> Sight {
    Sight {
        causal,
        reach: Some(reach),
    }
}

fn cases() -> Vec<Case> {
    let packed = |row: usize, key: usize| ((key + 7 * row) / 50) as i64;
    let shared = |row: usize, key: usize| match key {
        0..5 => EVERY_SEQUENCE,
        _ => ((key + 11 * row) / 70) as i64,
    };
    // Rows of different lengths: what lies between a row's text and what follows is padding.
    let padded = |row: usize, key: usize| match (20 + 30 * row..100).contains(&key) {
        true => -2,
        false => 0,
    };
    let behind = |row: usize, key: usize| match key {
        0..100 => key as i64,
        _ => (key - 100 + 20 + 30 * row) as i64,
    };
    let longer = Case {
        positions: 200,
        groups: 1,
        width: 16,
        ..CAUSAL
    };
    vec![
        CAUSAL,
        Case {
            width: 72,
            positions: 30,
            cached: 61,
            ..CAUSAL
        },
        Case {
            sight: within(true, 30),
            ..longer.clone()
        },
        Case {
            sight: Sight::ALL,
            ..longer.clone()
        },
        Case {
            sight: within(false, 9),
            cached: 70,
            ..longer.clone()
        },
        Case {
            segment: Some(packed),
            ..longer.clone()
        },
        Case {
            segment: Some(shared),
            sight: within(false, 150),
            ..longer.clone()
        },
        Case {
            softcap: Some(1.5),
            segment: Some(shared),
            ..CAUSAL
        },
        // Of the new positions some ask, in no order, some twice.
        Case {
            query: Some((70, |row, query| (query * 31 + row) % 131)),
            segment: Some(shared),
            cached: 9,
            ..CAUSAL
        },
        // One token behind a cache, and some behind caches of different lengths.
        Case {
            positions: 1,
            cached: 129,
            width: 64,
            ..CAUSAL
        },
        Case {
            positions: 3,
            cached: 100,
            segment: Some(padded),
            place: Some(behind),
            sight: within(true, 12),
            ..CAUSAL
        },
        Case {
            positions: 1,
            batch: 1,
            kv_heads: 1,
            groups: 1,
            width: 1,
            ..CAUSAL
        },
    ]
}

impl Case {
    fn keys(&self) -> usize {
        self.cached + self.positions
    }

    fn queries(&self) -> usize {
        self.query.map_or(self.positions, |(queries, _)| queries)
    }

    fn key_of(&self, row: usize, query: usize) -> usize {
        self.cached + self.query.map_or(query, |(_, of)| of(row, query))
    }

    fn sees(&self, row: usize, query: usize, key: usize) -> bool {
        let place = |key: usize| self.place.map_or(key as i64, |of| of(row, key));
        let (own, other) = (place(self.key_of(row, query)), place(key));
        let Sight { causal, reach } = self.sight;
        let in_sight = (!causal || other <= own)
            && reach.is_none_or(|reach| own.abs_diff(other) <= reach as u64);
        let segment = |key| self.segment.map_or(0, |of| of(row, key));
        (in_sight || !causal && key < self.cached)
            && [EVERY_SEQUENCE, segment(self.key_of(row, query))].contains(&segment(key))
    }

    fn seen(&self, device: &Device) -> Visibility {
        let ints = |n: usize, of: &dyn Fn(usize, usize) -> i64| -> Tensor<2, Int> {
            let rows = (0..self.batch).flat_map(|row| (0..n).map(move |i| (row, i)));
            let values: Vec<i64> = rows.map(|(row, i)| of(row, i)).collect();
            Tensor::from_data(TensorData::new(values, [self.batch, n]), device)
        };
        Visibility::new(self.sight, self.cached, self.positions)
            .with_segments(self.segment.map(|of| ints(self.keys(), &of)))
            .with_places(self.place.map(|of| ints(self.keys(), &of)))
            .with_queries(
                self.query
                    .map(|(queries, of)| ints(queries, &|row, i| of(row, i) as i64)),
            )
    }

    /// Queries as layers give them, all heads of a position next to each other; keys and values as
    /// a cache does that has room for more.
    fn leaves(&self, device: &Device) -> [Tensor<4>; 3] {
        let heads = self.kv_heads * self.groups;
        let room = [self.batch, self.kv_heads, self.keys() + 3, self.width];
        [
            of([self.batch, self.queries(), heads, self.width], 1.0, device),
            of(room, 2.0, device),
            of(room, 3.0, device),
        ]
    }

    fn inputs(&self, [q, k, v]: &[Tensor<4>; 3]) -> [Tensor<4>; 3] {
        let cached = |x: &Tensor<4>| x.clone().narrow(2, 1, self.keys());
        let scaled = q.clone().swap_dims(1, 2) / (self.width as f64).sqrt();
        [scaled, cached(k), cached(v)]
    }

    /// `factors` are what the weights are multiplied with.
    fn by_definition(&self, leaves: &[Tensor<4>; 3], factors: Option<Tensor<4>>) -> Tensor<4> {
        let [q, k, v] = self.inputs(leaves);
        let (heads, keys) = (self.kv_heads * self.groups, self.keys());
        let for_each = |x: Tensor<4>| {
            let x: Tensor<5> = x.unsqueeze_dim(2);
            x.repeat_dim(2, self.groups)
                .reshape([self.batch, heads, keys, self.width])
        };
        let scores = q.matmul(for_each(k).swap_dims(2, 3));
        let scores = match self.softcap {
            Some(cap) => (scores / cap).tanh() * cap,
            None => scores,
        };
        let mut bias = Vec::new();
        for row in 0..self.batch {
            for query in 0..self.queries() {
                let seen = (0..keys).map(|key| self.sees(row, query, key));
                bias.extend(seen.map(|seen| if seen { 0.0f32 } else { -1e30 }));
            }
        }
        let dims = [self.batch, 1, self.queries(), keys];
        let bias = Tensor::from_data(TensorData::new(bias, dims), &scores.device());
        let weights = activation::softmax(scores + bias, 3);
        let weights = match factors {
            Some(factors) => weights * factors,
            None => weights,
        };
        weights.matmul(for_each(v))
    }
}

fn it_is_its_definition(device: &Device) {
    for device in differentiated(device) {
        for case in cases() {
            let leaves = case.leaves(&device).map(Tensor::require_grad);
            let seen = case.seen(&device);
            let found = || {
                let [q, k, v] = case.inputs(&leaves);
                attention(q, k, v, &seen, case.softcap, None)
            };
            let [q, k, v] = &leaves;
            agree(found, || case.by_definition(&leaves, None), &[q, k, v]);
        }
    }
}

fn gradients_are_formed_where_they_are_wanted(device: &Device) {
    let device = device.clone().autodiff();
    for tracked in [
        [true, false, false],
        [false, true, false],
        [false, false, true],
    ] {
        let mut tracked = tracked.into_iter();
        let leaves = CAUSAL
            .leaves(&device)
            .map(|x| x.set_require_grad(tracked.next().unwrap_or_default()));
        let seen = CAUSAL.seen(&device);
        let found = || {
            let [q, k, v] = CAUSAL.inputs(&leaves);
            attention(q, k, v, &seen, None, None)
        };
        let [q, k, v] = &leaves;
        agree(found, || CAUSAL.by_definition(&leaves, None), &[q, k, v]);
    }
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter().collect()
}

/// Whatever keys are behind that it does not see.
fn a_row_is_the_same_in_a_longer_one(device: &Device) {
    let leaves = CAUSAL.leaves(device);
    let whole = {
        let [q, k, v] = CAUSAL.inputs(&leaves);
        attention(q, k, v, &CAUSAL.seen(device), None, None)
    };
    for n in [1, 63, 64, 65, 100] {
        let [q, k, v] = CAUSAL.inputs(&leaves).map(|x| x.narrow(2, 0, n));
        let seen = Visibility::new(Sight::CAUSAL, 0, n);
        let found = attention(q, k, v, &seen, None, None);
        let expected = values(whole.clone().narrow(2, 0, n));
        near(&values(found), &expected, "at the start of a longer one");
        // The last of them alone, behind a cache.
        let [q, k, v] = CAUSAL.inputs(&leaves).map(|x| x.narrow(2, 0, n));
        let seen = Visibility::new(Sight::CAUSAL, n - 1, 1);
        let found = attention(q.narrow(2, n - 1, 1), k, v, &seen, None, None);
        let expected = values(whole.clone().narrow(2, n - 1, 1));
        near(&values(found), &expected, "behind a cache");
    }
}

/// None at all, not a small one.
fn hidden_keys_have_no_gradient(device: &Device) {
    let device = device.clone().autodiff();
    let case = Case {
        segment: Some(|_, key| i64::from(key >= 40)),
        ..CAUSAL
    };
    let leaves = case.leaves(&device).map(Tensor::require_grad);
    let [q, k, v] = case.inputs(&leaves);
    let y = attention(q, k, v, &case.seen(&device), None, None);
    let grads = y.narrow(2, 50, 20).square().sum().backward();
    for x in &leaves[1..] {
        let grad = x.grad(&grads).expect("a gradient").abs();
        // Keys begin at the second place of the cache; 40 to 69 are seen.
        assert_eq!(values(grad.clone().narrow(2, 0, 41).max()), [0.0]);
        assert_eq!(values(grad.clone().narrow(2, 71, 63).max()), [0.0]);
        assert!(values(grad.narrow(2, 41, 30)).iter().all(|x| *x > 0.0));
    }
}

/// What is drawn is read from the values: those of a key that no other has.
fn dropout_is_the_same_in_both_passes(device: &Device) {
    let device = device.clone().autodiff();
    let case = Case {
        sight: Sight::ALL,
        positions: 70,
        width: 70,
        ..CAUSAL
    };
    let leaves = case.leaves(&device).map(Tensor::require_grad);
    let seen = case.seen(&device);
    let dropout = |seed| Some(Dropout { rate: 0.25, seed });
    let factors = |seed| {
        let [q, k, v] = case.inputs(&leaves).map(Tensor::detach);
        let ones = Tensor::<2>::eye(70, &device).unsqueeze::<4>() + v * 0.0;
        let of = |dropout| attention(q.clone(), k.clone(), ones.clone(), &seen, None, dropout);
        let factors = of(dropout(seed)) / of(None);
        // 0 or 4/3, as exactly as it was drawn.
        factors.greater_elem(0.5).float() * (4.0 / 3.0)
    };
    let drawn = factors(3);
    assert_eq!(values(drawn.clone()), values(factors(3)));
    let total = drawn.dims().iter().product::<usize>() as f32;
    let differ = values(
        (drawn.clone() - factors(4))
            .abs()
            .greater_elem(0.1)
            .float()
            .sum(),
    );
    let dropped = values(drawn.clone().equal_elem(0.0).float().sum());
    assert!(
        (dropped[0] / total - 0.25).abs() < 0.01,
        "{dropped:?} of {total}"
    );
    assert!(
        (differ[0] / total - 0.375).abs() < 0.01,
        "{differ:?} of {total}"
    );
    let found = || {
        let [q, k, v] = case.inputs(&leaves);
        attention(q, k, v, &seen, None, dropout(3))
    };
    let [q, k, v] = &leaves;
    agree(
        found,
        || case.by_definition(&leaves, Some(drawn.clone())),
        &[q, k, v],
    );
}
