//! The flags of `plan`.

use std::path::PathBuf;

use clap::Args;

use super::{Method, MethodArgs, ModelArgs, OptimizerArg, RowArgs};

#[derive(Args, Clone)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What would be trained; lora if not given
    #[arg(long, value_enum)]
    pub(crate) method: Option<Method>,
    /// Rows that would be trained on: their own lengths, and what an epoch of them takes
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["targets_part", "steps"])]
    pub(crate) train: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    /// Times through these rows
    #[arg(long, default_value_t = 3, requires = "train")]
    pub(crate) epochs: usize,
    /// Put rows behind each other up to --max-length
    #[arg(long, requires = "train")]
    pub(crate) pack: bool,
    /// Each row of a batch as long as its longest
    #[arg(long)]
    pub(crate) pad: bool,
    /// Rows in a batch
    #[arg(long, default_value_t = 8)]
    pub(crate) batch_size: usize,
    /// Batches in a step
    #[arg(long, default_value_t = 1)]
    pub(crate) grad_accum: usize,
    /// Devices that share the rows of each batch, as `train --device` has them: what one holds, and
    /// what they move
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) devices: usize,
    /// Tokens of each row; with --train, at most
    #[arg(long, default_value_t = 512)]
    pub(crate) max_length: usize,
    /// The part of a row's tokens that is asked for: that of the answers in chats
    #[arg(long, default_value_t = 1.0)]
    pub(crate) targets_part: f64,
    /// Run each block again for its gradients
    #[arg(long)]
    pub(crate) recompute: bool,
    /// How gradients would become updates
    #[arg(long, value_enum, default_value = "adamw")]
    pub(crate) optimizer: OptimizerArg,
    /// Steps of the run, for its time
    #[arg(long)]
    pub(crate) steps: Option<usize>,
    /// What fits into so much memory, as 8GB, and what would make it fit
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
    /// Do not measure this machine, so tell no times
    #[arg(long)]
    pub(crate) no_probe: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) of_method: MethodArgs,
}

/// Bytes, as `8GB` or `512MB`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size(pub(crate) f64);

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it is a number and MB or GB, as 8GB".to_owned();
        let at = text
            .find(|c: char| c.is_ascii_alphabetic())
            .ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let unit = match unit.to_ascii_uppercase().as_str() {
            "MB" | "M" => 1e6,
            "GB" | "G" => 1e9,
            "MIB" => f64::from(1 << 20),
            "GIB" => f64::from(1 << 30),
            _ => return Err(wrong()),
        };
        match number > 0.0 && number.is_finite() {
            true => Ok(Self(number * unit)),
            false => Err(wrong()),
        }
    }
}
