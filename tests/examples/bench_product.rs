//! Products as layers have them: `bench_product ROUNDS` prints a table of billions of
//! multiplications and additions a second, and their share of the peak that was measured in the
//! same turns.

use std::time::Instant;

use peft_kernels::measure::{Factors, Way, peak};

const WAYS: [Way; 3] = [Way::Library, Way::F32, Way::Bf16];

/// Rows, inner axis, columns: layers of 576 and 1536 features, a tied output layer, LoRA's two, and
/// generation's.
const SHAPES: [[usize; 3]; 13] = [
    [1000, 576, 1536],
    [1000, 1536, 576],
    [1024, 576, 576],
    [1024, 576, 192],
    [1024, 576, 1536],
    [1024, 1536, 576],
    [256, 576, 49_152],
    [1024, 576, 8],
    [1024, 8, 576],
    [1, 576, 1536],
    [1, 1536, 576],
    [1, 576, 49_152],
    [4, 576, 1536],
];

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(15);
    println!("| rows × inner × columns | weight | gemm, f32 | ours, f32 | ours, bf16 | ms |");
    println!("|---|---|---|---|---|---|");
    let mut peaks = WAYS.map(|_| Vec::new());
    for dims in SHAPES {
        let factors = Factors::new(dims);
        for by_columns in [false, true] {
            let mut seconds = WAYS.map(|_| Vec::new());
            for _ in 0..rounds {
                for ((way, seconds), peaks) in WAYS.iter().zip(&mut seconds).zip(&mut peaks) {
                    peaks.extend(peak(*way));
                    let started = Instant::now();
                    let out = factors.multiply(*way, by_columns);
                    seconds.push(started.elapsed().as_secs_f64());
                    assert_eq!(out.len(), dims[0] * dims[2]);
                }
            }
            let seconds = seconds.map(median);
            let cells = [0, 1, 2].map(|way| {
                let rate = factors.operations() / seconds[way];
                let share = rate / median(peaks[way].clone());
                format!("{:.0} ({:.0} %)", rate / 1e9, 100.0 * share)
            });
            let [m, k, n] = dims;
            let order = if by_columns { "by columns" } else { "by rows" };
            let times = seconds.map(|s| format!("{:.2}", 1e3 * s)).join(", ");
            println!(
                "| {m} × {k} × {n} | {order} | {} | {times} |",
                cells.join(" | ")
            );
        }
    }
    let [_, of_f32, of_bf16] = peaks.map(|peaks| median(peaks) / 1e9);
    println!("\nPeak in registers: {of_f32:.0} in f32, {of_bf16:.0} in bf16.");
}

/// The middle value; NaN of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
