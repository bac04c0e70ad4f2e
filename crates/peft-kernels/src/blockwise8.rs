//! [`Blockwise8`]: numbers of unlike magnitude in eight bits. *8-bit Optimizers via Block-wise
//! Quantization*, Dettmers et al. 2022, [arXiv:2110.02861](https://arxiv.org/abs/2110.02861).
//!
//! Of each 256 numbers the largest magnitude `a` is kept, and of each number the code of that value
//! of a table which is nearest to `x / a`. The table's values are dense about the small ones: of
//! seven decades, from 1e-6 to 1, each has twice as many as the one below.

use std::sync::{Arc, LazyLock};

/// Numbers of a block, which share a scale.
const BLOCK: usize = 256;
/// Decades of a table.
const DECADES: i32 = 7;
/// Blocks that a thread takes at once.
#[cfg(feature = "flex")]
const AT_ONCE: usize = 64;

/// Numbers in eight bits each, and a scale of each 256.
#[derive(Debug, Clone, PartialEq)]
pub struct Blockwise8 {
    codes: Arc<Vec<u8>>,
    scales: Arc<Vec<f32>>,
}

/// Which signs numbers may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// Both.
    Both,
    /// None is negative.
    Positive,
}

impl Blockwise8 {
    /// How many scales so many numbers have.
    pub fn n_scales(numbers: usize) -> usize {
        numbers.div_ceil(BLOCK)
    }

    /// These numbers, each by the nearest code, the lower one of two.
    pub fn of(signs: Signs, numbers: &[f32]) -> Self {
        let mut codes = vec![0; numbers.len()];
        let mut scales = vec![0.0; Self::n_scales(numbers.len())];
        let table = signs.table();
        #[cfg(feature = "flex")]
        {
            use rayon::prelude::*;
            let numbers = numbers.par_chunks(BLOCK * AT_ONCE);
            let codes = codes.par_chunks_mut(BLOCK * AT_ONCE);
            let scales = scales.par_chunks_mut(AT_ONCE);
            let all = numbers.zip(codes).zip(scales);
            all.for_each(|((numbers, codes), scales)| table.encode(numbers, codes, scales));
        }
        #[cfg(not(feature = "flex"))]
        table.encode(numbers, &mut codes, &mut scales);
        Self {
            codes: Arc::new(codes),
            scales: Arc::new(scales),
        }
    }

    /// What was kept as codes and scales; none where there are not as many scales as the codes
    /// have.
    pub fn of_parts(codes: Vec<u8>, scales: Vec<f32>) -> Option<Self> {
        (scales.len() == Self::n_scales(codes.len())).then(|| Self {
            codes: Arc::new(codes),
            scales: Arc::new(scales),
        })
    }

    /// A code for each number.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// A scale for each block.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The numbers.
    pub fn numbers(&self, signs: Signs) -> Vec<f32> {
        let values = &signs.table().values;
        let blocks = self.codes.chunks(BLOCK).zip(self.scales.iter());
        let mut numbers = Vec::with_capacity(self.codes.len());
        for (codes, scale) in blocks {
            numbers.extend(codes.iter().map(|code| values[usize::from(*code)] * scale));
        }
        numbers
    }
}

impl Signs {
    /// What each code stands for, of a block whose scale is 1.
    pub fn values(self) -> &'static [f32; 256] {
        &self.table().values
    }

    fn table(self) -> &'static Table {
        static BOTH: LazyLock<Table> = LazyLock::new(|| Table::new(true));
        static POSITIVE: LazyLock<Table> = LazyLock::new(|| Table::new(false));
        match self {
            Self::Both => &BOTH,
            Self::Positive => &POSITIVE,
        }
    }
}

/// Values in order, and what finds the nearest.
struct Table {
    values: [f32; 256],
    /// The middle of each two neighbours.
    middles: [f32; 255],
    /// By the upper half of a number's bits, the code of the lowest number with these.
    begins: Vec<u8>,
}

impl Table {
    /// bitsandbytes' `create_dynamic_map`, to the bit.
    fn new(signed: bool) -> Self {
        let mut found = vec![0.0, 1.0];
        for decade in 0..DECADES {
            let n = 1usize << (decade + i32::from(!signed));
            let step = (1.0 - 0.1f32) / n as f32;
            // As torch's `linspace` has it: from both ends, rounded once.
            let bound = |i: usize| match i < n.div_ceil(2) {
                true => step.mul_add(i as f32, 0.1),
                false => (-step).mul_add((n - i) as f32, 1.0),
            };
            let size = 10f64.powi(decade + 1 - DECADES) as f32;
            for i in 0..n {
                let mean = size * ((bound(i) + bound(i + 1)) / 2.0);
                found.push(mean);
                if signed {
                    found.push(-mean);
                }
            }
        }
        found.sort_by(f32::total_cmp);
        let values: [f32; 256] = std::array::from_fn(|i| found.get(i).copied().unwrap_or(1.0));
        let middles = std::array::from_fn(|i| (values[i] + values[i + 1]) / 2.0);
        let lowest = |upper: u32| match upper >> 15 {
            0 => f32::from_bits(upper << 16),
            _ => f32::from_bits(upper << 16 | 0xffff),
        };
        let below = |x: f32| middles.partition_point(|middle| *middle < x) as u8;
        let begins = (0..1 << 16).map(|upper| below(lowest(upper))).collect();
        Self {
            values,
            middles,
            begins,
        }
    }

    /// The code of what is nearest to a number from -1 to 1.
    fn code(&self, x: f32) -> u8 {
        let mut code = self.begins[(x.to_bits() >> 16) as usize];
        while self
            .middles
            .get(usize::from(code))
            .is_some_and(|middle| *middle < x)
        {
            code += 1;
        }
        code
    }

    fn encode(&self, numbers: &[f32], codes: &mut [u8], scales: &mut [f32]) {
        let blocks = numbers.chunks(BLOCK).zip(codes.chunks_mut(BLOCK));
        for ((numbers, codes), scale) in blocks.zip(scales) {
            let largest = numbers.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let by = 1.0 / largest.max(1e-38);
            *scale = largest;
            for (code, x) in codes.iter_mut().zip(numbers) {
                *code = self.code((x * by).clamp(-1.0, 1.0));
            }
        }
    }
}
