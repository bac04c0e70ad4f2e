//! [`Machine`]: the processor, its memory and how fast it multiplies.

use std::fmt::Write;

use peft_store::memory_available;
use serde::Serialize;

use crate::commands::plan::{Probe, bytes};
use crate::device::BACKENDS;
use crate::error::CliError;

/// What this build and this machine have.
#[derive(Serialize)]
pub(super) struct Machine {
    version: &'static str,
    /// Whether it was compiled for speed.
    release: bool,
    system: String,
    backends: &'static [&'static str],
    processor: Option<String>,
    cores: usize,
    instructions: Vec<&'static str>,
    memory_available: Option<u64>,
    /// Multiply-adds a second of large products in f32, and with a base in bf16.
    multiply_adds_a_second: [f64; 2],
}

impl Machine {
    pub(super) fn look() -> Result<Self, CliError> {
        let rates = Probe::measure("bf16")?.rates;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            release: !cfg!(debug_assertions),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            backends: BACKENDS,
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            instructions: instructions(),
            memory_available: memory_available(),
            multiply_adds_a_second: [rates.of_f32, rates.of_base],
        })
    }

    /// The backend that the others are compared with: the processor's where the build has one.
    pub(super) fn reference(&self) -> &'static str {
        self.backends.first().copied().unwrap_or("none")
    }

    pub(super) fn text(&self) -> String {
        let built = match self.release {
            true => "",
            false => ", a debug build: slow",
        };
        let mut text = format!(
            "peft        {}, with {}{built}\nsystem      {}\nprocessor   {}, {} cores",
            self.version,
            self.backends.join(", "),
            self.system,
            self.processor.as_deref().unwrap_or("unknown"),
            self.cores,
        );
        if !self.instructions.is_empty() {
            let _ = write!(text, ", {}", self.instructions.join(" "));
        }
        if let Some(available) = self.memory_available {
            let _ = write!(text, "\nmemory      {} available", bytes(available as f64));
        }
        let [wide, narrow] = self.multiply_adds_a_second.map(|rate| rate / 1e9);
        let _ = write!(
            text,
            "\nproducts    {wide:.0} G multiply-adds a second in f32, {narrow:.0} G with a base in bf16"
        );
        text
    }
}

/// The name that the system gives it.
fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Those of its instruction sets that products are made for.
fn instructions() -> Vec<&'static str> {
    #[allow(unused_mut)]
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! detect {
            ($($name:tt)*) => { $(
                if std::is_x86_feature_detected!($name) {
                    found.push($name);
                }
            )* };
        }
        detect!("avx2" "fma" "avx512f" "avx512bw" "avx512vnni" "avx512bf16");
    }
    #[cfg(target_arch = "aarch64")]
    found.push("neon");
    found
}
