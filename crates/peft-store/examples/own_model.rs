//! A model of one's own, adapted, trained with Burn's optimizer, saved in PEFT's format, loaded
//! into a fresh base and merged.
//!
//! `cargo run --release -p peft-store --example own_model`

use std::error::Error;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use peft_lora::{ForwardPath, LoraConfig, Placed, Targets, linear, merge};
use peft_store::{AdapterConfig, AdapterDir, AdapterInfo, save_adapter};

#[derive(Module, Debug)]
struct Net {
    up: Linear,
    down: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        Self {
            up: LinearConfig::new(8, 32).init(device),
            down: LinearConfig::new(32, 1).init(device),
        }
    }

    /// `linear` in place of `self.up.forward`: adapters run in factored form.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(
            &self.down,
            burn::tensor::activation::gelu(linear(&self.up, x)),
        )
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let base = Net::new(&device);
    let config = LoraConfig::new(4, 8.0)
        .with_targets(Targets::suffixes(["up", "down"]))
        .with_path(ForwardPath::Factored);
    let mut model = base.clone();
    println!("{}", config.attach(&mut model, "default")?);

    let mut optim = AdamWConfig::new().init();
    let x: Tensor<2> = Tensor::random([64, 8], Distribution::Default, &device);
    let y = x.clone().sum_dim(1);
    let loss = |model: &Net, x: &Tensor<2>, y: &Tensor<2>| {
        (model.forward(x.clone()) - y.clone()).powi_scalar(2).mean()
    };
    let before: f32 = loss(&model, &x, &y).into_scalar();
    for _ in 0..200 {
        let grads = GradientsParams::from_grads(loss(&model, &x, &y).backward(), &model);
        model = optim.step(1e-2, model, grads);
    }
    let after: f32 = loss(&model, &x, &y).into_scalar();
    println!("loss {before:.4} before, {after:.4} after");
    assert!(after < before / 4.0);

    let dir = std::env::temp_dir().join(format!("own-model-{}", std::process::id()));
    save_adapter(
        &model,
        "default",
        &AdapterConfig::Lora(config),
        &AdapterInfo::new(),
        &dir,
    )?;
    let mut loaded = base;
    AdapterDir::open(&dir)?.attach(&mut loaded, "default", ForwardPath::Factored)?;
    std::fs::remove_dir_all(&dir)?;
    drop(merge(&mut loaded)?); // inference costs nothing more
    let (found, expected) = (
        loaded.valid().forward(x.clone().inner()),
        model.valid().forward(x.inner()),
    );
    let gap: f32 = (found - expected).abs().max().into_scalar();
    println!("saved, loaded and merged it differs by {gap:.1e}");
    assert!(gap < 1e-4);
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("it runs");
}
