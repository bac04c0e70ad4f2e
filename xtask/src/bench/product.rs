//! `cargo xtask bench product`: products of matrices as layers have them, in f32 and with a weight
//! in bf16, beside what the processor's instructions do in registers alone.

use std::io;

use super::{WITH_KERNELS, example, machine};
use crate::shell::status;

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns of every product
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

/// Print the table.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    println!("{}. Medians of {} turns.\n", machine(), args.rounds);
    let rounds = args.rounds.to_string();
    status(example("run", "bench_product", WITH_KERNELS, Some(&rounds)))
}
