//! [`Dropout`].

use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};

/// Dropout of attention's weights: whether a weight is kept is a function of the seed and of the
/// weight's place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The probability of a weight to be left out.
    pub rate: f64,
    /// What the draws are made of.
    pub seed: u64,
}

impl Dropout {
    /// A seed that the device's generator draws; none where the device takes no gradients, or
    /// nothing is dropped.
    pub fn drawn(rate: f64, device: &Device) -> Option<Self> {
        if rate == 0.0 || !device.is_autodiff() {
            return None;
        }
        const PART: f64 = (1u64 << 24) as f64; // all the digits of a number
        let drawn = Tensor::<1>::random([2], Distribution::Default, (device, DType::F32));
        let parts = drawn.into_data();
        let seed = parts.iter::<f32>().fold(0, |seed, part| {
            (seed << 24) | (f64::from(part) * PART) as u64
        });
        Some(Self { rate, seed })
    }

    /// The factors of all weights, one row of keys after the other.
    pub(super) fn mask(self, dims: [usize; 4], device: &Device) -> Tensor<4> {
        let mut factors = vec![0.0; dims.iter().product()];
        for (row, factors) in factors.chunks_mut(dims[3].max(1)).enumerate() {
            self.factors(self.row(row), 0, factors);
        }
        Tensor::from_data(TensorData::new(factors, dims), (device, DType::F32))
    }

    /// What the draws of a row of weights are made of; `row` counts the rows of all heads.
    pub(crate) fn row(self, row: usize) -> u64 {
        let mut x = self.seed ^ (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// What the weights of some keys of a row are multiplied with: 0 or `1 / (1 − rate)`.
    #[inline(always)]
    pub(crate) fn factors(self, row: u64, first: usize, out: &mut [f32]) {
        let (low, high) = (row as u32, (row >> 32) as u32);
        let threshold = (self.rate * f64::from(1u32 << 24)) as u32;
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        for (i, out) in out.iter_mut().enumerate() {
            let mut x = (first as u32)
                .wrapping_add(i as u32)
                .wrapping_mul(0x9e37_79b1)
                ^ low;
            x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d) ^ high;
            x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
            x ^= x >> 16;
            *out = if (x >> 8) < threshold { 0.0 } else { kept };
        }
    }
}
