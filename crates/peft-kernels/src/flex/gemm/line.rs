//! [`Line`] and what it is made of.
#![allow(unsafe_code)] // Lines are read and written as their elements.

use burn::tensor::bf16;

use super::storage::{Plain, Stored};

/// Units of a [`Line`].
pub(super) const LINE: usize = 16;

/// Sixteen units of packed elements, a line of the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u32; LINE]);

impl Line {
    pub(super) const ZERO: Self = Self([0; LINE]);
}

/// What is packed: a unit of 32 bits is one f32, or two bf16 that follow each other along the inner
/// axis, the first one in the low bits.
pub(super) trait Element: Copy + Default + Send + Sync {
    /// Elements of a unit.
    const OF_UNIT: usize;

    /// The elements of lines, in the order in which they lie.
    fn of(lines: &mut [Line]) -> &mut [Self];

    /// Units of elements that follow each other along the inner axis; the second ones are left out
    /// where a unit is one element.
    fn units(first: &[Self], second: &[Self], out: &mut [u32]);

    /// What lies as it is multiplied, as products of few rows read it.
    fn stored(plain: Plain<'_, Self>) -> Stored<'_>;
}

impl Element for f32 {
    const OF_UNIT: usize = 1;

    fn of(lines: &mut [Line]) -> &mut [f32] {
        // SAFETY: a line is 16 u32 without padding, aligned to more than an f32, and all bits are
        // an f32; the slice borrows the lines.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LINE) }
    }

    #[inline(always)]
    fn units(first: &[Self], _: &[Self], out: &mut [u32]) {
        for (out, x) in out.iter_mut().zip(first) {
            *out = x.to_bits();
        }
    }

    fn stored(plain: Plain<'_, Self>) -> Stored<'_> {
        Stored::F32(plain)
    }
}

impl Element for bf16 {
    const OF_UNIT: usize = 2;

    fn of(lines: &mut [Line]) -> &mut [bf16] {
        // SAFETY: a line is 32 u16 without padding, aligned to more than one, and a bf16 is a u16
        // (`repr(transparent)`) of any bits; the slice borrows the lines.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * 2 * LINE) }
    }

    #[inline(always)]
    fn units(first: &[Self], second: &[Self], out: &mut [u32]) {
        for ((out, x), y) in out.iter_mut().zip(first).zip(second) {
            *out = u32::from(x.to_bits()) | u32::from(y.to_bits()) << 16;
        }
    }

    fn stored(plain: Plain<'_, Self>) -> Stored<'_> {
        Stored::Bf16(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_their_elements() {
        let mut lines = [Line::ZERO; 2];
        for (i, x) in <f32 as Element>::of(&mut lines).iter_mut().enumerate() {
            *x = i as f32;
        }
        assert_eq!(lines[1].0[3], 19f32.to_bits());
        let (first, second) = ([bf16::ONE], [bf16::NEG_ONE]);
        <bf16 as Element>::units(&first, &second, &mut lines[1].0[..1]);
        // On a machine whose low bits come first; no micro-kernel of pairs is for another.
        #[cfg(target_endian = "little")]
        assert_eq!(
            <bf16 as Element>::of(&mut lines)[32..34],
            [bf16::ONE, bf16::NEG_ONE]
        );
    }
}
