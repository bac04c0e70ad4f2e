//! Adapters on packed bases, and what trains there.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use peft_core::{ForwardPath, Names, ParamSet, Placed, Targets, freeze_all_but};
use peft_ia3::Ia3Config;
use peft_lora::LoraConfig;
use peft_models::{LanguageModel, Transformer};
use peft_store::{Held, base_digest};
use peft_tests::Unwatched;
use peft_train::{Batch, Example, NextToken, TrainConfig, TrainError, Trainer, target_nll, train};

use super::{NF4, Q8, dense, load, logits, packs};
use crate::fixture::filled_adapters;

peft_tests::cases!(on the cores:
    adapters_see_the_dense_value,
    training_leaves_the_base,
    a_packed_weight_does_not_train,
    packed_weights_stay_on_their_device,
);

/// An adapted packed layer computes, and hands to what is below, what it would on the dense value.
fn adapters_see_the_dense_value(device: &Device) {
    if !packs(device) {
        return;
    }
    let device = device.clone().autodiff();
    let batch = |vocab: usize| {
        let row = Example::new(
            (0..12).map(|i| i * 5 % vocab as u32).collect(),
            vec![true; 12],
        );
        Batch::new(&[&row, &row], &device)
    };
    for quantise in [NF4, Q8] {
        let base = load("models/gqa", quantise, &device);
        let lora = |path| {
            LoraConfig::new(3, 5.0)
                .with_targets(Targets::all_linear())
                .with_path(path)
        };
        let ia3 = Ia3Config::new(Targets::suffixes(["k_proj", "v_proj", "down_proj"]))
            .with_feedforward(Names::suffixes(["down_proj"]))
            .with_path(ForwardPath::Factored);
        let whole = lora(ForwardPath::Factored).with_whole_modules(["layers.0.mlp.up_proj"]);
        type Attach<'a> = Box<dyn Fn(&mut LanguageModel) + 'a>;
        let methods: [(&str, Attach<'_>); 4] = [
            (
                "lora",
                Box::new(|m| drop(lora(ForwardPath::Factored).attach(m, "a"))),
            ),
            (
                "by weight",
                Box::new(|m| drop(lora(ForwardPath::Weight).attach(m, "a"))),
            ),
            ("ia3", Box::new(|m| drop(ia3.attach(m, "a")))),
            ("whole", Box::new(|m| drop(whole.attach(m, "a")))),
        ];
        for (name, attach) in methods {
            let mut model = base.clone();
            attach(&mut model);
            assert!(!peft_core::slots(&model).is_empty(), "{name}");
            let packed = filled_adapters(model);
            let batch = batch(packed.vocab_size());
            let found = gradients(&packed, &batch);
            let expected = gradients(&dense(&packed), &batch);
            assert!(found.len() > 3, "{name}");
            for ((path, found), (_, expected)) in found.iter().zip(&expected) {
                let largest = expected.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
                let gaps = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
                let gap = gaps.fold(0.0, f64::max);
                assert!(gap < 1e-4 * largest, "{name} {path}: {gap} of {largest}");
            }
        }
    }
}

/// The loss, and the gradient of every parameter that has one, by path.
fn gradients(model: &LanguageModel, batch: &Batch) -> Vec<(String, Vec<f64>)> {
    struct Grads(burn::tensor::Gradients, Vec<(String, Vec<f64>)>);
    impl peft_core::VisitParams for Grads {
        fn visit<const D: usize>(&mut self, at: &peft_core::ParamPlace, param: &Param<Tensor<D>>) {
            if let Some(grad) = param.base().grad(&self.0) {
                let values = grad.into_data().iter::<f64>().collect();
                self.1.push((at.path(), values));
            }
        }
    }
    let loss = target_nll(model, batch).mean();
    let value = f64::from(loss.clone().into_scalar::<f32>());
    let mut grads = Grads(loss.backward(), vec![("loss".into(), vec![value])]);
    peft_core::visit_params(model, &mut grads);
    grads.1
}

fn trained(
    model: LanguageModel,
    steps: usize,
    workers: usize,
) -> Result<LanguageModel, TrainError> {
    let rows: Vec<Example> = (0..6u32)
        .map(|row| {
            Example::new(
                (0..9).map(|i| (row * 7 + i * 5) % 64).collect(),
                vec![true; 9],
            )
        })
        .collect();
    let config = TrainConfig {
        batch_size: 2,
        max_steps: Some(steps),
        learning_rate: 1e-2,
        workers,
        ..TrainConfig::default()
    };
    train(
        model,
        &NextToken,
        &rows,
        Some(&rows[..2]),
        &config,
        None,
        &mut Unwatched,
    )
}

/// A run moves the adapter and no block; with several workers, which clone the model, too.
fn training_leaves_the_base(device: &Device) {
    if !packs(device) {
        return;
    }
    let device = device.clone().autodiff();
    for quantise in [NF4, Q8] {
        let mut model = load("models/gqa", quantise, &device);
        let before = base_digest(&model, &Default::default());
        LoraConfig::new(2, 4.0)
            .with_targets(Targets::all_linear())
            .with_path(ForwardPath::Factored)
            .attach(&mut model, "a")
            .expect("it attaches");
        for workers in [1, 2] {
            let trained = trained(model.clone(), 3, workers).expect("it trains");
            assert_eq!(base_digest(&trained, &Default::default()), before);
            assert_eq!(Held::of(&trained).packed, Held::of(&model).packed);
            let moved = (logits(&trained.valid()) - logits(&model.valid()))
                .abs()
                .max();
            assert!(moved.into_scalar::<f32>() > 1e-3);
        }
    }
}

fn a_packed_weight_does_not_train(device: &Device) {
    if !packs(device) {
        return;
    }
    let device = device.clone().autodiff();
    let mut model = load("models/gqa", NF4, &device);
    let error = trained(model.clone(), 1, 1).expect_err("its layers would train");
    assert!(matches!(error, TrainError::Packed { .. }), "{error}");
    assert!(
        error.to_string().contains("q_proj.weight` is to train"),
        "{error}"
    );
    // What is not packed trains.
    let norms = ParamSet::Names(Names::suffixes(["input_layernorm"]));
    freeze_all_but(&mut model, &norms).expect("it has norms");
    let before = logits(&model.valid());
    let trained = trained(model, 2, 1).expect("it trains");
    assert!(
        (logits(&trained.valid()) - before)
            .abs()
            .max()
            .into_scalar::<f32>()
            > 1e-4
    );
}

fn packed_weights_stay_on_their_device(device: &Device) {
    let other = peft_tests::devices().into_iter().find(|at| at != device);
    let Some(other) = other.filter(|_| packs(device)) else {
        return;
    };
    let mut model = load("models/gqa", NF4, &device.clone().autodiff());
    let config = LoraConfig::new(2, 4.0);
    config.attach(&mut model, "a").expect("it attaches");
    let rows = [Example::new(vec![3; 9], vec![true; 9])];
    let config = TrainConfig::default();
    let devices = [device.clone(), other];
    let trainer = Trainer::new(&config, &rows).with_devices(&devices);
    let ended = trainer.run(model, &NextToken, &mut Unwatched);
    let ended = ended.expect_err("it is refused").to_string();
    assert!(ended.contains("is packed"), "{ended}");
}
