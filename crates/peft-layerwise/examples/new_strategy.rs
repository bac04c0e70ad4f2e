//! A strategy of one's own: a window of blocks that climbs through the model, over and over, the
//! head always with it.
//!
//! `cargo run -p peft-layerwise --example new_strategy`

use std::error::Error;

use burn::tensor::Device;
use peft_layerwise::{BlockPlace, Depth, Length, Strategy};
use peft_models::DecoderConfig;
use peft_train::{
    EvalReport, Example, NextToken, Observer, Progress, StepReport, TrainConfig, TrainError,
    Trainer,
};

/// `width` blocks train for `steps` steps, then those one higher.
struct Climb {
    depth: Depth,
    width: usize,
    steps: usize,
}

impl Strategy for Climb {
    fn stage(&self, step: usize, _: &Length) -> usize {
        step / self.steps % (self.depth.n_blocks() - self.width + 1)
    }

    fn rate(&self, stage: usize, path: &str, _given: bool) -> Option<f64> {
        let window = stage..stage + self.width;
        match self.depth.place(path)? {
            BlockPlace::Below => None,
            BlockPlace::Block(block) => window.contains(&block).then_some(1.0),
            BlockPlace::Above => Some(0.5),
        }
    }

    fn keeps_moments(&self) -> bool {
        false
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let model = DecoderConfig::llama(50, 16, 32, 6, 2).init(&device);
    let climb = Climb {
        depth: Depth::of(&model)?,
        width: 2,
        steps: 3,
    };
    let row = |i: u32| Example::new((0..9).map(|j| (i + 3 * j) % 50).collect(), vec![true; 9]);
    let rows: Vec<Example> = (0..16).map(row).collect();
    let config = TrainConfig {
        learning_rate: 0.01,
        epochs: 15,
        ..TrainConfig::default()
    };
    Trainer::new(&config, &rows)
        .with_strategy(&climb)
        .run(model, &NextToken, &mut Shown)?;
    Ok(())
}

/// Prints the losses.
struct Shown;

impl<M> Observer<M> for Shown {
    fn on_step(&mut self, report: &StepReport, _: &Progress<'_, M>) -> Result<(), TrainError> {
        println!("step {:2}  loss {:.3}", report.step, report.loss);
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}
