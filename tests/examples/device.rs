//! Whether the device of a backend is there: `device NAME` prints how it calls itself and what
//! floats it computes in, or, and fails, why it is not there.
//!
//! It has computed something when it says so. `cargo xtask test` asks before it runs the suite on a
//! backend.

use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};

use burn::tensor::{DType, Device, Tensor};

/// The second word of the command line of the process that uses the device: a driver may end it.
const CHILD: &str = "in-this-process";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = match words[..] {
        [backend] => ask(backend),
        [backend, CHILD] => probe(backend),
        _ => Err("usage: device BACKEND".into()),
    };
    let (Ok(said) | Err(said)) = &found;
    println!("{said}");
    match found {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What a process of its own says of the device, or how that ended.
fn ask(backend: &str) -> Result<String, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.args([backend, CHILD]).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match (output.status.success(), said.is_empty()) {
        (true, false) => Ok(said),
        (false, false) => Err(said),
        (_, true) => Err(format!("its driver ended the process, {}", output.status)),
    }
}

/// The device's name and floats, or why it cannot be used. Burn panics where there is no driver or
/// no device, maybe on a thread of the backend with a panic in this one to follow: what is told is
/// the first.
fn probe(backend: &str) -> Result<String, String> {
    static REASON: Mutex<Option<String>> = Mutex::new(None);
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("a panic without words");
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut reason = REASON.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert(line);
    }));
    let found = std::panic::catch_unwind(|| {
        let device = peft_tests::device(backend);
        let values = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &device);
        let squares: f32 = values.clone().matmul(values).sum().into_scalar();
        (squares, format!("{}\n{}", name(&device), floats(&device)))
    });
    match found {
        Ok((54.0, said)) => Ok(said),
        Ok((other, _)) => Err(format!("it computes {other} where it is 54")),
        Err(_) => {
            let mut reason = REASON.lock().unwrap_or_else(PoisonError::into_inner);
            Err(reason.take().unwrap_or_else(|| "it panicked".into()))
        }
    }
}

fn floats(device: &Device) -> String {
    let known = [
        (DType::F64, "f64"),
        (DType::F32, "f32"),
        (DType::BF16, "bf16"),
        (DType::F16, "f16"),
    ];
    let has = known
        .iter()
        .filter(|(dtype, _)| peft_tests::computes_in(device, *dtype));
    has.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(any(feature = "vulkan", feature = "wgpu", feature = "cuda"))]
fn name(device: &Device) -> String {
    let identity = device.identity();
    identity.map_or_else(|| format!("{device:?}"), |identity| identity.name)
}

#[cfg(not(any(feature = "vulkan", feature = "wgpu", feature = "cuda")))]
fn name(device: &Device) -> String {
    format!("{device:?}")
}
