//! Runs of classifiers: what they do and do not depend on, and what they predict.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use peft_train::{
    ClassExample, EvalReport, LabelSet, Objective, Observer, Prediction, ProblemType, Progress,
    Report, SequenceClassification, SequenceReport, StepReport, TagExample, Target, TextInput,
    TokenClassification, TrainConfig, TrainError, TrainState, Trainer, Warmup, classify, tag_words,
    train,
};

use super::tiny::Tiny;
use crate::training::bits;
use crate::training::data::{WORDS, tokenizer};

peft_tests::cases!(
    halves_and_threads_give_the_update_of_the_whole,
    padding_does_not_change_a_row,
    scores_of_zero_have_a_gradient,
    a_classifier_learns_and_goes_on_to_the_same_bits,
    a_tagger_learns,
    predictions_are_those_of_the_evaluation,
);

/// The class of a text is that of its first token.
fn texts(n: u32) -> Vec<ClassExample> {
    let row = |i: u32| {
        let first = 4 + i % 3;
        let rest = (0..i * 5 % 4).map(|j| 1 + (i + j) % 3);
        ClassExample {
            types: Vec::new(),
            ids: [first, first].into_iter().chain(rest).collect(),
            target: Target::Class((i % 3) as usize),
        }
    };
    (0..n).map(row).collect()
}

/// The tag of a token is what it leaves divided by three; every other token of a row has one.
fn tagged(n: u32) -> Vec<TagExample> {
    let row = |i: u32| {
        let ids: Vec<u32> = (0..2 + i * 5 % 6).map(|j| (i * 3 + j * 7) % 11).collect();
        let tag = |(at, id): (usize, &u32)| (at % 2 == 0).then_some((*id % 3) as usize);
        let tags = ids.iter().enumerate().map(tag).collect();
        TagExample { ids, tags }
    };
    (0..n).map(row).collect()
}

fn config(batch_size: usize, steps: usize) -> TrainConfig {
    TrainConfig {
        batch_size,
        max_steps: Some(steps),
        learning_rate: 0.05,
        warmup: Warmup::Steps(0),
        epsilon: 0.1,
        ..TrainConfig::default()
    }
}

/// Keeps losses and states.
#[derive(Default)]
struct Log {
    losses: Vec<f64>,
    evaluations: Vec<f64>,
    states: Vec<TrainState>,
}

impl<M: Module, R: Report> Observer<M, R> for Log {
    fn on_step(&mut self, report: &StepReport, run: &Progress<'_, M>) -> Result<(), TrainError> {
        self.losses.push(report.loss);
        self.states.push(run.state());
        Ok(())
    }

    fn on_eval(&mut self, report: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        self.evaluations.push(report.loss());
        Ok(())
    }
}

fn halves_and_threads_give_the_update_of_the_whole(device: &Device) {
    let device = &device.clone().autodiff();
    fn after<O: Objective<Tiny>>(
        objective: &O,
        rows: &[O::Example],
        config: &TrainConfig,
        device: &Device,
    ) -> Vec<f32> {
        let model = Tiny::new(3, device);
        let model = train(
            model,
            objective,
            rows,
            None,
            config,
            None,
            &mut Log::default(),
        );
        let bits = bits(&model.expect("it trains"));
        bits.values()
            .flat_map(|data| data.iter::<f32>().collect::<Vec<_>>())
            .collect()
    }
    fn check<O: Objective<Tiny>>(objective: &O, rows: &[O::Example], device: &Device) {
        let whole = after(objective, rows, &config(8, 1), device);
        let apart = |other: &TrainConfig| {
            let other = after(objective, rows, other, device);
            let pairs = whole.iter().zip(other);
            pairs.fold(0.0f32, |most, (a, b)| most.max((a - b).abs()))
        };
        assert!(
            apart(&TrainConfig {
                grad_accum: 4,
                ..config(2, 1)
            }) < 1e-6
        );
        assert!(
            apart(&TrainConfig {
                workers: 3,
                ..config(8, 1)
            }) < 1e-6
        );
        assert!(apart(&config(4, 1)) > 1e-5);
    }
    let objective = SequenceClassification {
        problem: ProblemType::SingleLabel,
        ..Default::default()
    };
    check(&objective, &texts(8), device);
    check(&TokenClassification::default(), &tagged(8), device);
}

fn padding_does_not_change_a_row(device: &Device) {
    let model = Tiny::new(3, device).valid();
    let objective = SequenceClassification {
        problem: ProblemType::SingleLabel,
        ..Default::default()
    };
    let (texts, tagged) = (texts(9), tagged(9));
    let alone = objective.evaluate(&model, (&texts).into(), 1);
    let alone = alone.expect("it evaluates");
    let tags = TokenClassification::default().evaluate(&model, (&tagged).into(), 1);
    let tags = tags.expect("it evaluates");
    for batch_size in [2, 9] {
        let report = objective.evaluate(&model, (&texts).into(), batch_size);
        let report = report.expect("it evaluates");
        assert!((report.loss() - alone.loss()).abs() < 1e-5 * alone.loss());
        let report = TokenClassification::default().evaluate(&model, (&tagged).into(), batch_size);
        let report = report.expect("it evaluates");
        assert!((report.loss - tags.loss).abs() < 1e-5 * tags.loss);
        assert_eq!(
            (report.accuracy, report.targets),
            (tags.accuracy, tags.targets)
        );
    }
}

fn scores_of_zero_have_a_gradient(device: &Device) {
    let device = &device.clone().autodiff();
    // A fresh head is zero in some models: then each label's gradient is half, one way or the
    // other.
    let mut model = Tiny::new(2, device);
    let zero = |param: Tensor<2>| param.zeros_like().require_grad();
    model.head.weight = model.head.weight.map(zero);
    model.head.bias = model
        .head
        .bias
        .map(|bias| bias.map(|bias| bias.zeros_like().require_grad()));
    let row = ClassExample {
        types: Vec::new(),
        ids: vec![1, 2],
        target: Target::Classes(vec![true, false]),
    };
    let objective = SequenceClassification {
        problem: ProblemType::MultiLabel,
        ..Default::default()
    };
    let loss = objective.loss_sum(&model, &[&row], device);
    let loss_value = f64::from(loss.clone().into_scalar::<f32>());
    assert!((loss_value - std::f64::consts::LN_2).abs() < 1e-6);
    let bias = model.head.bias.as_ref().expect("a bias").val();
    let grad: Vec<f32> = bias
        .grad(&loss.backward())
        .expect("a gradient")
        .into_data()
        .iter::<f32>()
        .collect();
    // The mean over two labels halves it again.
    assert!(
        (grad[0] + 0.25).abs() < 1e-6 && (grad[1] - 0.25).abs() < 1e-6,
        "{grad:?}"
    );
}

fn a_classifier_learns_and_goes_on_to_the_same_bits(device: &Device) {
    let device = &device.clone().autodiff();
    let rows = texts(24);
    let objective = SequenceClassification {
        problem: ProblemType::SingleLabel,
        ..Default::default()
    };
    let config = TrainConfig {
        epsilon: 1e-8,
        ..config(6, 60)
    };
    let run = |state: Option<&TrainState>| {
        let mut log = Log::default();
        let model = Trainer::new(&config, &rows)
            .with_validation(Some(&rows[..6]))
            .with_state(state)
            .run(Tiny::new(3, device), &objective, &mut log)
            .expect("it trains");
        (model, log)
    };
    let (model, log) = run(None);
    assert!(
        log.losses[59] < 0.2 * log.losses[0],
        "{} to {}",
        log.losses[0],
        log.losses[59]
    );
    assert_eq!(log.evaluations.len(), 1);
    let report = objective.evaluate(&model.valid(), (&rows).into(), 5);
    let SequenceReport::Classes(report) = report.expect("it evaluates") else {
        panic!("it tells classes");
    };
    assert_eq!(
        (report.accuracy, report.macro_f1, report.examples),
        (1.0, 1.0, 24)
    );
    let (resumed, _) = run(Some(&log.states[30]));
    assert!(bits(&resumed) == bits(&model));
    // Other labels are other rows, and another task is another run.
    let mut other = rows.clone();
    other[3].target = Target::Class(2);
    let refused = log.states[30].check(&config, &other);
    assert!(matches!(refused, Err(TrainError::Resume { .. })));
    let values = SequenceClassification {
        problem: ProblemType::MultiLabel,
        ..Default::default()
    };
    let refused = Trainer::new(&config, &rows)
        .with_state(&log.states[30])
        .run(Tiny::new(3, device), &values, &mut Log::default());
    assert!(
        refused
            .expect_err("it is refused")
            .to_string()
            .contains("objective")
    );
}

fn a_tagger_learns(device: &Device) {
    let device = &device.clone().autodiff();
    let rows = tagged(20);
    let config = TrainConfig {
        epsilon: 1e-8,
        ..config(5, 80)
    };
    let mut log = Log::default();
    let model = train(
        Tiny::new(3, device),
        &TokenClassification::default(),
        &rows,
        None,
        &config,
        None,
        &mut log,
    );
    let model = model.expect("it trains").valid();
    let report = TokenClassification::default().evaluate(&model, (&rows).into(), 7);
    let report = report.expect("it evaluates");
    assert!(report.accuracy > 0.99, "{}", report.accuracy);
    let tags: usize = rows
        .iter()
        .map(|row| row.tags.iter().flatten().count())
        .sum();
    assert_eq!((report.targets, report.examples), (tags, 20));
}

fn predictions_are_those_of_the_evaluation(device: &Device) {
    let model = Tiny::new(3, device).valid();
    let tokenizer = tokenizer("");
    let labels = LabelSet::new(["x", "y", "z"].map(str::to_owned).to_vec()).expect("labels");
    let texts: Vec<TextInput> = ["a b", "c", "e e f a", "d"]
        .map(|text| text.to_owned().into())
        .to_vec();
    let predict = |problem, batch_size| {
        classify(&model, &tokenizer, problem, &labels, &texts, 8, batch_size).expect("it predicts")
    };
    // Each prediction, taken as the truth, is right.
    let found = predict(ProblemType::SingleLabel, 2);
    assert_eq!(found, predict(ProblemType::SingleLabel, 2));
    let mut seen = std::collections::BTreeSet::new();
    for (text, prediction) in texts.iter().zip(&found) {
        let Prediction::Class {
            label,
            probabilities,
        } = prediction
        else {
            panic!("it is a class");
        };
        let total: f64 = probabilities.iter().map(|(_, p)| p).sum();
        assert!((total - 1.0).abs() < 1e-9);
        let ids = tokenizer
            .encode_within(&text.text, None, 8)
            .expect("it encodes")
            .ids;
        let class = labels
            .names()
            .iter()
            .position(|name| name == label)
            .expect("a label");
        let row = ClassExample {
            types: Vec::new(),
            ids,
            target: Target::Class(class),
        };
        let objective = SequenceClassification {
            problem: ProblemType::SingleLabel,
            ..Default::default()
        };
        let report = objective.evaluate(&model, (&[row]).into(), 1);
        let report = report.expect("it evaluates");
        assert!((report.loss() + probabilities[class].1.ln()).abs() < 1e-5);
        assert!(
            probabilities
                .iter()
                .all(|(_, p)| *p <= probabilities[class].1)
        );
        seen.insert(label.clone());
    }
    assert!(seen.len() > 1, "all texts are {seen:?}");
    for prediction in predict(ProblemType::MultiLabel, 3) {
        let Prediction::Classes {
            labels,
            probabilities,
        } = prediction
        else {
            panic!("it is a list of classes");
        };
        let likely = probabilities
            .into_iter()
            .filter(|(_, p)| *p > 0.5)
            .map(|(name, _)| name);
        assert_eq!(labels, likely.collect::<Vec<_>>());
    }
    // Words: beyond the length there is no tag.
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let rows = [words("a b c d e"), words("f")];
    let tags = tag_words(&model, &tokenizer, &labels, &rows, 4, 2).expect("it tags");
    let tagged: Vec<Vec<bool>> = tags
        .iter()
        .map(|row| row.iter().map(Option::is_some).collect())
        .collect();
    assert_eq!(tagged, [vec![true, true, true, false, false], vec![true]]);
    for (words, tags) in rows.iter().zip(&tags) {
        for (word, tag) in words.iter().zip(tags) {
            let Some(tag) = tag else { continue };
            let id = WORDS
                .iter()
                .position(|known| known == word)
                .expect("a word") as u32;
            let truth = labels.names().iter().position(|name| name == tag);
            let row = TagExample {
                ids: vec![id],
                tags: vec![truth],
            };
            assert_eq!(
                TokenClassification::default()
                    .evaluate(&model, (&[row]).into(), 1)
                    .expect("it evaluates")
                    .accuracy,
                1.0
            );
        }
    }
}

/// A log serves any task: that of language models has its own report.
const _: fn() = || {
    fn observes<T: Observer<Tiny, EvalReport>>() {}
    observes::<Log>();
};
