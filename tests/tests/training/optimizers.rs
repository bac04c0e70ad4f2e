//! Optimizers beside AdamW: runs by them lower the loss, and go on to the same bits.

use burn::module::Module;
use burn::tensor::Device;
use peft_core::{ParamSet, freeze_all_but};
use peft_models::{DecoderConfig, DecoderForCausalLm};
use peft_train::{
    EvalReport, NextToken, Observer, Optimizer, Progress, StepReport, TrainConfig, TrainError,
    TrainState, Trainer,
};

use super::{Log, adapted, bits, config, examples, moments};
use crate::models::{spread, tiny};

peft_tests::cases!(on the cores:
    each_learns,
    each_goes_on_to_the_same_bits,
    states_of_another_are_refused,
    each_keeps_what_it_says,
    moments_in_eight_bits_go_on_to_the_same_bits,
);

const ALL: [Optimizer; 5] = [
    Optimizer::AdamW,
    Optimizer::AdamW8Bit,
    Optimizer::Lion,
    Optimizer::Adafactor,
    Optimizer::Muon,
];

fn settings(optimizer: Optimizer, steps: usize) -> TrainConfig {
    TrainConfig {
        optimizer,
        betas: optimizer.betas(),
        weight_decay: 0.01,
        ..config(5, steps)
    }
}

/// A model whose embeddings, matrices and vectors all train.
fn whole(device: &Device) -> DecoderForCausalLm {
    let mut model = spread(&tiny(), &device.clone().autodiff());
    freeze_all_but(&mut model, &ParamSet::All).expect("it is all");
    model
}

/// Keeps the state after a step.
struct Keep(usize, Option<TrainState>);

impl<M: Module> Observer<M> for Keep {
    fn on_step(&mut self, report: &StepReport, at: &Progress<'_, M>) -> Result<(), TrainError> {
        if report.step == self.0 {
            self.1 = Some(at.state());
        }
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// The state after a step, through a file.
fn kept(make: &DecoderForCausalLm, config: &TrainConfig, step: usize) -> TrainState {
    let mut keep = Keep(step, None);
    let rows = examples(10);
    let run = Trainer::new(config, &rows).run(make.clone(), &NextToken, &mut keep);
    assert!(run.is_ok());
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    keep.1
        .expect("it was kept")
        .save(&path)
        .expect("it is written");
    TrainState::load(&path).expect("it is read")
}

fn each_learns(device: &Device) {
    for optimizer in ALL {
        let mut log = Log::default();
        let rows = examples(10);
        let config = TrainConfig {
            learning_rate: 1e-2,
            ..settings(optimizer, 40)
        };
        let run = Trainer::new(&config, &rows).run(whole(device), &NextToken, &mut log);
        assert!(run.is_ok());
        let mean = |steps: &[StepReport]| {
            steps.iter().map(|step| step.loss).sum::<f64>() / steps.len() as f64
        };
        let (first, last) = (mean(&log.steps[..4]), mean(&log.steps[36..]));
        assert!(last < 0.9 * first, "{optimizer:?}: {first} to {last}");
    }
}

fn each_goes_on_to_the_same_bits(device: &Device) {
    for optimizer in ALL {
        for model in [adapted(device, 0.0), whole(device)] {
            let (config, rows) = (settings(optimizer, 5), examples(10));
            let mut log = Log::default();
            let through = Trainer::new(&config, &rows).run(model.clone(), &NextToken, &mut log);
            let state = kept(&model, &config, 2);
            let mut log = Log::default();
            let again = Trainer::new(&config, &rows)
                .with_state(&state)
                .run(model, &NextToken, &mut log);
            assert_eq!(log.steps.len(), 3);
            assert_eq!(
                bits(&through.expect("it trains")),
                bits(&again.expect("it goes on")),
                "{optimizer:?}"
            );
        }
    }
}

fn states_of_another_are_refused(device: &Device) {
    let model = adapted(device, 0.0);
    for [of, to] in [
        [Optimizer::Lion, Optimizer::AdamW],
        [Optimizer::AdamW, Optimizer::AdamW8Bit],
        [Optimizer::AdamW, Optimizer::Muon],
    ] {
        let state = kept(&model, &settings(of, 5), 2);
        let rows = examples(10);
        let mut log = Log::default();
        let config = TrainConfig {
            betas: of.betas(),
            ..settings(to, 5)
        };
        let run = Trainer::new(&config, &rows).with_state(&state).run(
            model.clone(),
            &NextToken,
            &mut log,
        );
        let error = run.expect_err("it is another run").to_string();
        assert!(error.contains("`optimizer` was"), "{error}");
    }
}

fn each_keeps_what_it_says(device: &Device) {
    let model = whole(device);
    let of = |optimizer| moments(&kept(&model, &settings(optimizer, 3), 2));
    let trains: Vec<Vec<usize>> = peft_core::parameters(&model)
        .into_iter()
        .map(|param| param.shape)
        .collect();
    let all = |shape: &Vec<usize>| shape.iter().product::<usize>();
    let sum = |each: &dyn Fn(&Vec<usize>) -> usize| trains.iter().map(each).sum::<usize>();
    assert_eq!(of(Optimizer::AdamW), sum(&|shape| 2 * all(shape)));
    assert_eq!(of(Optimizer::Lion), sum(&all));
    let factored = sum(&|shape| match shape.as_slice() {
        [rows, columns] => rows + columns,
        shape => shape.iter().product(),
    });
    assert_eq!(of(Optimizer::Adafactor), factored);
    // One of matrices that are no embedding, two of all else.
    let embedding = [tiny().vocab_size, tiny().d_model];
    let muon = sum(&|shape| match shape.as_slice() {
        matrix @ [_, _] if matrix != embedding => all(shape),
        _ => 2 * all(shape),
    });
    assert_eq!(of(Optimizer::Muon), muon);
}

/// Some of whose matrices are large enough.
fn moments_in_eight_bits_go_on_to_the_same_bits(device: &Device) {
    let config = DecoderConfig {
        d_ff: 400,
        ..tiny()
    };
    let mut model = spread(&config, &device.clone().autodiff());
    freeze_all_but(&mut model, &ParamSet::All).expect("it is all");
    let (config, rows) = (settings(Optimizer::AdamW8Bit, 5), examples(10));
    let run = |config: &TrainConfig, state: Option<&TrainState>| {
        let trainer = Trainer::new(config, &rows).with_state(state);
        let run = trainer.run(model.clone(), &NextToken, &mut Log::default());
        bits(&run.expect("it trains"))
    };
    let state = kept(&model, &config, 2);
    assert!(run(&config, None) == run(&config, Some(&state)));
    let wide = settings(Optimizer::AdamW, 5);
    assert!(run(&config, None) != run(&wide, None));
    // Of three matrices of each block, a scale of each 256 numbers beside two moments.
    let scales = 2 * 3 * 2 * (12usize * 400).div_ceil(256);
    let of_wide = moments(&kept(&model, &wide, 2));
    assert_eq!(moments(&state), of_wide + scales);
}
