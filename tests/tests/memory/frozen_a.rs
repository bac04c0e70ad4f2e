//! What LoRA keeps of a chain of layers.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use peft_core::linear;
use peft_lora::LoraConfig;
use peft_tests::measured::grown_kib;

use super::{PROBE, measured};

/// LoRA keeps what each layer reads, for the gradient of `A`; without that, nothing is kept of it.
pub(super) fn a_frozen_a_keeps_no_input(device: &Device) {
    let case = "a_frozen_a_keeps_no_input";
    if let Ok(what) = std::env::var(PROBE) {
        println!("\ngrowth_kib={}", chained_step(device, what == "frozen"));
        return;
    }
    let [trains, frozen] = ["trains", "frozen"].map(|what| measured(device, case, what));
    println!("{device:?}: with A {trains} KiB, with a frozen A {frozen} KiB");
    let kept = LAYERS * ROWS * WIDTH * 4 / 1024;
    assert!(trains > kept, "{trains} KiB of {kept} KiB");
    assert!(trains > frozen + kept / 2, "{frozen} KiB of {kept} KiB");
}

/// So many that what is kept is several times what `ndarray` holds for a moment.
const LAYERS: usize = 24;
const ROWS: usize = 8192;
const WIDTH: usize = 256;

/// Forward and backward of layers behind each other, LoRA on each.
fn chained_step(device: &Device, frozen: bool) -> usize {
    let device = device.clone().autodiff();
    let layer = || {
        let weight = Tensor::full([WIDTH; 2], 0.001, &device);
        let weight = Param::from_tensor(weight);
        let mut layer = Linear { weight, bias: None };
        LoraConfig::new(4, 8.0)
            .with_freeze_a(frozen)
            .attach(&mut layer, "a")
            .expect("it attaches");
        layer
    };
    let layers: Vec<Linear> = (0..LAYERS).map(|_| layer()).collect();
    let x = Tensor::<2>::ones([ROWS, WIDTH], &device);
    grown_kib(|| {
        let y = layers.iter().fold(x, |x, layer| linear(layer, x));
        let grads = y.sum().backward();
        assert!(layers[0].weight.base().grad(&grads).is_none());
    })
}
