//! No matrix of queries by keys is allocated, forwards or backwards.
#![allow(unsafe_code)] // An allocator that counts is one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor};
use peft_kernels::{Sight, Visibility, attention};

/// The system's, with the largest allocation since it was last asked.
struct Largest(AtomicUsize);

#[global_allocator]
static LARGEST: Largest = Largest(AtomicUsize::new(0));

// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Largest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[test]
fn memory_is_linear_in_the_length() {
    const LENGTH: usize = 1500;
    let device = Device::flex().autodiff();
    let of = |heads: usize| {
        let values = Tensor::<1>::from_data([0.3f32, -0.7, 0.2, 0.9], &device);
        let tiled = values.repeat_dim(0, heads * LENGTH * 4);
        tiled.reshape([1, heads, LENGTH, 16]).require_grad()
    };
    let (q, k, v) = (of(2), of(1), of(1));
    for sight in [Sight::CAUSAL, Sight::ALL] {
        LARGEST.0.store(0, Ordering::Relaxed);
        let seen = Visibility::new(sight, 0, LENGTH);
        let y = attention(q.clone(), k.clone(), v.clone(), &seen, None, None);
        let grads = y.sum().backward();
        assert!(q.grad(&grads).is_some());
        let largest = LARGEST.0.load(Ordering::Relaxed);
        // An input is 192 KB, a matrix of weights of one head 9 MB.
        assert!(largest < 1 << 20, "{largest} bytes at once");
    }
}
