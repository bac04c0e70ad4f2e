//! A run that is interrupted and goes on gives the bits of one that was not.

use burn::tensor::Device;
use peft_core::{ParamSet, freeze_all_but};
use peft_models::DecoderForCausalLm;
use peft_train::{
    EvalReport, NextToken, Observer, Progress, StepReport, TrainConfig, TrainError, TrainState,
    train,
};

use super::{Log, adapted, bits, config, examples};
use crate::models::{spread, tiny};

peft_tests::cases!(
    an_adapter_goes_on_to_the_same_bits,
    a_whole_model_goes_on_to_the_same_bits,
    what_does_not_fit_is_refused,
);

/// Ends a run after a step, and keeps its state.
struct Interrupt {
    after: usize,
    state: Option<TrainState>,
}

impl<M: burn::module::Module> Observer<M> for Interrupt {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        if report.step == self.after {
            self.state = Some(progress.state());
            return Err(TrainError::NothingTrains);
        }
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// The state after a step, through a file.
fn interrupted(model: DecoderForCausalLm, config: &TrainConfig, after: usize) -> TrainState {
    let mut interrupt = Interrupt { after, state: None };
    let rows = examples(10);
    let ended = train(
        model,
        &NextToken,
        &rows,
        Some(&rows[..3]),
        config,
        None,
        &mut interrupt,
    );
    assert!(ended.is_err());
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    let state = interrupt.state.expect("it was kept");
    state.save(&path).expect("it is written");
    TrainState::load(&path).expect("it is read")
}

fn goes_on(make: impl Fn() -> DecoderForCausalLm) {
    let config = TrainConfig {
        weight_decay: 0.05,
        eval_every: Some(2),
        ..config(4, 7)
    };
    let rows = examples(10);
    let run = |model, state: Option<&TrainState>, log: &mut Log| {
        bits(
            &train(
                model,
                &NextToken,
                &rows,
                Some(&rows[..3]),
                &config,
                state,
                log,
            )
            .expect("it trains"),
        )
    };
    let mut whole = Log::default();
    let expected = run(make(), None, &mut whole);
    // In the middle of an epoch, and at its end.
    for after in [2, 3, 4] {
        let state = interrupted(make(), &config, after);
        assert_eq!(state.step(), after);
        let mut log = Log::default();
        let found = run(make(), Some(&state), &mut log);
        assert!(found == expected, "after step {after}");
        let losses = |log: &Log, from: usize| -> Vec<f64> {
            log.steps[from..].iter().map(|step| step.loss).collect()
        };
        assert_eq!(losses(&log, 0), losses(&whole, after));
        let n = log.evaluations.len();
        assert_eq!(
            log.evaluations,
            whole.evaluations[whole.evaluations.len() - n..]
        );
    }
    // Going on without the optimizer's moments would not do.
    let mut later = Log::default();
    assert_ne!(
        run(make(), Some(&interrupted(make(), &config, 1)), &mut later),
        bits(&make())
    );
}

fn an_adapter_goes_on_to_the_same_bits(device: &Device) {
    goes_on(|| adapted(device, 0.0));
    peft_tests::Invariant::Resumed.verified("lora", device);
}

fn a_whole_model_goes_on_to_the_same_bits(device: &Device) {
    goes_on(|| {
        let mut model = spread(&tiny(), &device.clone().autodiff());
        freeze_all_but(&mut model, &ParamSet::All).expect("it is all");
        model
    });
}

fn what_does_not_fit_is_refused(device: &Device) {
    let settings = config(4, 7);
    let state = interrupted(adapted(device, 0.0), &settings, 2);
    let refused = |model, n: usize, config: &TrainConfig| {
        train(
            model,
            &NextToken,
            &examples(n),
            None,
            config,
            Some(&state),
            &mut Log::default(),
        )
        .err()
        .map(|error| error.to_string())
        .expect("it is refused")
    };
    let other = TrainConfig {
        learning_rate: 0.5,
        ..settings.clone()
    };
    assert!(refused(adapted(device, 0.0), 10, &other).contains("learning_rate"));
    assert!(refused(adapted(device, 0.0), 9, &settings).contains("rows"));
    let mut all = spread(&tiny(), &device.clone().autodiff());
    freeze_all_but(&mut all, &ParamSet::All).expect("it is all");
    assert!(refused(all, 10, &settings).contains("trains now"));

    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    state.save(&path).expect("it is written");
    let bytes = std::fs::read(&path).expect("it is read");
    for end in [0, 7, 40, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..end]).expect("it is written");
        assert!(matches!(
            TrainState::load(&path),
            Err(TrainError::Resume { .. })
        ));
    }
}
