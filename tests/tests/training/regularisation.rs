//! Smoothed labels and noisy embeddings: what training does and evaluation does not.

use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use peft_model::{Pass, Transformer};
use peft_train::{
    Batch, Example, NextToken, Objective, PackedNextToken, Regularisation, TrainConfig, Trainer,
};

use super::{Log, adapted, bits, config, examples};

peft_tests::cases!(
    smoothed_labels_are_a_mixture,
    noise_is_as_large_as_each_text_allows,
    noise_is_drawn_anew_and_reproduces,
    evaluation_knows_of_neither,
);

fn with(label_smoothing: f64, noise_alpha: f64) -> PackedNextToken {
    PackedNextToken {
        row_length: 0,
        regularisation: Regularisation {
            label_smoothing,
            noise_alpha,
        },
    }
}

/// `(1 − ε)` of the loss of the targets and `ε` of the mean loss of all tokens, by hand.
fn smoothed_labels_are_a_mixture(device: &Device) {
    let device = &device.clone().autodiff();
    let model = adapted(device, 0.0);
    let rows = examples(5);
    let rows: Vec<&Example> = rows.iter().collect();
    let loss = |objective: &PackedNextToken| {
        let sum = objective.loss_sum(&model, &rows, device);
        f64::from(sum.into_scalar::<f32>())
    };
    let plain = loss(&with(0.0, 0.0));
    let batch = Batch::new(&rows, device);
    let hidden = model.hidden(batch.ids.clone(), batch.segments.clone(), None);
    let logits = peft_models::CausalLm::logits(&model, hidden);
    let [_, positions, vocabulary] = logits.dims();
    let log_probs = burn::tensor::activation::log_softmax(logits, 2).into_data();
    let log_probs: Vec<f32> = log_probs.iter().collect();
    let (mut of_targets, mut of_all) = (0.0, 0.0);
    for (row, example) in rows.iter().enumerate() {
        for i in 1..example.ids.len() {
            if !example.targets[i] {
                continue;
            }
            let at = (row * positions + i - 1) * vocabulary;
            let scores = &log_probs[at..at + vocabulary];
            of_targets -= f64::from(scores[example.ids[i] as usize]);
            of_all -= scores.iter().map(|p| f64::from(*p)).sum::<f64>() / vocabulary as f64;
        }
    }
    assert!((plain - of_targets).abs() < 1e-4 * plain);
    let expected = 0.8 * of_targets + 0.2 * of_all;
    let found = loss(&with(0.2, 0.0));
    assert!(
        (found - expected).abs() < 1e-4 * expected,
        "{found}, {expected}"
    );
    assert!((found - plain).abs() > 1e-2);
}

/// Embeddings of zeros show the noise itself: padding has none, and a text's is of its own length.
fn noise_is_as_large_as_each_text_allows(device: &Device) {
    let device = &device.clone().autodiff();
    let model = adapted(device, 0.0);
    let largest = |lengths: &[f32]| {
        let data = TensorData::new(lengths.to_vec(), [2, 3]);
        Some(Tensor::<2>::from_data(data, device))
    };
    let ids = Tensor::<2, Int>::zeros([2, 3], device);
    let embeds = |noise| {
        let pass = Pass::default().noisy(noise);
        let context = model.context([2, 3], pass, None, device);
        model.begin(ids.clone(), &context)
    };
    let noise = embeds(largest(&[0.5, 0.5, 0.0, 0.1, 0.1, 0.1])) - embeds(None);
    let width = noise.dims()[2];
    let values: Vec<f32> = noise.into_data().iter().collect();
    for (position, most) in [0.5f32, 0.5, 0.0, 0.1, 0.1, 0.1].into_iter().enumerate() {
        let numbers = &values[position * width..(position + 1) * width];
        assert!(numbers.iter().all(|n| n.abs() <= most + 1e-6), "{position}");
        let far = numbers.iter().any(|n| n.abs() > 0.5 * most);
        assert!(far || most == 0.0, "{position}");
        let (below, above) = (
            numbers.iter().any(|n| *n < 0.0),
            numbers.iter().any(|n| *n > 0.0),
        );
        assert!((below && above) || most == 0.0, "{position}");
    }
}

fn run(objective: &PackedNextToken, device: &Device, seed: u64) -> (Vec<f64>, Vec<f32>) {
    let rows = examples(6);
    let config = TrainConfig {
        seed,
        ..config(6, 3)
    };
    let mut log = Log::default();
    let model = Trainer::new(&config, &rows).run(adapted(device, 0.0), objective, &mut log);
    let values = bits(&model.expect("it trains")).into_values();
    (
        log.steps.iter().map(|step| step.loss).collect(),
        values
            .flat_map(|data| data.iter::<f32>().collect::<Vec<_>>())
            .collect(),
    )
}

fn noise_is_drawn_anew_and_reproduces(device: &Device) {
    let (plain, noisy) = (with(0.0, 0.0), with(0.0, 20.0));
    let (without, _) = run(&plain, device, 5);
    let (losses, values) = run(&noisy, device, 5);
    assert!(
        (losses[0] - without[0]).abs() > 1e-4,
        "{losses:?} {without:?}"
    );
    // Tests of other threads draw from the same generator: what they leave of it is compared where
    // it is the device's alone, in `resume` and by the command.
    assert!(values.iter().all(|value| value.is_finite()));
    // A small α is a small change.
    let (small, _) = run(&with(0.0, 1e-4), device, 5);
    assert!((small[0] - without[0]).abs() < 1e-4 * without[0]);
}

fn evaluation_knows_of_neither(device: &Device) {
    let rows = examples(6);
    let model = burn::module::Module::valid(&adapted(device, 0.0));
    let plain = NextToken.evaluate(&model, (&rows).into(), 3);
    let found = with(0.3, 9.0).evaluate(&model, (&rows).into(), 3);
    let [plain, found] = [plain, found].map(|report| report.expect("it evaluates"));
    let same = |a: f64, b: f64| {
        let (a, b) = (TensorData::from([a]), TensorData::from([b]));
        a.assert_approx_eq::<f64>(&b, Tolerance::absolute(0.0));
    };
    same(plain.loss, found.loss);
    same(plain.token_accuracy, found.token_accuracy);
    let name = |objective: &dyn Fn() -> String| objective();
    let of = with(0.3, 9.0);
    let told = name(&|| Objective::<peft_models::DecoderForCausalLm>::name(&of));
    assert_eq!(
        told,
        "next token, labels smoothed by 0.3, embeddings with noise 9"
    );
}
