//! What is no finite number any more ends a run, by name, before it is kept or called good.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use peft_models::DecoderForCausalLm;
use peft_train::{
    Divergence, EvalReport, NextToken, Observer, Progress, Schedule, StepReport, TrainConfig,
    TrainError, Trainer, Warmup,
};

use super::{adapted, config, examples};

peft_tests::cases!(
    what_is_not_finite_ends_the_run,
    evaluations_begin_before_training,
    a_warm_up_ends,
);

/// Keeps what is called good.
#[derive(Default)]
struct Good {
    evaluations: Vec<(usize, f64, bool)>,
    states: Vec<Result<(), TrainError>>,
}

impl<M: Module> Observer<M> for Good {
    fn on_step(&mut self, _: &StepReport, progress: &Progress<'_, M>) -> Result<(), TrainError> {
        let dir = tempfile::tempdir().expect("a directory");
        self.states
            .push(progress.state().save(dir.path().join("state")));
        Ok(())
    }

    fn on_eval(
        &mut self,
        report: &EvalReport,
        best: bool,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        self.evaluations.push((progress.step, report.loss, best));
        Ok(())
    }
}

/// What trains, or what does not, filled with a value.
fn filled(model: DecoderForCausalLm, value: f32, trains: bool) -> DecoderForCausalLm {
    struct Fill(f32, bool);
    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let trains = param.base().is_require_grad();
            if trains != self.1 {
                return param;
            }
            let (id, tensor, mapper) = param.consume();
            let tensor = tensor.full_like(self.0).set_require_grad(trains);
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    model.map(&mut Fill(value, trains))
}

fn ends(
    model: DecoderForCausalLm,
    config: &TrainConfig,
    valid: bool,
) -> (Option<TrainError>, Good) {
    let (rows, mut good) = (examples(6), Good::default());
    let run = Trainer::new(config, &rows).with_validation(valid.then_some(&rows[..2]));
    (run.run(model, &NextToken, &mut good).err(), good)
}

fn what_is_not_finite_ends_the_run(device: &Device) {
    // A base of infinite weights: nothing has been updated, and so it is said.
    let (error, good) = ends(
        filled(adapted(device, 0.0), f32::INFINITY, false),
        &config(2, 3),
        false,
    );
    match error {
        Some(TrainError::Diverged {
            step: 1,
            what: Divergence::Loss(_),
            rows,
            cause,
        }) => {
            assert_eq!(rows.len(), 2);
            assert!(rows.iter().all(|row| (1..=6).contains(row)));
            assert!(cause.contains("nothing has been updated"), "{cause}");
            assert!(cause.contains("`model."), "{cause}");
        }
        error => panic!("{error:?}"),
    }
    assert!(good.states.is_empty());
    // Known before the first step where there is a validation.
    let first = TrainConfig {
        eval_first: true,
        ..config(2, 3)
    };
    let (error, good) = ends(
        filled(adapted(device, 0.0), f32::INFINITY, false),
        &first,
        true,
    );
    assert!(
        matches!(
            error,
            Some(TrainError::Diverged {
                step: 0,
                what: Divergence::Evaluation(_),
                ..
            })
        ),
        "{error:?}"
    );
    assert!(good.evaluations.is_empty());
    // An overflow in the last step: by a rate that no number holds.
    let steep = TrainConfig {
        learning_rate: 1e39,
        schedule: Schedule::Constant,
        ..config(2, 1)
    };
    for valid in [true, false] {
        let (error, good) = ends(adapted(device, 0.0), &steep, valid);
        match error {
            Some(TrainError::Diverged {
                step: 1,
                what: Divergence::Parameter(path),
                cause,
                ..
            }) => {
                assert!(path.contains("lora") || path.contains("proj"), "{path}");
                assert!(cause.contains("learning rate"), "{cause}");
            }
            error => panic!("{error:?}"),
        }
        assert!(good.evaluations.is_empty() && good.states.is_empty());
    }
    // In a step before, no state of it is kept.
    let (_, good) = ends(
        adapted(device, 0.0),
        &TrainConfig {
            max_steps: Some(2),
            ..steep
        },
        false,
    );
    assert!(matches!(
        good.states.as_slice(),
        [Err(TrainError::NotFinite { .. })]
    ));
}

fn evaluations_begin_before_training(device: &Device) {
    let config = TrainConfig {
        eval_first: true,
        eval_every: Some(2),
        ..config(2, 4)
    };
    let (error, good) = ends(adapted(device, 0.0), &config, true);
    assert!(error.is_none());
    let steps: Vec<usize> = good.evaluations.iter().map(|(step, ..)| *step).collect();
    assert_eq!(steps, [0, 2, 4]);
    // The best is lower than all before it, the untrained model's included.
    let mut lowest = f64::INFINITY;
    for (step, loss, best) in good.evaluations {
        assert_eq!(best, step > 0 && loss < lowest);
        lowest = lowest.min(loss);
    }
}

fn a_warm_up_ends(device: &Device) {
    let with = |steps| TrainConfig {
        warmup: Warmup::Steps(steps),
        ..config(2, 3)
    };
    assert!(ends(adapted(device, 0.0), &with(2), false).0.is_none());
    let (error, _) = ends(adapted(device, 0.0), &with(3), false);
    assert!(matches!(
        error,
        Some(TrainError::WarmupWithoutEnd {
            warmup: 3,
            total: 3
        })
    ));
}
