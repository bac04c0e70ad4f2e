//! `peft doctor`: what this build and this machine have, and whether each device computes a LoRA
//! step right.

mod machine;
mod step;

use std::any::Any;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{DType, Device};
use serde_json::json;

use self::machine::Machine;
use self::step::{Difference, Step};
use super::print_line;
use crate::args::DoctorArgs;
use crate::device::{device, known};
use crate::error::CliError;

/// How far a device's loss and gradients may be from the first backend's, which is the processor's
/// where the build has one, relative to the largest: the tolerance of gradients in f32 against
/// another implementation (`docs/conformance.md`).
const ACROSS: f64 = 1e-4;
/// The same with the base in bf16, whose every step rounds to 2⁻⁸.
const ACROSS_BF16: f64 = 4e-2;
/// How far the slope of the loss may be from what the gradients say, relative: by a difference of
/// losses in f32.
const SLOPE: f64 = 1e-2;

/// What was found of a device.
struct Finding {
    name: String,
    /// What is wrong, or that nothing is.
    outcome: Result<String, String>,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<(), CliError> {
    let names = match args.devices.as_slice() {
        [] => known(),
        given => given.to_vec(),
    };
    let devices = names
        .iter()
        .map(|name| Ok((name.clone(), device(name)?)))
        .collect::<Result<Vec<_>, CliError>>()?;
    let machine = Machine::look()?;
    let reference = guarded(|| Step::run(&crate::device::any()?, DType::F32));
    let findings: Vec<Finding> = devices
        .into_iter()
        .map(|(name, device)| Finding {
            outcome: reference
                .as_ref()
                .map_err(|error| format!("the step to compare with failed: {error}"))
                .and_then(|reference| judged(&device, reference)),
            name,
        })
        .collect();
    let wrong: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.outcome.is_err())
        .map(|finding| finding.name.as_str())
        .collect();
    if args.json {
        let devices = findings.iter().map(|finding| {
            let (Ok(said) | Err(said)) = &finding.outcome;
            json!({ "name": finding.name, "right": finding.outcome.is_ok(), "found": said })
        });
        print_line(json!({ "machine": machine, "devices": devices.collect::<Vec<_>>() }))?;
    } else {
        let mut text = machine.text();
        let _ = write!(
            text,
            "\ndevices     a LoRA step beside that on {}",
            machine.reference()
        );
        for finding in &findings {
            let (mark, said) = match &finding.outcome {
                Ok(said) => ("✓", said),
                Err(said) => ("✗", said),
            };
            let _ = write!(text, "\n  {mark} {:<8} {said}", finding.name);
        }
        print_line(text)?;
    }
    match wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(CliError::Unfit {
            devices: wrong.join(", "),
        }),
    }
}

/// Whether a device's step is the processor's, and its gradients the slope of its loss.
fn judged(device: &Device, reference: &Step) -> Result<String, String> {
    let step = guarded(|| Step::run(device, DType::F32))?;
    let mut said = held("f32", &step.beside(reference), ACROSS)?;
    let slope = guarded(|| step.slope(device))?;
    // No number is not small either.
    if slope > SLOPE || slope.is_nan() {
        return Err(format!(
            "the loss does not fall as its gradients say: apart by {slope:.1e}, at most {SLOPE:.0e}; do not train on it"
        ));
    }
    let _ = write!(said, ", slope {slope:.0e}");
    if device.supports_dtype(DType::BF16) {
        let step = guarded(|| Step::run(device, DType::BF16))?;
        let of = held("base in bf16", &step.beside(reference), ACROSS_BF16)?;
        let _ = write!(said, "; {of}");
    }
    Ok(said)
}

/// What differs, where it may.
fn held(what: &str, found: &Difference, most: f64) -> Result<String, String> {
    let (loss, gradient) = (found.loss, found.gradient);
    // Not a number is not at most anything.
    match loss <= most && gradient <= most {
        true => Ok(format!("{what}: loss {loss:.0e}, gradients {gradient:.0e}")),
        false => Err(format!(
            "{what}: the loss is apart by {loss:.1e} and gradients by {gradient:.1e}, the most at {}; at most {most:.0e} is right: do not train on it",
            found.at
        )),
    }
}

/// What panics, as drivers that are missing or broken do, is told and not passed on.
fn guarded<T>(run: impl FnOnce() -> Result<T, CliError>) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let found = catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(hook);
    match found {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(error.chain().to_string()),
        Err(panic) => Err(format!("it cannot be used: {}", message(panic.as_ref()))),
    }
}

/// The first line of a panic's message.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next())
        .unwrap_or("it panicked")
}
