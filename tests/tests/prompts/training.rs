//! Training changes the prompt and what trains whole, and nothing else; it goes on to the same
//! bits.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use peft_core::{ForwardPath, Placed, Targets};
use peft_lora::LoraConfig;
use peft_models::DecoderForCausalLm;
use peft_ptuning::{PromptEncoderConfig, PromptTuningConfig, Prompted};
use peft_train::{
    Batch, EvalReport, NextToken, Observer, Progress, StepReport, TrainConfig, TrainError,
    TrainState, target_nll, train,
};

use super::{N, NAME, encoded, filled_prompt, p_tuning, plain, prompted};
use crate::fixture::{assert_differs, assert_same, filled_adapters, trained};
use crate::training::{Log, bits, config, examples};

peft_tests::cases!(
    only_what_should_changes,
    gradients_are_those_of_what_trains,
    a_prompt_and_weights_change_together,
    an_encoder_goes_on_to_the_same_bits,
    an_encoder_drops_in_training_only,
);

type Model = Prompted<DecoderForCausalLm>;

fn run(
    model: Model,
    config: &TrainConfig,
    state: Option<&TrainState>,
    observer: &mut impl Observer<Model>,
) -> Result<Model, TrainError> {
    let rows = examples(10);
    let valid = Some(&rows[..3]);
    train(model, &NextToken, &rows, valid, config, state, observer)
}

fn trained_to_the_end(model: Model, config: &TrainConfig, state: Option<&TrainState>) -> Model {
    run(model, config, state, &mut Log::default()).expect("it trains")
}

/// All that trains has changed, and everything else is as it was, to the bit.
fn assert_changed(before: &Model, after: &Model) {
    let trains = trained(before);
    let (before, after) = (bits(before), bits(after));
    assert!(before.keys().eq(after.keys()));
    for (path, data) in before {
        assert_eq!(data != after[&path], trains.contains(&path), "{path}");
    }
}

fn with_norm(device: &Device) -> Model {
    let mut model = plain(device);
    let config = PromptTuningConfig::new(N).with_whole_modules(["model.norm"]);
    config.attach(&mut model, NAME).expect("it attaches");
    filled_prompt(model)
}

fn only_what_should_changes(device: &Device) {
    for model in [
        prompted(device),
        encoded(PromptEncoderConfig::Mlp, device),
        encoded(PromptEncoderConfig::LSTM, device),
        with_norm(device),
    ] {
        let config = TrainConfig {
            weight_decay: 0.1,
            ..config(4, 5)
        };
        let after = trained_to_the_end(model.clone(), &config, None);
        assert_changed(&model, &after);
    }
    peft_tests::Invariant::Frozen.verified("prompt tuning", device);
    peft_tests::Invariant::Frozen.verified("p-tuning", device);
}

/// The paths of the parameters that have a gradient, and whether any of it is other than zero.
struct Gradients<'a> {
    path: Vec<String>,
    of: &'a GradientsParams,
    found: Vec<(String, bool)>,
}

impl ModuleVisitor for Gradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.of.get::<D>(param.id) {
            let largest = gradient.abs().max().into_scalar::<f32>();
            self.found.push((self.path.join("."), largest > 0.0));
        }
    }
}

fn gradients_are_those_of_what_trains(device: &Device) {
    for model in [
        prompted(device),
        encoded(PromptEncoderConfig::LSTM, device),
        with_norm(device),
    ] {
        let rows = examples(4);
        let rows: Vec<_> = rows.iter().collect();
        let batch = Batch::new(&rows, &device.clone().autodiff());
        let loss = target_nll(&model, &batch).sum();
        let of = &GradientsParams::from_grads(loss.backward(), &model);
        let mut gradients = Gradients {
            path: Vec::new(),
            of,
            found: Vec::new(),
        };
        model.visit(&mut gradients);
        gradients.found.sort();
        let expected = trained(&model).into_iter().map(|path| (path, true));
        assert!(gradients.found.iter().cloned().eq(expected));
    }
    peft_tests::Invariant::Trains.verified("prompt tuning", device);
    peft_tests::Invariant::Trains.verified("p-tuning", device);
}

fn a_prompt_and_weights_change_together(device: &Device) {
    let mut model = prompted(device);
    LoraConfig::new(3, 6.0)
        .with_targets(Targets::suffixes(["q_proj", "down_proj"]))
        .with_path(ForwardPath::Factored)
        .attach(&mut model, "lora")
        .expect("it attaches");
    let model = filled_adapters(model);
    let after = trained_to_the_end(model.clone(), &config(4, 3), None);
    assert_eq!(trained(&model).len(), 1 + 2 * 2 * 2);
    assert_changed(&model, &after);
}

/// Ends a run after a step, and keeps its state.
struct Interrupt(usize, Option<TrainState>);

impl<M: Module> Observer<M> for Interrupt {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        if report.step == self.0 {
            self.1 = Some(progress.state());
            return Err(TrainError::NothingTrains);
        }
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// The model that goes on has another prompt, until the state's takes its place.
fn an_encoder_goes_on_to_the_same_bits(device: &Device) {
    let config = TrainConfig {
        weight_decay: 0.05,
        ..config(4, 6)
    };
    for encoder in [PromptEncoderConfig::Mlp, PromptEncoderConfig::LSTM] {
        let model = || encoded(encoder, device);
        let mut other = plain(device);
        let drawn = p_tuning(encoder);
        drawn.attach(&mut other, NAME).expect("it attaches");
        let expected = bits(&trained_to_the_end(model(), &config, None));
        for after in [2, 3] {
            let mut interrupt = Interrupt(after, None);
            assert!(run(model(), &config, None, &mut interrupt).is_err());
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("state");
            let state = interrupt.1.expect("it was kept");
            state.save(&path).expect("it is written");
            let state = TrainState::load(&path).expect("it is read");
            let found = trained_to_the_end(other.clone(), &config, Some(&state));
            assert!(bits(&found) == expected, "after step {after}");
        }
        assert!(bits(&trained_to_the_end(other, &config, None)) != expected);
    }
    peft_tests::Invariant::Resumed.verified("p-tuning", device);
}

fn an_encoder_drops_in_training_only(device: &Device) {
    let lstm = |dropout| PromptEncoderConfig::Lstm {
        n_layers: 2,
        dropout,
    };
    let vectors = |model: &Model| model.input.as_ref().expect("a prompt").vectors().inner();
    let model = encoded(lstm(0.5), device);
    let without = vectors(&encoded(lstm(0.0), device));
    assert_differs(&vectors(&model), &without);
    let valid = model.valid().input.expect("a prompt");
    assert_same(&valid.vectors(), &without);
    peft_tests::Invariant::Chance.verified("p-tuning", device);
}
