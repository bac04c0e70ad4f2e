//! What is allocated, and what is kept for gradients.
#![allow(unsafe_code)] // An allocator that counts is one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use peft_kernels::{
    Activation, Sight, Visibility, attention, layer_norm, linear, rms_norm, scale_columns,
};

/// The system's, with the largest allocation since it was last asked, all that are there, and the
/// most that were.
struct Counted {
    largest: AtomicUsize,
    held: AtomicUsize,
    most: AtomicUsize,
}

#[global_allocator]
static COUNTED: Counted = Counted {
    largest: AtomicUsize::new(0),
    held: AtomicUsize::new(0),
    most: AtomicUsize::new(0),
};

/// One test at a time: they count for all.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.largest.fetch_max(layout.size(), Ordering::Relaxed);
        let before = self.held.fetch_add(layout.size(), Ordering::Relaxed);
        self.most
            .fetch_max(before + layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[test]
fn memory_is_linear_in_the_length() {
    const LENGTH: usize = 1500;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex().autodiff();
    let of = |heads: usize| {
        let values = Tensor::<1>::from_data([0.3f32, -0.7, 0.2, 0.9], &device);
        let tiled = values.repeat_dim(0, heads * LENGTH * 4);
        tiled.reshape([1, heads, LENGTH, 16]).require_grad()
    };
    let (q, k, v) = (of(2), of(1), of(1));
    for sight in [Sight::CAUSAL, Sight::ALL] {
        COUNTED.largest.store(0, Ordering::Relaxed);
        let seen = Visibility::new(sight, 0, LENGTH);
        let y = attention(q.clone(), k.clone(), v.clone(), &seen, None, None);
        let grads = y.sum().backward();
        assert!(q.grad(&grads).is_some());
        let largest = COUNTED.largest.load(Ordering::Relaxed);
        // An input is 192 KB, a matrix of weights of one head 9 MB.
        assert!(largest < 1 << 20, "{largest} bytes at once");
    }
}

/// Of a feed-forward layer whose factors all train.
#[test]
fn what_norms_and_activations_give_is_made_again() {
    const UNIT: usize = 512 * 256 * 4;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex().autodiff();
    let of = |dims: [usize; 2], phase: f32| -> Tensor<2> {
        let values = (0..dims[0] * dims[1]).map(|i| (i as f32 * 0.37 + phase).sin() * 0.2);
        let data = TensorData::new(values.collect::<Vec<f32>>(), dims);
        Tensor::from_data(data, &device).require_grad()
    };
    let x = of([512, 256], 0.1);
    let scale = of([1, 256], 1.2);
    let bias = of([1, 256], 0.7);
    let factors = of([1, 256], 2.3);
    let weights: Vec<Tensor<2>> = (0..4).map(|i| of([256, 256], i as f32)).collect();
    let inputs: Vec<&Tensor<2>> = [&x, &scale, &bias, &factors]
        .into_iter()
        .chain(&weights)
        .collect();
    // With handles to what is made, which is read then as it is, and without.
    let run = |held: &mut Vec<Tensor<2>>, hold: bool| {
        let mut keep = |y: &Tensor<2>| held.extend(hold.then(|| y.clone()));
        let before = COUNTED.held.load(Ordering::Relaxed);
        let normed = rms_norm(x.clone(), scale.clone(), 1e-5);
        keep(&normed);
        let [gate, up] = [0, 1].map(|i| linear(normed.clone(), weights[i].clone(), None));
        drop(normed);
        let mixed = Activation::Silu.gate(gate, up);
        keep(&mixed);
        let y = linear(mixed.clone(), weights[2].clone(), None);
        // It may be written in the memory of what it reads.
        let y = y + scale_columns(mixed, factors.clone().reshape([256]));
        let centred = layer_norm(y, scale.clone(), Some(bias.clone()), 1e-5);
        keep(&centred);
        let inner = linear(centred, weights[3].clone(), None);
        let active = Activation::Gelu.apply(inner);
        keep(&active);
        let y = linear(active, weights[0].clone(), None);
        let kept = COUNTED.held.load(Ordering::Relaxed) - before;
        let grads = (y.clone() * y).sum().backward();
        let grads = inputs
            .iter()
            .map(|x| x.grad(&grads).expect("a gradient").into_data());
        (kept, grads.collect::<Vec<_>>())
    };
    let (all, expected) = run(&mut Vec::new(), true);
    let (kept, found) = run(&mut Vec::new(), false);
    assert_eq!(found, expected);
    // Two of the gate, one that the second norm reads, one of the last activation, and the result.
    assert!(kept < 5 * UNIT + UNIT / 2, "{kept} bytes, {UNIT} each");
    assert!(all > kept, "{all} bytes");
}

/// As that of an output layer which is tied to an embedding.
#[test]
fn the_gradient_of_a_turned_weight_is_made_once() {
    const VOCABULARY: usize = 65536;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex().autodiff();
    let embedding = Tensor::<2>::ones([VOCABULARY, 64], &device).require_grad();
    let x = Tensor::<2>::ones([4, 64], &device);
    let y = linear(x, embedding.clone().transpose(), None).sum();
    let before = COUNTED.held.load(Ordering::Relaxed);
    COUNTED.most.store(before, Ordering::Relaxed);
    let grads = y.backward();
    let most = COUNTED.most.load(Ordering::Relaxed) - before;
    let grad = embedding.grad(&grads).expect("a gradient");
    assert_eq!(grad.slice([5..6, 0..1]).into_scalar::<f32>(), 4.0);
    let one = VOCABULARY * 64 * 4;
    assert!(most < one + one / 2, "{most} bytes for one of {one}");
}
