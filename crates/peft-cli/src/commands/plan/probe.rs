//! [`Probe`]: how fast this machine multiplies.

use std::time::{Duration, Instant};

use burn::tensor::{DType, Device, Distribution, Tensor};
use peft_plan::{Plan, Rates};

use crate::device::dtype as dtype_of;
use crate::error::CliError;

/// Sides of the matrices: rows of a batch by a layer of a small model.
const SIDES: [usize; 3] = [1024, 1024, 1536];
/// For how long, of each type: a machine may be slow for a while.
const LONG: Duration = Duration::from_millis(700);

/// The rate of large products, in f32 and with a base of a type.
pub(crate) struct Probe {
    pub(crate) rates: Rates,
}

impl Probe {
    /// The best of some turns, on the processor.
    pub(crate) fn measure(dtype: &str) -> Result<Self, CliError> {
        let device: Device = crate::device::any()?;
        let [rows, d_in, d_out] = SIDES;
        let of = |dims: [usize; 2]| Tensor::<2>::random(dims, Distribution::Default, &device);
        let (x, weight) = (of([rows, d_in]), of([d_in, d_out]));
        let rate = |dtype: DType| {
            let weight = weight.clone().cast(dtype);
            let (begun, mut least) = (Instant::now(), f64::INFINITY);
            while begun.elapsed() < LONG {
                let started = Instant::now();
                let product = peft_kernels::matmul(x.clone(), weight.clone());
                std::hint::black_box(product.into_data());
                least = least.min(started.elapsed().as_secs_f64());
            }
            (rows * d_in * d_out) as f64 / least
        };
        let of_f32 = rate(DType::F32);
        let of_base = match dtype_of(dtype)? {
            DType::F32 => of_f32,
            dtype => rate(dtype),
        };
        Ok(Self {
            rates: Rates { of_base, of_f32 },
        })
    }

    /// Of a step.
    pub(crate) fn seconds(&self, plan: &Plan) -> f64 {
        plan.seconds(self.rates)
    }
}
