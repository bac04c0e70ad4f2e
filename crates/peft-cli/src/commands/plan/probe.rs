//! [`Probe`]: how fast this machine multiplies.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use peft_plan::Plan;

use crate::device::dtype as dtype_of;
use crate::error::CliError;

/// Sides of the matrices: rows of a batch by a layer of a small model.
const SIDES: [usize; 3] = [1024, 1024, 1536];
const TURNS: usize = 6;

/// What a step takes beside its products, as a share of its time: measured at real sizes
/// (`docs/benchmarks.md`), 0.54 to 0.65 of a step were products.
const PRODUCTS: f64 = 0.6;

/// The rate of large products with a base of a type.
pub(crate) struct Probe {
    /// Multiply-adds a second.
    pub(crate) rate: f64,
}

impl Probe {
    /// The best of some turns, on the processor.
    pub(crate) fn measure(dtype: &str) -> Result<Self, CliError> {
        let device: Device = crate::device::any()?;
        let [rows, d_in, d_out] = SIDES;
        let of = |dims: [usize; 2]| Tensor::<2>::random(dims, Distribution::Default, &device);
        let (x, weight) = (of([rows, d_in]), of([d_in, d_out]).cast(dtype_of(dtype)?));
        let turn = || {
            let started = Instant::now();
            let product = peft_kernels::matmul(x.clone(), weight.clone());
            std::hint::black_box(product.into_data());
            started.elapsed().as_secs_f64()
        };
        let least = (0..TURNS).map(|_| turn()).fold(f64::INFINITY, f64::min);
        Ok(Self {
            rate: (rows * d_in * d_out) as f64 / least,
        })
    }

    /// Of a step.
    pub(crate) fn seconds(&self, plan: &Plan) -> f64 {
        self.seconds_of(plan.computation.total())
    }

    /// Of so many multiply-adds in steps.
    pub(crate) fn seconds_of(&self, multiply_adds: f64) -> f64 {
        multiply_adds / self.rate / PRODUCTS
    }
}
