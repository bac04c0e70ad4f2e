//! The loop: accumulation, seeds, clipping, freezing, schedules, evaluation.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use peft_train::{
    Batch, Example, NextToken, Schedule, TrainConfig, TrainError, Warmup, clip_global_norm,
    evaluate, pack, target_nll, train,
};

use super::{Log, adapted, bits, config, examples};
use crate::fixture::{is_adapter, params};

peft_tests::cases!(
    two_half_batches_give_the_update_of_the_whole,
    threads_give_the_update_of_one,
    packed_rows_give_the_update_of_rows_apart,
    the_loss_falls,
    only_the_adapter_changes,
    gradients_are_clipped_together,
    clipping_bounds_the_update,
    learning_rates_follow_the_schedule,
    evaluations_come_at_intervals_and_at_the_end,
    mistakes_are_named,
);

/// The largest difference between the parameters after one step by two settings.
fn difference(device: &Device, rows: &[Example], a: &TrainConfig, b: &TrainConfig) -> f32 {
    let run = |config: &TrainConfig| {
        let model = adapted(device, 0.0);
        bits(
            &train(
                model,
                &NextToken,
                rows,
                None,
                config,
                None,
                &mut Log::default(),
            )
            .expect("it trains"),
        )
    };
    let (a, b) = (run(a), run(b));
    a.iter()
        .flat_map(|(path, data)| data.iter::<f32>().zip(b[path].iter::<f32>()))
        .fold(0.0, |largest, (a, b)| (a - b).abs().max(largest))
}

fn two_half_batches_give_the_update_of_the_whole(device: &Device) {
    let rows = examples(8);
    let whole = TrainConfig {
        // An ε this large makes Adam's first step depend on the size of the gradient and not on its
        // sign alone.
        epsilon: 0.1,
        ..config(8, 1)
    };
    let halves = TrainConfig {
        batch_size: 4,
        grad_accum: 2,
        ..whole.clone()
    };
    let one = TrainConfig {
        batch_size: 1,
        grad_accum: 8,
        ..whole.clone()
    };
    assert!(difference(device, &rows, &whole, &halves) < 1e-6);
    assert!(difference(device, &rows, &whole, &one) < 1e-6);
    // The comparison can fail: one half is not the whole.
    let half = TrainConfig {
        batch_size: 4,
        ..whole.clone()
    };
    assert!(difference(device, &rows, &whole, &half) > 1e-5);
    peft_tests::Invariant::Accumulation.verified("lora", device);
}

fn threads_give_the_update_of_one(device: &Device) {
    let rows = examples(9);
    let with = |workers| TrainConfig {
        epsilon: 0.1,
        workers,
        ..config(9, 3)
    };
    for workers in [2, 4, 9, 20] {
        assert!(difference(device, &rows, &with(1), &with(workers)) < 1e-6);
    }
    assert!(difference(device, &rows, &with(3), &with(3)) == 0.0);
}

fn packed_rows_give_the_update_of_rows_apart(device: &Device) {
    let rows = examples(9);
    let packed = pack(&rows, 20);
    assert!(packed.len() < 6, "{} rows", packed.len());
    let step = |rows: &[Example]| {
        let config = TrainConfig {
            epsilon: 0.1,
            ..config(9, 1)
        };
        let mut log = Log::default();
        let model = adapted(device, 0.0);
        let model =
            train(model, &NextToken, rows, None, &config, None, &mut log).expect("it trains");
        (bits(&model), log.steps[0].loss, log.steps[0].targets)
    };
    let ((apart, loss, tokens), (together, packed_loss, packed_tokens)) =
        (step(&rows), step(&packed));
    assert_eq!(tokens, packed_tokens);
    assert!(
        (loss - packed_loss).abs() < 1e-5 * loss,
        "{loss} {packed_loss}"
    );
    for (path, data) in &apart {
        let pairs = data.iter::<f32>().zip(together[path].iter::<f32>());
        assert!(
            pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6),
            "{path}"
        );
    }
    // Rows that see each other give another loss.
    let mut joined = packed;
    for row in &mut joined {
        row.starts.truncate(1);
    }
    assert!((step(&joined).1 - loss).abs() > 1e-3 * loss);
}

fn the_loss_falls(device: &Device) {
    let rows = examples(6);
    let model = adapted(device, 0.0);
    let before = evaluate(&model.valid(), &rows, 4)
        .expect("it evaluates")
        .loss;
    let mut log = Log::default();
    let config = config(6, 60);
    let model = train(model, &NextToken, &rows, None, &config, None, &mut log).expect("it trains");
    let after = evaluate(&model.valid(), &rows, 4)
        .expect("it evaluates")
        .loss;
    assert!(after < 0.9 * before, "{before} before, {after} after");
    assert!((log.steps[0].loss - before).abs() < 1e-4 * before);
}

fn only_the_adapter_changes(device: &Device) {
    let model = adapted(device, 0.0);
    let before = params(&model);
    let config = TrainConfig {
        weight_decay: 0.1,
        ..config(4, 5)
    };
    let model = train(
        model,
        &NextToken,
        &examples(8),
        None,
        &config,
        None,
        &mut Log::default(),
    )
    .expect("it trains");
    for (path, after) in params(&model) {
        let changed = after.data != before[&path].data;
        assert_eq!(changed, is_adapter(&path), "{path}");
    }
}

fn gradients_are_clipped_together(device: &Device) {
    let model = adapted(device, 0.0);
    let rows = examples(4);
    let batch = Batch::new(&rows.iter().collect::<Vec<_>>(), &device.clone().autodiff());
    let gradients = || {
        let loss = target_nll(&model, &batch).sum();
        GradientsParams::from_grads(loss.backward(), &model)
    };
    let (norm, untouched) = clip_global_norm(&model, gradients(), None);
    assert!(norm > 0.5, "{norm}");
    let (same, untouched) = clip_global_norm(&model, untouched, Some(2.0 * norm));
    assert!((same - norm).abs() < 1e-6 * norm);
    let (same, clipped) = clip_global_norm(&model, untouched, Some(0.25));
    assert!((same - norm).abs() < 1e-6 * norm);
    let (now, _) = clip_global_norm(&model, clipped, None);
    assert!((now - 0.25).abs() < 1e-4, "{now}");
}

fn clipping_bounds_the_update(device: &Device) {
    let rows = examples(8);
    let clipped = |max_grad_norm| TrainConfig {
        epsilon: 0.1,
        max_grad_norm,
        ..config(8, 1)
    };
    assert!(difference(device, &rows, &clipped(None), &clipped(Some(1e6))) == 0.0);
    assert!(difference(device, &rows, &clipped(None), &clipped(Some(0.01))) > 1e-4);
}

fn learning_rates_follow_the_schedule(device: &Device) {
    let config = TrainConfig {
        epochs: 2,
        max_steps: None,
        schedule: Schedule::Cosine,
        warmup: Warmup::Fraction(0.3),
        ..config(3, 0)
    };
    let mut log = Log::default();
    let model = adapted(device, 0.0);
    train(
        model,
        &NextToken,
        &examples(10),
        None,
        &config,
        None,
        &mut log,
    )
    .expect("it trains");
    // Ten rows by three are four steps an epoch.
    assert_eq!(log.steps.len(), 8);
    for (i, step) in log.steps.iter().enumerate() {
        let expected = 0.02 * Schedule::Cosine.factor(i, 3, 8);
        assert!((step.learning_rate - expected).abs() < 1e-12);
        assert_eq!((step.step, step.total_steps), (i + 1, 8));
    }
    let targets: usize = log.steps.iter().map(|step| step.targets).sum();
    let each: usize = examples(10).iter().map(Example::n_targets).sum();
    assert_eq!(targets, 2 * each);
    peft_tests::Invariant::Schedule.verified("lora", device);
}

fn evaluations_come_at_intervals_and_at_the_end(device: &Device) {
    let config = TrainConfig {
        eval_every: Some(2),
        ..config(4, 5)
    };
    let (rows, valid) = (examples(12), examples(5));
    let mut log = Log::default();
    let model = adapted(device, 0.0);
    let model = train(
        model,
        &NextToken,
        &rows,
        Some(&valid),
        &config,
        None,
        &mut log,
    )
    .expect("it trains");
    let steps: Vec<usize> = log.evaluations.iter().map(|(step, _, _)| *step).collect();
    assert_eq!(steps, [2, 4, 5]);
    let mut lowest = f64::INFINITY;
    for (_, report, best) in &log.evaluations {
        assert_eq!(*best, report.loss < lowest);
        lowest = lowest.min(report.loss);
    }
    let last = evaluate(&model.valid(), &valid, 2)
        .expect("it evaluates")
        .loss;
    assert!((log.evaluations[2].1.loss - last).abs() < 1e-5 * last);
}

fn mistakes_are_named(device: &Device) {
    let run = |config: &TrainConfig| {
        let model = adapted(device, 0.0);
        train(
            model,
            &NextToken,
            &examples(4),
            None,
            config,
            None,
            &mut Log::default(),
        )
        .err()
        .map(|error| error.to_string())
        .expect("it is refused")
    };
    assert!(run(&config(0, 1)).contains("batch size"));
    let steep = TrainConfig {
        learning_rate: f64::NAN,
        ..config(2, 1)
    };
    assert!(run(&steep).contains("learning rate"));
    // More than all of a parameter in a step.
    let decaying = TrainConfig {
        weight_decay: 50.0,
        ..config(2, 1)
    };
    assert!(run(&decaying).contains("weight decay is 50"));
    let frozen = adapted(device, 0.0).no_grad();
    let refused = train(
        frozen,
        &NextToken,
        &examples(4),
        None,
        &config(2, 1),
        None,
        &mut Log::default(),
    );
    assert!(matches!(refused, Err(TrainError::NothingTrains)));
}
