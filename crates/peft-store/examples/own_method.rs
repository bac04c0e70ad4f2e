//! A method of one's own, attached, trained, saved, and loaded into a fresh base: HiRA, `W' = W ∘
//! (1 + A B)` (Huang et al., ICLR 2025).
//!
//! `cargo run --release -p peft-store --example own_method`

use std::error::Error;

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{DType, Device, Distribution, Tensor};
use peft_core::{Adapter, FrozenWeight, Layer, LayerKind, PeftError, Placement, Targets, attach};
use peft_store::{AdapterInfo, OwnDir, save_own};
use serde::{Deserialize, Serialize};

/// The method: [`Adapter::weight`] defines it.
#[derive(Module, Debug)]
struct Hira {
    /// `[d_in, rank]`.
    a: Param<Tensor<2>>,
    /// `[rank, d_out]`.
    b: Param<Tensor<2>>,
}

impl Adapter for Hira {
    const NAME: &'static str = "hira";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let factor = self.a.val().matmul(self.b.val()) + 1.0;
        base.dense_in(factor.dtype()) * factor.reshape(base.dims())
    }
}

/// Its settings, which are saved with it.
#[derive(Serialize, Deserialize)]
struct HiraConfig {
    rank: usize,
    targets: Vec<String>,
}

impl HiraConfig {
    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<(), PeftError> {
        let fresh = |layer: &Layer| {
            let ([d_in, d_out], on) = (layer.shape, (&layer.device, DType::F32));
            let a = Tensor::random([d_in, self.rank], Distribution::Normal(0.0, 0.3), on);
            Hira {
                a: Param::from_tensor(a),
                b: Param::from_tensor(Tensor::zeros([self.rank, d_out], on)),
            }
        };
        let placement = Placement::new(Targets::suffixes(self.targets.clone()));
        let report = attach(model, name, &placement, &[LayerKind::Linear], |layers| {
            Ok(layers.iter().map(fresh).collect::<Vec<Hira>>())
        })?;
        println!("{report}");
        Ok(())
    }
}

#[derive(Module, Debug)]
struct Net {
    up: Linear,
    down: Linear,
}

impl Net {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.down
            .forward(burn::tensor::activation::gelu(self.up.forward(x)))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let base = Net {
        up: LinearConfig::new(8, 32).init(&device),
        down: LinearConfig::new(32, 1).init(&device),
    };
    let config = HiraConfig {
        rank: 4,
        targets: vec!["up".into(), "down".into()],
    };
    let mut model = base.clone();
    config.attach(&mut model, "default")?;

    let mut optim = AdamWConfig::new().init();
    let x: Tensor<2> = Tensor::random([64, 8], Distribution::Default, &device);
    let y = x.clone().sum_dim(1);
    let loss = |model: &Net| (model.forward(x.clone()) - y.clone()).powi_scalar(2).mean();
    let before: f32 = loss(&model).into_scalar();
    for _ in 0..200 {
        let grads = GradientsParams::from_grads(loss(&model).backward(), &model);
        model = optim.step(1e-2, model, grads);
    }
    let after: f32 = loss(&model).into_scalar();
    println!("loss {before:.4} before, {after:.4} after");
    assert!(after < before / 4.0);

    let dir = std::env::temp_dir().join(format!("own-method-{}", std::process::id()));
    save_own(
        &model,
        "default",
        Hira::NAME,
        &config,
        &AdapterInfo::new(),
        &dir,
    )?;

    let saved = OwnDir::open(&dir)?;
    let mut loaded = base;
    saved
        .settings::<HiraConfig>()?
        .attach(&mut loaded, "default")?;
    saved.load(&mut loaded, "default")?;
    std::fs::remove_dir_all(&dir)?;
    let gap: f32 = (loaded.forward(x.clone()) - model.forward(x.clone()))
        .abs()
        .max()
        .into_scalar();
    println!("saved and loaded it differs by {gap:.1e}");
    assert!(gap == 0.0);
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("it runs");
}
