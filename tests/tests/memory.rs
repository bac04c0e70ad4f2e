//! The factored path forms nothing of the weight's shape: the high-water mark of memory shows it.
//!
//! Each measurement is a process of its own, this very case started again, so that neither other cases nor memory that an
//! allocator kept count.
#![cfg(target_os = "linux")]

use std::process::Command;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Distribution, Tensor};
use peft_core::linear;
use peft_lora::LoraConfig;

/// The width of a square layer: its weight is 64 MiB in f32.
const WIDTH: usize = 4096;
const WEIGHT_KIB: usize = WIDTH * WIDTH * 4 / 1024;
const CASE: &str = "a_factored_step_forms_nothing_of_the_weights_shape";
const PROBE: &str = "PEFT_MEMORY_PROBE";

#[cfg(feature = "flex")]
mod flex {
    #[test]
    fn a_factored_step_forms_nothing_of_the_weights_shape() {
        super::case("flex");
    }
}

#[cfg(feature = "ndarray")]
mod ndarray {
    #[test]
    fn a_factored_step_forms_nothing_of_the_weights_shape() {
        super::case("ndarray");
    }
}

fn case(backend: &str) {
    if let Ok(path) = std::env::var(PROBE) {
        println!("\ngrowth_kib={}", step(backend, &path));
        return;
    }
    let factored = measured(backend, "factored");
    let by_weight = measured(backend, "weight");
    println!("{backend}: factored {factored} KiB, by the weight {by_weight} KiB");
    assert!(factored < WEIGHT_KIB / 2, "{factored} KiB");
    // The measure sees a dense weight where there is one.
    assert!(by_weight > WEIGHT_KIB, "{by_weight} KiB");
}

/// How far a step raises the high-water mark of memory, in a process of its own.
fn measured(backend: &str, path: &str) -> usize {
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", &format!("{backend}::{CASE}"), "--nocapture"])
        .env(PROBE, path)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let growth = text
        .lines()
        .find_map(|line| line.strip_prefix("growth_kib="))
        .unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    growth.parse().expect("a number")
}

/// One forward and backward through an adapted layer.
fn step(backend: &str, path: &str) -> usize {
    let device = peft_tests::device(backend).autodiff();
    let weight = Param::from_tensor(Tensor::full([WIDTH, WIDTH], 0.01, &device));
    let mut layer = Linear { weight, bias: None };
    LoraConfig::new(4, 8.0)
        .attach(&mut layer, "a")
        .expect("it attaches");
    let x = Tensor::<3>::random([2, 2, WIDTH], Distribution::Default, &device);
    let before = status_kib("VmRSS:");
    let spare = status_kib("VmHWM:").saturating_sub(before);
    let y = match path {
        "factored" => linear(&layer, x),
        _ => layer.forward(x),
    };
    let grads = y.powi_scalar(2).sum().backward();
    assert!(layer.weight.base().grad(&grads).is_none());
    // What the preparation needed for a moment is no room for the step to hide in.
    status_kib("VmHWM:").saturating_sub(before).max(spare)
}

/// A line of this process's status.
fn status_kib(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.trim().parse().ok())
        .expect("a number")
}
