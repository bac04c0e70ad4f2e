//! A run that is interrupted and goes on gives the bits of one that was not.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Device;
use burn::tensor::{Tensor, TensorData};
use peft_core::{ParamSet, freeze_all_but};
use peft_models::DecoderForCausalLm;
use peft_train::{
    EvalReport, NextToken, Observer, Progress, StateDir, StepReport, TrainConfig, TrainError,
    TrainState, Trainer, train,
};
use serde_json::json;

use super::{Log, adapted, bits, config, examples};
use crate::models::{spread, tiny};

peft_tests::cases!(
    an_adapter_goes_on_to_the_same_bits,
    a_whole_model_goes_on_to_the_same_bits,
    what_does_not_fit_is_refused,
    a_finished_run_goes_on_longer,
    of_two_states_the_newest_whole_one_is_taken,
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
    let twice = TrainConfig {
        recompute: true,
        ..settings.clone()
    };
    assert!(refused(adapted(device, 0.0), 10, &twice).contains("`recompute`"));
    // And the other way: what drops is drawn otherwise.
    let ran_twice = interrupted(adapted(device, 0.0), &twice, 2);
    let once = Trainer::new(&settings, &examples(10))
        .with_state(&ran_twice)
        .run(adapted(device, 0.0), &NextToken, &mut Log::default());
    assert!(once.is_err_and(|error| error.to_string().contains("`recompute`")));
    let mut all = spread(&tiny(), &device.clone().autodiff());
    freeze_all_but(&mut all, &ParamSet::All).expect("it is all");
    assert!(refused(all, 10, &settings).contains("trains now"));

    // A base that differs in the last bit of one frozen value.
    let edited = edited(adapted(device, 0.0), "embed_tokens");
    assert!(refused(edited, 10, &settings).contains("weights are not those"));
    // What the caller says of its method, all differences at once.
    let with = |alpha: f64, name: &str| {
        let context = json!({ "method": { "alpha": alpha, "name": name } });
        let rows = examples(10);
        Trainer::new(&settings, &rows)
            .with_state(&state_with(device, &settings))
            .with_context(context.as_object())
            .run(adapted(device, 0.0), &NextToken, &mut Log::default())
    };
    assert!(with(4.0, "a").is_ok());
    let message = with(8.0, "b").err().map(|error| error.to_string());
    let message = message.expect("it is refused");
    assert!(
        message.contains("`method.alpha` was 4.0, but is 8.0 now"),
        "{message}"
    );
    assert!(message.contains("`method.name`"), "{message}");

    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    state.save(&path).expect("it is written");
    let bytes = std::fs::read(&path).expect("it is read");
    // A flipped bit anywhere, but for spaces of the header that say nothing.
    for at in (0..bytes.len())
        .step_by(37)
        .chain(bytes.len() - 9..bytes.len())
    {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 7);
        std::fs::write(&path, &damaged).expect("it is written");
        if bytes[at] != b' ' {
            let error = TrainState::load(&path).expect_err("it is damaged");
            assert!(matches!(error, TrainError::Resume { .. }), "byte {at}");
        }
    }
    for end in [0, 7, 40, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..end]).expect("it is written");
        assert!(matches!(
            TrainState::load(&path),
            Err(TrainError::Resume { .. })
        ));
    }
}

/// A model whose parameters of this name have one value that differs in its last bit.
fn edited(model: DecoderForCausalLm, name: &'static str) -> DecoderForCausalLm {
    struct Edit(Vec<String>, &'static str);
    impl ModuleMapper for Edit {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !self.0.iter().any(|part| part == self.1) {
                return param;
            }
            let (id, tensor, mapper) = param.consume();
            let mut values: Vec<f32> = tensor.to_data().iter().collect();
            values[1] = f32::from_bits(values[1].to_bits() ^ 1);
            let data = TensorData::new(values, tensor.dims());
            let edited = Tensor::from_data(data, &tensor.device());
            Param::from_mapped_value(
                id,
                edited.set_require_grad(tensor.is_require_grad()),
                mapper,
            )
        }
    }
    model.map(&mut Edit(Vec::new(), name))
}

/// A state of a run that says what else decides it.
fn state_with(device: &Device, config: &TrainConfig) -> TrainState {
    let context = json!({ "method": { "alpha": 4.0, "name": "a" } });
    let mut interrupt = Interrupt {
        after: 2,
        state: None,
    };
    let ended = Trainer::new(config, &examples(10))
        .with_context(context.as_object())
        .run(adapted(device, 0.0), &NextToken, &mut interrupt);
    assert!(ended.is_err());
    interrupt.state.expect("it was kept")
}

/// Keeps the last state.
#[derive(Default)]
struct Last(Option<TrainState>, Vec<StepReport>);

impl<M: Module> Observer<M> for Last {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        self.0 = Some(progress.state());
        self.1.push(*report);
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn a_finished_run_goes_on_longer(device: &Device) {
    let rows = examples(10);
    let run = |config: &TrainConfig, state: Option<&TrainState>| {
        let mut last = Last::default();
        train(
            adapted(device, 0.0),
            &NextToken,
            &rows,
            None,
            config,
            state,
            &mut last,
        )
        .map(|model| (bits(&model), last))
    };
    let (_, first) = run(&config(4, 4), None).expect("it trains");
    let done = first.0.expect("a state");
    assert_eq!((done.step(), done.total_steps()), (4, 4));
    // Nothing is left to do: the model comes back as it was.
    let (same, nothing) = run(&config(4, 4), Some(&done)).expect("it is done");
    assert!(nothing.1.is_empty());
    let (longer, on) = run(&config(4, 7), Some(&done)).expect("it goes on");
    assert_ne!(same, longer);
    let rates: Vec<f64> = on.1.iter().map(|step| step.learning_rate).collect();
    let expected = [4, 5, 6].map(|step| 0.02 * config(4, 7).schedule.factor(step, 0, 7));
    assert_eq!(rates, expected);
    // From a state on the way there, to the same bits.
    let dir = tempfile::tempdir().expect("a directory");
    let states = StateDir::new(dir.path());
    states.save(&on.0.expect("a state")).expect("it is written");
    let found = states.load().expect("it is sound").expect("a state");
    let (again, _) = run(&config(4, 7), Some(&found.state)).expect("it is done");
    assert!(again == longer);
    let fewer = run(&config(4, 3), Some(&done))
        .err()
        .map(|error| error.to_string());
    assert!(fewer.expect("it is refused").contains("4 steps are done"));
}

/// The newest state that is whole is found, whatever became of the others.
fn of_two_states_the_newest_whole_one_is_taken(device: &Device) {
    let settings = config(4, 7);
    let states: Vec<TrainState> = [1, 2, 3]
        .map(|after| interrupted(adapted(device, 0.0), &settings, after))
        .into();
    let dir = tempfile::tempdir().expect("a directory");
    let kept = StateDir::new(dir.path());
    assert!(!kept.is_any() && kept.load().expect("nothing").is_none());
    for state in &states {
        kept.save(state).expect("it is written");
        let found = kept.load().expect("it is sound").expect("a state");
        assert_eq!(found.state.step(), state.step());
        assert!(found.damaged.is_none());
    }
    let bytes = std::fs::read(kept.path()).expect("it is read");
    std::fs::write(kept.path(), &bytes[..bytes.len() / 2]).expect("it is written");
    let found = kept.load().expect("one is sound").expect("a state");
    assert_eq!(found.state.step(), 2);
    assert!(found.damaged.is_some());
    // Killed between the two renames.
    std::fs::remove_file(kept.path()).expect("it is removed");
    let found = kept.load().expect("it is sound").expect("a state");
    assert_eq!((found.state.step(), found.damaged.is_some()), (2, false));
    kept.save(&states[2]).expect("it is written");
    kept.finish(&states[2]).expect("it is written");
    assert_eq!(std::fs::read_dir(dir.path()).expect("files").count(), 1);
    let found = kept.load().expect("it is sound").expect("a state");
    assert_eq!(found.state.step(), 3);
    assert!(!kept.path().exists());
    std::fs::write(found.path, "no state").expect("it is written");
    assert!(kept.is_any() && kept.load().is_err());
}
