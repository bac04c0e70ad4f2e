//! A vocabulary so large that the output layer runs on some rows at a time.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use peft_core::{Placed, Targets};
use peft_lora::LoraConfig;
use peft_models::{DecoderConfig, DecoderForCausalLm};
use peft_tests::tolerance::PATHS;
use peft_train::{Batch, Example, NextToken, Objective, evaluate, target_nll};

use crate::fixture::filled_adapters;
use crate::models::{spread, tiny};

peft_tests::cases!(on the cores:
    an_adapted_output_layer_has_the_gradients_of_the_whole,
    a_tied_output_layer_has_the_gradients_of_the_whole,
    a_frozen_output_layer_has_the_gradients_of_the_whole,
    an_evaluation_is_that_of_the_whole
);

/// With as many targets as [`rows`] has, more scores than are formed at once.
const VOCABULARY: usize = 60_000;

fn large() -> DecoderConfig {
    DecoderConfig {
        vocab_size: VOCABULARY,
        logit_softcap: Some(2.0),
        ..tiny()
    }
}

/// 297 targets.
fn rows() -> Vec<Example> {
    let row = |i: usize| {
        let ids = (0..12).map(|j| ((i * 7919 + j * j * 331) % VOCABULARY) as u32);
        Example::new(ids.collect(), (0..12).map(|j| j > 0).collect())
    };
    (0..27).map(row).collect()
}

struct Gradients<'a> {
    grads: &'a GradientsParams,
    path: Vec<String>,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Gradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let values = grad.into_data().iter().collect();
            self.found.insert(self.path.join("."), values);
        }
    }
}

fn gradients(model: &DecoderForCausalLm, loss: Tensor<1>) -> (f32, BTreeMap<String, Vec<f32>>) {
    let value = loss.clone().into_scalar::<f32>();
    let grads = GradientsParams::from_grads(loss.backward(), model);
    let mut all = Gradients {
        grads: &grads,
        path: Vec::new(),
        found: BTreeMap::new(),
    };
    model.visit(&mut all);
    (value, all.found)
}

/// That of the objective beside that of all scores at once; the paths that have gradients.
fn compare(model: &DecoderForCausalLm, device: &Device) -> Vec<String> {
    let rows = rows();
    let rows: Vec<&Example> = rows.iter().collect();
    let device = device.clone().autodiff();
    let whole = target_nll(model, &Batch::new(&rows, &device)).sum();
    let (expected, of_whole) = gradients(model, whole);
    let (found, of_chunks) = gradients(model, NextToken.loss_sum(model, &rows, &device));
    assert!((found - expected).abs() <= PATHS * expected);
    assert_eq!(
        of_chunks.keys().collect::<Vec<_>>(),
        of_whole.keys().collect::<Vec<_>>()
    );
    for (path, found) in &of_chunks {
        let expected = &of_whole[path];
        let size = expected.iter().fold(0.0f32, |size, x| size.max(x.abs()));
        assert!(size > 0.0, "{path}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= PATHS * size, "{path}: {a}, expected {b}");
        }
    }
    of_chunks.into_keys().collect()
}

fn adapted(device: &Device, targets: &[&str]) -> DecoderForCausalLm {
    let mut model = spread(&large(), &device.clone().autodiff());
    LoraConfig::new(3, 6.0)
        .with_targets(Targets::suffixes(targets.iter().copied()))
        .attach(&mut model, "default")
        .expect("it attaches");
    filled_adapters(model)
}

fn an_adapted_output_layer_has_the_gradients_of_the_whole(device: &Device) {
    let paths = compare(&adapted(device, &["v_proj", "lm_head"]), device);
    for layer in ["v_proj", "lm_head"] {
        assert!(paths.iter().any(|path| path.contains(layer)), "{paths:?}");
    }
}

fn a_tied_output_layer_has_the_gradients_of_the_whole(device: &Device) {
    let config = DecoderConfig {
        tie_word_embeddings: true,
        ..large()
    };
    let paths = compare(&spread(&config, &device.clone().autodiff()), device);
    assert!(paths.iter().any(|path| path.contains("embed_tokens")));
}

fn a_frozen_output_layer_has_the_gradients_of_the_whole(device: &Device) {
    let paths = compare(&adapted(device, &["q_proj", "v_proj"]), device);
    assert!(paths.iter().all(|path| path.contains("_proj")), "{paths:?}");
}

fn an_evaluation_is_that_of_the_whole(device: &Device) {
    let model = adapted(device, &["v_proj", "lm_head"]).valid();
    let rows = rows();
    let of = |size| evaluate(&model, &rows, size).expect("it evaluates");
    let (at_once, apart) = (of(27), of(3));
    assert!((at_once.loss - apart.loss).abs() <= f64::from(PATHS) * apart.loss);
    assert_eq!(at_once.tokens, 297);
    assert_eq!(at_once.token_accuracy, apart.token_accuracy);
}
