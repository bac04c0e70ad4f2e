//! An adapter trained by the `Learner` of `burn-train`, saved in PEFT's format: `cargo run
//! --release` in this directory.

use std::error::Error;

use burn::data::dataloader::{DataLoaderBuilder, batcher::Batcher};
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::optim::lr_scheduler::constant::ConstantLr;
use burn::tensor::{Device, Tensor, activation::gelu};
use burn_train::metric::LossMetric;
use burn_train::{
    InferenceStep, Learner, RegressionOutput, SupervisedTraining, TrainOutput, TrainStep,
};
use peft_lora::{ForwardPath, LoraConfig, Placed, Targets, linear};
use peft_store::{AdapterInfo, AdapterConfig, save_adapter};

#[derive(Module, Debug)]
struct Net {
    up: Linear,
    down: Linear,
}

impl Net {
    /// `linear` in place of `self.up.forward`: adapters run in factored form.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(&self.down, gelu(linear(&self.up, x)))
    }
}

/// Rows of four numbers, which are to give their sum.
struct Rows;
type Row = [f32; 4];

impl Batcher<Row, Tensor<2>> for Rows {
    fn batch(&self, rows: Vec<Row>, device: &Device) -> Tensor<2> {
        let rows: Vec<Tensor<2>> = rows
            .iter()
            .map(|row| Tensor::from_data([*row], device))
            .collect();
        Tensor::cat(rows, 0)
    }
}

impl InferenceStep for Net {
    type Input = Tensor<2>;
    type Output = RegressionOutput;

    fn step(&self, x: Tensor<2>) -> RegressionOutput {
        let (output, targets) = (self.forward(x.clone()), x.sum_dim(1));
        let loss = (output.clone() - targets.clone()).powi_scalar(2).mean();
        RegressionOutput::new(loss, output, targets)
    }
}

impl TrainStep for Net {
    type Input = Tensor<2>;
    type Output = RegressionOutput;

    fn step(&self, x: Tensor<2>) -> TrainOutput<RegressionOutput> {
        let output = InferenceStep::step(self, x);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let mut model = Net {
        up: LinearConfig::new(4, 32).init(&device),
        down: LinearConfig::new(32, 1).init(&device),
    };
    let config = LoraConfig::new(4, 8.0)
        .with_targets(Targets::suffixes(["up", "down"]))
        .with_path(ForwardPath::Factored);
    println!("{}", config.attach(&mut model, "default")?);

    let rows = |n: u32| (0..n).map(|i| [7, 11, 13, 17].map(|k| (i * k % 19) as f32 / 19.0 - 0.5));
    let loader = |n| {
        DataLoaderBuilder::new(Rows)
            .batch_size(16)
            .build(InMemDataset::new(rows(n).collect()))
    };
    let test = Rows.batch(rows(19).collect(), &device.clone().inner());
    let loss = |net: &Net| {
        InferenceStep::step(net, test.clone())
            .loss
            .into_scalar::<f32>()
    };
    let before = loss(&model.valid());

    let dir = std::env::temp_dir().join(format!("burn-train-{}", std::process::id()));
    let learner = Learner::new(model, AdamWConfig::new().init(), ConstantLr::new(1e-2));
    let trained = SupervisedTraining::new(&dir, loader(512), loader(19))
        .metrics((LossMetric::new(),))
        .num_epochs(5)
        .launch(learner)
        .model;
    let (after, adapter) = (loss(&trained), dir.join("adapter"));
    save_adapter(
        &trained,
        "default",
        &AdapterConfig::Lora(config),
        &AdapterInfo::new(),
        &adapter,
    )?;
    println!(
        "loss {before:.4} before, {after:.4} after; saved {}",
        adapter.display()
    );
    assert!(after < before / 4.0);
    Ok(())
}
