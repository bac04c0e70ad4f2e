//! Products beside sums in f64, on every instruction set that this processor has.

use burn::tensor::{bf16, f16};

use super::kernel::Kernel;
use super::line::{Element, LINE, Line};
use super::pack::Factor;
use super::portable;
use super::product::multiply;
use super::storage::{Lines, Plain};
use super::{Format, Matrix};

fn numbers(n: usize, seed: f32) -> Vec<f32> {
    (0..n).map(|i| (seed + i as f32 * 1.7).sin()).collect()
}

/// The kernels of f32.
fn kernels() -> Vec<&'static Kernel> {
    #[cfg(target_arch = "x86_64")]
    let wide = [super::avx512::kernel(), super::avx2::kernel()];
    #[cfg(not(target_arch = "x86_64"))]
    let wide: [Option<&Kernel>; 0] = [];
    wide.into_iter()
        .flatten()
        .chain([&portable::KERNEL])
        .collect()
}

/// `[rows, columns]` in order, or column by column.
fn stored(values: &[f32], [rows, columns]: [usize; 2], by_columns: bool) -> Vec<f32> {
    let turned = |i: usize| values[i % rows * columns + i / rows];
    match by_columns {
        true => (0..values.len()).map(turned).collect(),
        false => values.to_vec(),
    }
}

fn plain<T>(memory: &[T], [rows, columns]: [usize; 2], by_columns: bool) -> Plain<'_, T> {
    let (lines, length) = match by_columns {
        true => (columns, rows),
        false => (rows, columns),
    };
    Plain::new(memory, 0, length, lines, length)
}

/// The product of `a` `[m, k]` and `b` `[k, n]`, each stored by rows or by columns.
fn product<E: Element>(
    kernel: &Kernel,
    (a, a_by_columns): (&dyn Lines<E>, bool),
    (b, b_by_columns): (&dyn Lines<E>, bool),
    [m, k, n]: [usize; 3],
) -> Vec<f32> {
    let left = Factor {
        lines: a,
        along_inner: !a_by_columns,
        outer: m,
        inner: k,
    };
    let right = Factor {
        lines: b,
        along_inner: b_by_columns,
        outer: n,
        inner: k,
    };
    multiply(kernel, left, right)
}

/// Sizes around those of tiles, panels, lines and blocks; the last ones are shared by threads.
const SIZES: [[usize; 3]; 16] = [
    [1, 1, 1],
    [3, 5, 2],
    [1, 64, 32],
    [2, 96, 70],
    [4, 1601, 33],
    [1, 33, 64],
    [3, 32, 416],
    [6, 16, 16],
    [5, 48, 1300],
    [8, 32, 96],
    [15, 17, 31],
    [17, 33, 65],
    [29, 1537, 48],
    [0, 4, 3],
    [4, 0, 3],
    [230, 190, 210],
];

const WAYS: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

fn check(what: &str, found: &[f32], expected: &[f64], inner: usize) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (f64::from(*found) - expected).abs() < 1e-6 * (8 + inner) as f64;
        assert!(close, "{what} at {i}: {found}, expected {expected}");
    }
}

fn sums(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let term = |i: usize, l: usize| f64::from(a[i / n * k + l]) * f64::from(b[l * n + i % n]);
    (0..m * n)
        .map(|i| (0..k).map(|l| term(i, l)).sum())
        .collect()
}

#[test]
fn a_product_in_f32_is_its_sums() {
    for [m, k, n] in SIZES {
        let (a, b) = (numbers(m * k, 0.5), numbers(k * n, 1.5));
        let expected = sums(&a, &b, [m, k, n]);
        for kernel in kernels() {
            for [a_turned, b_turned] in WAYS {
                let (lhs, rhs) = (stored(&a, [m, k], a_turned), stored(&b, [k, n], b_turned));
                let lhs = plain(&lhs, [m, k], a_turned);
                let rhs = plain(&rhs, [k, n], b_turned);
                let found: Vec<f32> =
                    product::<f32>(kernel, (&lhs, a_turned), (&rhs, b_turned), [m, k, n]);
                let what = format!("{} {m} {k} {n} {a_turned} {b_turned}", kernel.name);
                check(&what, &found, &expected, k);
            }
        }
    }
}

#[test]
fn a_product_with_a_stored_weight_is_its_sums() {
    for [m, k, n] in SIZES {
        let (a, b) = (numbers(m * k, 0.5), numbers(k * n, 1.5));
        let brains = |x: &[f32]| -> Vec<bf16> { x.iter().map(|x| bf16::from_f32(*x)).collect() };
        let halves = |x: &[f32]| -> Vec<f16> { x.iter().map(|x| f16::from_f32(*x)).collect() };
        let wide = |x: &[bf16]| -> Vec<f32> { x.iter().map(|x| x.to_f32()).collect() };
        let rounded = if Kernel::of_bf16().is_some() {
            wide(&brains(&a))
        } else {
            a.clone()
        };
        let of_brains = sums(&rounded, &wide(&brains(&b)), [m, k, n]);
        let b_halves: Vec<f32> = halves(&b).iter().map(|x| x.to_f32()).collect();
        let of_halves = sums(&a, &b_halves, [m, k, n]);
        for [a_turned, b_turned] in WAYS {
            let (lhs, rhs) = (stored(&a, [m, k], a_turned), stored(&b, [k, n], b_turned));
            let what = format!("{m} {k} {n} {a_turned} {b_turned}");
            let (brain, half) = (brains(&rhs), halves(&rhs));
            fn matrix<T>(memory: &[T], [rows, columns]: [usize; 2], turned: bool) -> Matrix<'_, T> {
                let whole = |rows, columns| Matrix {
                    memory,
                    start: 0,
                    rows,
                    columns,
                    row: columns as isize,
                    column: 1,
                };
                match turned {
                    true => whole(columns, rows).transposed(),
                    false => whole(rows, columns),
                }
            }
            // As where the processor does not multiply bf16.
            let unpacked = sums(&a, &wide(&brains(&b)), [m, k, n]);
            for kernel in kernels() {
                let left = plain(&lhs, [m, k], a_turned);
                let right = plain(&brain, [k, n], b_turned);
                let (left, right) = ((&left as _, a_turned), (&right as _, b_turned));
                let found = product::<f32>(kernel, left, right, [m, k, n]);
                check(
                    &format!("bf16 {what} {}", kernel.name),
                    &found,
                    &unpacked,
                    k,
                );
            }
            let lhs = matrix(&lhs, [m, k], a_turned);
            let found = bf16::product(lhs, matrix(&brain, [k, n], b_turned)).expect("lines");
            check(&format!("bf16 {what}"), &found, &of_brains, k);
            let found = f16::product(lhs, matrix(&half, [k, n], b_turned)).expect("lines");
            check(&format!("f16 {what}"), &found, &of_halves, k);
        }
    }
}

/// Where a matrix has gaps between all of its elements, nothing is read.
#[test]
fn a_matrix_without_lines_is_none() {
    let (memory, weight) = ([0.0; 24], [bf16::ZERO; 24]);
    let rows = Matrix {
        memory: &memory[..],
        start: 0,
        rows: 2,
        columns: 3,
        row: 6,
        column: 2,
    };
    let gaps = Matrix {
        memory: &weight[..],
        start: 0,
        rows: 3,
        columns: 4,
        row: 8,
        column: 2,
    };
    let whole = Matrix {
        row: 4,
        column: 1,
        ..gaps
    };
    assert!(bf16::product(Matrix { column: 1, ..rows }, whole).is_some());
    assert!(bf16::product(rows, whole).is_none());
    assert!(bf16::product(Matrix { column: 1, ..rows }, gaps).is_none());
}

/// The bits of one row alone, and of few rows, are those among all; at any number of threads.
#[test]
fn bits_depend_on_neither_rows_nor_threads() {
    fn of<E: Element, T>(kernel: &Kernel, b: &[T], [m, k, n]: [usize; 3])
    where
        for<'a> Plain<'a, f32>: Lines<E>,
        for<'a> Plain<'a, T>: Lines<E>,
    {
        let a = numbers(m * k, 0.5);
        for turned in [false, true] {
            let rhs = plain(b, [k, n], turned);
            let rows = |first: usize, rows: usize| {
                let lhs = plain(&a[first * k..(first + rows) * k], [rows, k], false);
                product::<E>(kernel, (&lhs, false), (&rhs, turned), [rows, k, n])
            };
            let all = rows(0, m);
            for first in (0..m).step_by(31) {
                for few in 1..=9.min(m - first) {
                    let same = rows(first, few) == all[first * n..(first + few) * n];
                    assert!(same, "{} {turned}: {few} rows from {first} on", kernel.name);
                }
            }
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let found = pool.expect("threads").install(|| rows(0, m));
                assert!(found == all, "{} {turned}: {threads} threads", kernel.name);
                let found = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let found = found.expect("threads").install(|| rows(5, 2));
                assert!(
                    found == all[5 * n..7 * n],
                    "{} {turned}: {threads}",
                    kernel.name
                );
            }
        }
    }
    let size = [40, 896, 200];
    let b = numbers(size[1] * size[2], 1.5);
    let brains: Vec<bf16> = b.iter().map(|x| bf16::from_f32(*x)).collect();
    let halves: Vec<f16> = b.iter().map(|x| f16::from_f32(*x)).collect();
    for kernel in kernels() {
        of::<f32, f32>(kernel, &b, size);
        of::<f32, bf16>(kernel, &brains, size);
        of::<f32, f16>(kernel, &halves, size);
    }
    if let Some(kernel) = Kernel::of_bf16() {
        of::<bf16, bf16>(kernel, &brains, size);
    }
}

/// What is packed has no more than one right order.
#[test]
fn packing_is_that_of_the_portable_kernel() {
    let lines: [Line; LINE] =
        std::array::from_fn(|i| Line(std::array::from_fn(|j| (100 * i + j) as u32)));
    for kernel in kernels().into_iter().chain(Kernel::of_bf16()) {
        let mut found = vec![Line::ZERO; 2 * LINE];
        kernel.transpose(&lines, &mut found, 2);
        for (j, found) in found.iter().enumerate() {
            let expected = std::array::from_fn(|i| (100 * i + j / 2) as u32);
            assert_eq!(
                found.0,
                if j % 2 == 0 { expected } else { [0; LINE] },
                "{}",
                kernel.name
            );
        }
    }
}
