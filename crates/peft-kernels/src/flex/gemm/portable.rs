//! f32 on any processor: tiles of up to 4 rows by 16 columns. What the others are tested beside.
#![allow(unsafe_code)] // Micro-kernels take pointers.

use super::kernel::{Kernel, Tile};
use super::line::{LINE, Line};

pub(super) static KERNEL: Kernel = Kernel {
    #[cfg(test)]
    name: "portable",
    rows: 4,
    columns: LINE,
    of_unit: 1,
    tile,
    transpose,
    across,
    thin: |_| None,
};

/// # Safety
///
/// As [`Tile`] says: `a` holds a line of each row for each 16 units, `b` a line for each, and `out`
/// the rows, a stride apart, of the columns, which nothing else holds; they are initialised where
/// sums go on.
unsafe fn tile(t: Tile) {
    let mut sums = [[0.0; LINE]; 4];
    let sums = &mut sums[..t.rows];
    // SAFETY: the caller's. Places are of the units, rows and columns that there are.
    unsafe {
        load(t, sums);
        for unit in 0..t.units {
            let b = (*t.b.add(unit)).0.map(f32::from_bits);
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = *t.a.add(unit / LINE * t.rows + r);
                let x = f32::from_bits(a.0[unit % LINE]);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum += x * b;
                }
            }
        }
        store(t, sums);
    }
}

/// What sums go on from.
///
/// # Safety
///
/// As of a tile.
pub(super) unsafe fn load(t: Tile, sums: &mut [[f32; LINE]]) {
    if !t.go_on {
        return;
    }
    for (r, sums) in sums.iter_mut().enumerate() {
        for (c, sum) in sums.iter_mut().enumerate().take(t.columns) {
            // SAFETY: the caller's.
            *sum = unsafe { *t.out.add(r * t.stride + c) };
        }
    }
}

/// Sums to their places.
///
/// # Safety
///
/// As of a tile.
pub(super) unsafe fn store(t: Tile, sums: &[[f32; LINE]]) {
    for (r, sums) in sums.iter().enumerate() {
        for (c, sum) in sums.iter().enumerate().take(t.columns) {
            // SAFETY: the caller's.
            unsafe { *t.out.add(r * t.stride + c) = *sum };
        }
    }
}

/// # Safety
///
/// 16 units are readable at each of 16 places `pitch` bytes apart, and 16 lines `step` apart are
/// writable.
pub(super) unsafe fn transpose(from: *const u8, pitch: usize, to: *mut Line, step: usize) {
    for i in 0..LINE {
        // SAFETY: the caller's; elements need not be aligned to a unit.
        let units = unsafe { from.add(i * pitch).cast::<[u32; LINE]>().read_unaligned() };
        for (j, unit) in units.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                (&raw mut (*to.add(j * step)).0)
                    .cast::<u32>()
                    .add(i)
                    .write(unit)
            };
        }
    }
}

/// # Safety
///
/// 16 units are readable at the first place, and a line is writable.
pub(super) unsafe fn across(from: [*const u8; 2], to: *mut Line) {
    // SAFETY: the caller's; elements need not be aligned to a line.
    unsafe { to.write(Line(from[0].cast::<[u32; LINE]>().read_unaligned())) };
}
