//! Running statistics in a run: they move where their module trains, and belong to its state.

use burn::module::Module;
use burn::nn::{BatchNormConfig, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use peft_core::{ForwardPath, Placed, Targets, linear, moving_statistics};
use peft_layerwise::{Length, Strategy};
use peft_lora::LoraConfig;
use peft_train::{
    Digest, Examples, Objective, Observer, Progress, Report, StepReport, TrainConfig, TrainError,
    TrainExample, TrainState, Trainer,
};
use serde::Serialize;

use super::bits;
use crate::fixture::Normed;

peft_tests::cases!(
    a_run_that_goes_on_has_the_statistics_of_one_that_was_not_interrupted,
    they_move_in_the_stages_in_which_their_module_trains,
    they_stay_on_one_device,
);

/// The same at each call.
fn net(device: &Device) -> Normed {
    let fill = |dims: [usize; 2]| {
        let values: Vec<f32> = (0..dims[0] * dims[1])
            .map(|i| (i as f32 * 1.7).sin())
            .collect();
        Tensor::from_data(TensorData::new(values, dims), device)
    };
    let mut net = Normed {
        up: LinearConfig::new(3, 4).with_bias(false).init(device),
        bn: BatchNormConfig::new(4).init(device),
        down: LinearConfig::new(4, 1).with_bias(false).init(device),
    };
    net.up.weight = burn::module::Param::from_tensor(fill([3, 4]));
    net.down.weight = burn::module::Param::from_tensor(fill([4, 1]));
    net
}

#[derive(Clone)]
struct Row([f32; 3]);

impl TrainExample for Row {
    fn length(&self) -> usize {
        1
    }

    fn n_targets(&self) -> usize {
        1
    }

    fn digest(&self, digest: &mut Digest) {
        for value in self.0 {
            digest.add_bytes(&value.to_le_bytes());
        }
    }
}

#[derive(Serialize, Debug, Clone)]
struct Loss(f64);

impl Report for Loss {
    fn loss(&self) -> f64 {
        self.0
    }

    fn headline(&self) -> Vec<(&'static str, f64)> {
        vec![("loss", self.0)]
    }
}

/// The square of the output less the sum of the inputs.
struct Sum;

impl Objective<Normed> for Sum {
    type Example = Row;
    type Report = Loss;

    fn name(&self) -> String {
        "sum".into()
    }

    fn loss_sum(&self, model: &Normed, rows: &[&Row], device: &Device) -> Tensor<1> {
        let values: Vec<f32> = rows.iter().flat_map(|row| row.0).collect();
        let x: Tensor<2> = Tensor::from_data(TensorData::new(values, [rows.len(), 3]), device);
        let y = linear(&model.down, model.bn.forward(linear(&model.up, x.clone())));
        (y - x.sum_dim(1)).powi_scalar(2).sum()
    }

    fn evaluate(
        &self,
        model: &Normed,
        rows: Examples<'_, Row>,
        _: usize,
    ) -> Result<Loss, TrainError> {
        let all: Vec<usize> = (0..rows.len()).collect();
        let rows = rows.at(&all)?;
        let rows: Vec<&Row> = rows.iter().map(AsRef::as_ref).collect();
        let loss = self.loss_sum(model, &rows, &model.devices()[0]);
        Ok(Loss(f64::from(loss.into_scalar::<f32>())))
    }
}

fn rows() -> Vec<Row> {
    let of = |i: usize| Row([0, 1, 2].map(|j| ((i * 3 + j) as f32).cos() * 2.0));
    (0..12).map(of).collect()
}

fn config(steps: usize) -> TrainConfig {
    TrainConfig {
        batch_size: 4,
        max_steps: Some(steps),
        learning_rate: 0.05,
        ..TrainConfig::default()
    }
}

/// Keeps the state after a step, and what moved in each.
#[derive(Default)]
struct Log {
    after: usize,
    state: Option<TrainState>,
    moving: Vec<usize>,
}

impl Observer<Normed, Loss> for Log {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, Normed>,
    ) -> Result<(), TrainError> {
        self.moving.push(moving_statistics(progress.model).len());
        if report.step == self.after {
            self.state = Some(progress.state());
        }
        Ok(())
    }

    fn on_eval(&mut self, _: &Loss, _: bool, _: &Progress<'_, Normed>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn a_run_that_goes_on_has_the_statistics_of_one_that_was_not_interrupted(device: &Device) {
    let device = device.clone().autodiff();
    let (rows, config) = (rows(), config(7));
    let make = || {
        let mut net = net(&device);
        let mut lora = LoraConfig::new(2, 3.0)
            .with_targets(Targets::suffixes(["up", "down"]))
            .with_path(ForwardPath::Factored);
        lora = lora.with_whole_modules(["bn"]);
        lora.attach(&mut net, "a").expect("it attaches");
        net
    };
    let mut log = Log {
        after: 3,
        ..Log::default()
    };
    // What LoRA draws is drawn once.
    let first = make();
    let run = Trainer::new(&config, &rows);
    let whole = run
        .run(first.valid().train(), &Sum, &mut log)
        .expect("it trains");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    log.state
        .expect("it was kept")
        .save(&path)
        .expect("it is written");
    let state = TrainState::load(&path).expect("it is read");
    let mut rest = Log::default();
    let run = Trainer::new(&config, &rows).with_state(&state);
    let found = run
        .run(first.valid().train(), &Sum, &mut rest)
        .expect("it goes on");
    let (whole, found) = (bits(&whole.valid()), bits(&found.valid()));
    assert_eq!(found, whole);
    assert_ne!(
        whole["bn.running_mean"],
        bits(&first.valid())["bn.running_mean"]
    );
}

/// The norm trains in every other step, the rest in the others.
struct Alternate;

impl Strategy for Alternate {
    fn stage(&self, step: usize, _: &Length) -> usize {
        step % 2
    }

    fn rate(&self, stage: usize, path: &str, _: bool) -> Option<f64> {
        let of_norm = path == "bn.gamma" || path == "bn.beta";
        (of_norm == (stage == 1))
            .then_some(1.0)
            .filter(|_| !path.contains("running"))
    }

    fn keeps_moments(&self) -> bool {
        true
    }
}

fn they_move_in_the_stages_in_which_their_module_trains(device: &Device) {
    let device = device.clone().autodiff();
    let (rows, config) = (rows(), config(4));
    let mut log = Log::default();
    let run = Trainer::new(&config, &rows).with_strategy(&Alternate);
    run.run(net(&device), &Sum, &mut log).expect("it trains");
    assert_eq!(log.moving, [0, 2, 0, 2]);
}

fn they_stay_on_one_device(device: &Device) {
    let other = peft_tests::devices().into_iter().find(|at| at != device);
    let Some(other) = other else {
        return;
    };
    let (rows, config) = (rows(), config(1));
    let devices = [device.clone(), other];
    let trainer = Trainer::new(&config, &rows).with_devices(&devices);
    let ended = trainer.run(net(&device.clone().autodiff()), &Sum, &mut Log::default());
    let ended = ended.expect_err("it is refused").to_string();
    assert!(ended.contains("running statistics"), "{ended}");
}
