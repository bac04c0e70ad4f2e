//! Storage formats: how the elements of a matrix lie in memory, and how a run of them is unpacked.
//!
//! A format is a type with an implementation of [`Lines`] for what a micro-kernel multiplies: f32,
//! and bf16 where that is exact or meant.

use burn::tensor::{bf16, f16};

use crate::flex::rows::vectorised;

/// A matrix as lines of elements that follow each other: its rows, or its columns.
pub(super) trait Lines<E>: Sync {
    /// Unpack elements of a line from `start` on, as many as `out` takes.
    fn read(&self, line: usize, start: usize, out: &mut [E]);

    /// Where they lie, if they are stored as they are multiplied.
    fn plain(&self) -> Option<Plain<'_, E>> {
        None
    }

    /// Where they lie, if a product of few rows can read them from there.
    fn stored(&self) -> Option<Stored<'_>> {
        None
    }
}

/// What a product of few rows reads from where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stored<'a> {
    F32(Plain<'a, f32>),
    Bf16(Plain<'a, bf16>),
    F16(Plain<'a, f16>),
}

impl Stored<'_> {
    /// Where an element lies. All up to the one before `end` are read from there.
    ///
    /// # Panics
    ///
    /// If `end` is outside of the memory.
    pub(super) fn address(&self, first: [usize; 2], end: [usize; 2]) -> *const u8 {
        match self {
            Self::F32(plain) => plain.address(first, end),
            Self::Bf16(plain) => plain.address(first, end),
            Self::F16(plain) => plain.address(first, end),
        }
    }

    /// Bytes from a line to the next.
    pub(super) fn pitch(&self) -> usize {
        match self {
            Self::F32(plain) => 4 * plain.stride,
            Self::Bf16(plain) => 2 * plain.stride,
            Self::F16(plain) => 2 * plain.stride,
        }
    }

    /// Bytes of an element.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::F32(_) => 4,
            Self::Bf16(_) | Self::F16(_) => 2,
        }
    }
}

/// Elements of one type, each line `stride` after the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain<'a, T> {
    memory: &'a [T],
    start: usize,
    stride: usize,
}

impl<'a, T> Plain<'a, T> {
    /// # Panics
    ///
    /// If a line ends outside of the memory.
    pub(super) fn new(
        memory: &'a [T],
        start: usize,
        stride: usize,
        lines: usize,
        length: usize,
    ) -> Self {
        let end = (lines.max(1) - 1)
            .checked_mul(stride)
            .and_then(|last| last.checked_add(start)?.checked_add(length));
        assert!(
            lines == 0 || length == 0 || end.is_some_and(|end| end <= memory.len()),
            "a matrix leaves its memory"
        );
        Self {
            memory,
            start,
            stride,
        }
    }

    /// All of the memory.
    pub(super) fn memory(&self) -> &'a [T] {
        self.memory
    }

    /// Where an element lies in it.
    pub(super) fn place(&self, line: usize, element: usize) -> usize {
        self.start + line * self.stride + element
    }

    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    fn address(&self, first: [usize; 2], end: [usize; 2]) -> *const u8 {
        let place = |[line, element]: [usize; 2]| self.place(line, element);
        assert!(
            place(first) <= place(end) && place(end) <= self.memory.len(),
            "a matrix leaves its memory"
        );
        self.memory[place(first)..].as_ptr().cast()
    }

    fn run(&self, line: usize, start: usize, n: usize) -> &'a [T] {
        let from = self.place(line, start);
        &self.memory[from..from + n]
    }
}

impl Lines<f32> for Plain<'_, f32> {
    fn read(&self, line: usize, start: usize, out: &mut [f32]) {
        out.copy_from_slice(self.run(line, start, out.len()));
    }

    fn stored(&self) -> Option<Stored<'_>> {
        Some(Stored::F32(*self))
    }

    fn plain(&self) -> Option<Plain<'_, f32>> {
        Some(*self)
    }
}

impl Lines<bf16> for Plain<'_, bf16> {
    fn read(&self, line: usize, start: usize, out: &mut [bf16]) {
        out.copy_from_slice(self.run(line, start, out.len()));
    }

    fn stored(&self) -> Option<Stored<'_>> {
        Some(Stored::Bf16(*self))
    }

    fn plain(&self) -> Option<Plain<'_, bf16>> {
        Some(*self)
    }
}

/// Rounded to the nearest: the activations of a product in bf16.
impl Lines<bf16> for Plain<'_, f32> {
    fn read(&self, line: usize, start: usize, out: &mut [bf16]) {
        let from = self.run(line, start, out.len());
        vectorised(|| {
            for (out, x) in out.iter_mut().zip(from) {
                *out = rounded(*x);
            }
        });
    }
}

impl Lines<f32> for Plain<'_, bf16> {
    fn read(&self, line: usize, start: usize, out: &mut [f32]) {
        let from = self.run(line, start, out.len());
        vectorised(|| {
            for (out, x) in out.iter_mut().zip(from) {
                *out = f32::from_bits(u32::from(x.to_bits()) << 16);
            }
        });
    }

    fn stored(&self) -> Option<Stored<'_>> {
        Some(Stored::Bf16(*self))
    }
}

impl Lines<f32> for Plain<'_, f16> {
    fn read(&self, line: usize, start: usize, out: &mut [f32]) {
        let from = self.run(line, start, out.len());
        vectorised(|| {
            for (out, x) in out.iter_mut().zip(from) {
                *out = widened(*x);
            }
        });
    }

    fn stored(&self) -> Option<Stored<'_>> {
        Some(Stored::F16(*self))
    }
}

/// `bf16::from_f32` without branches, so that a loop of it is vectorised: to the nearest, ties to
/// the even one, and NaN to a quiet NaN.
#[inline(always)]
pub(super) fn rounded(x: f32) -> bf16 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    bf16::from_bits(if x.is_nan() { quiet } else { nearest } as u16)
}

/// `f16::to_f32` without branches.
#[inline(always)]
fn widened(x: f16) -> f32 {
    // Half of f32's exponent less f16's: bits moved to f32's places are of a number 2^112 too
    // small.
    const REBIAS: f32 = f32::from_bits((112 + 127) << 23);
    const INFINITE: u32 = 0x7c00 << 13;
    let bits = u32::from(x.to_bits());
    let sign = (bits & 0x8000) << 16;
    let rest = (bits & 0x7fff) << 13;
    let scaled = (f32::from_bits(rest) * REBIAS).to_bits();
    let special = rest | 0x7f80_0000;
    f32::from_bits(sign | if rest >= INFINITE { special } else { scaled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_and_bf16_widens_to_its_value() {
        for bits in 0..=u16::MAX {
            let (half, brain) = (f16::from_bits(bits), bf16::from_bits(bits));
            let mut out = [0.0f32; 2];
            Plain::new(&[half], 0, 1, 1, 1).read(0, 0, &mut out[..1]);
            Plain::new(&[brain], 0, 1, 1, 1).read(0, 0, &mut out[1..]);
            let same = |found: f32, expected: f32| {
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
            };
            assert!(same(out[0], half.to_f32()), "{bits:#x}: {}", out[0]);
            assert!(same(out[1], brain.to_f32()), "{bits:#x}: {}", out[1]);
        }
    }

    #[test]
    fn rounding_is_to_the_nearest() {
        let numbers = (0..1u32 << 20).map(|i| f32::from_bits(i.wrapping_mul(0x1000_1fff)));
        let ties = [
            0x3f80_8000,
            0x3f81_8000,
            0x7f7f_ffff,
            0x7f80_0000,
            0x7f80_0001,
        ];
        for x in numbers.chain(ties.map(f32::from_bits)) {
            let (found, expected) = (rounded(x), bf16::from_f32(x));
            let both_nan = found.is_nan() && expected.is_nan();
            assert!(both_nan || found.to_bits() == expected.to_bits(), "{x:e}");
        }
    }

    #[test]
    #[should_panic(expected = "leaves its memory")]
    fn lines_that_leave_their_memory_are_refused() {
        Plain::new(&[0.0f32; 6], 1, 3, 2, 3);
    }
}
