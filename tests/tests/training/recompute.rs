//! Blocks that run twice give the gradients of blocks that are kept.

use std::cell::Cell;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use peft_layerwise::TopLayers;
use peft_model::{Attention, CausalLm, Context, Look, Spec, Stages, Transformer};
use peft_models::{DecoderConfig, DecoderForCausalLm};
use peft_prefix::{PrefixConfig, Prefixed};
use peft_ptuning::{PTuningConfig, Prompted};
use peft_train::{
    NextToken, Objective, Observer, PackedNextToken, Progress, SequenceClassification, StepReport,
    TrainConfig, TrainError, Trainer, TrunkCache,
};

use super::{adapted, bits, config, examples};
use crate::fixture::assert_close;
use crate::layerwise::{encoder, texts};
use crate::models::{spread, tiny};
use peft_tests::tolerance::PATHS;

peft_tests::cases!(on the cores:
    adapters_and_whole_models_have_the_same_bits,
    classifiers_have_the_same_bits,
    virtual_tokens_train_alike,
    a_kept_trunk_goes_with_it,
    packed_rows_have_the_same_bits,
    a_kept_trunk_needs_no_embeddings,
);

/// Losses of the steps.
struct Losses(Vec<f64>);

impl<M, R> Observer<M, R> for Losses {
    fn on_step(&mut self, report: &StepReport, _: &Progress<'_, M>) -> Result<(), TrainError> {
        self.0.push(report.loss);
        Ok(())
    }

    fn on_eval(&mut self, _: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Three steps of two batches each.
fn settings(recompute: bool) -> TrainConfig {
    TrainConfig {
        recompute,
        grad_accum: 2,
        ..config(3, 3)
    }
}

fn trained<M, O>(model: M, objective: &O, rows: &[O::Example], recompute: bool) -> (M, Vec<f64>)
where
    M: Module,
    O: Objective<M>,
{
    let mut losses = Losses(Vec::new());
    let config = settings(recompute);
    let trainer = Trainer::new(&config, rows);
    let model = trainer.run(model, objective, &mut losses);
    (model.expect("it trains"), losses.0)
}

#[track_caller]
fn check<M, O>(model: &M, objective: &O, rows: &[O::Example])
where
    M: Module,
    O: Objective<M>,
{
    let (kept, losses) = trained(model.clone(), objective, rows, false);
    let (recomputed, found) = trained(model.clone(), objective, rows, true);
    assert_eq!(found, losses);
    assert!(bits(&kept) != bits(model), "it trains");
    let (kept, recomputed) = (bits(&kept), bits(&recomputed));
    let other: Vec<&String> = kept
        .iter()
        .filter(|(path, value)| recomputed.get(*path) != Some(value))
        .map(|(path, _)| path)
        .collect();
    assert!(other.is_empty(), "other bits: {other:?}");
}

fn three_blocks(tied: bool, device: &Device) -> DecoderForCausalLm {
    let config = DecoderConfig {
        n_layers: 3,
        tie_word_embeddings: tied,
        windows: vec![None, Some(3), None],
        ..tiny()
    };
    spread(&config, &device.clone().autodiff())
}

fn adapters_and_whole_models_have_the_same_bits(device: &Device) {
    check(&adapted(device, 0.0), &NextToken, &examples(7));
    for tied in [false, true] {
        check(&three_blocks(tied, device), &NextToken, &examples(7));
    }
}

fn classifiers_have_the_same_bits(device: &Device) {
    let objective = SequenceClassification::default();
    check(&encoder(device), &objective, &texts(7));
}

fn virtual_tokens_train_alike(device: &Device) {
    let mut prompted = Prompted::new(three_blocks(false, device));
    let config = PTuningConfig::new(2);
    config.attach(&mut prompted, "default").expect("a prompt");
    check(&prompted, &NextToken, &examples(7));

    let prefixed = |config: PrefixConfig| {
        let mut model = Prefixed::new(three_blocks(false, device));
        config.attach(&mut model, "default").expect("a prefix");
        model
    };
    check(&prefixed(PrefixConfig::new(2)), &NextToken, &examples(7));
    // The last block's part of a projection's gradient is a sum by itself.
    let model = prefixed(PrefixConfig::new(2).with_projection(5));
    let (kept, _) = trained(model.clone(), &NextToken, &examples(7), false);
    let (recomputed, _) = trained(model, &NextToken, &examples(7), true);
    let flat = |model: &Prefixed<DecoderForCausalLm>| {
        let prefix = model.input.as_ref().expect("a prefix");
        prefix.flat().inner()
    };
    assert_close(&flat(&recomputed), &flat(&kept), PATHS);
}

fn a_kept_trunk_goes_with_it(device: &Device) {
    let model = three_blocks(false, device);
    let run = |recompute: bool| {
        let top = TopLayers::new(&model, 2).expect("two layers");
        let cache = TrunkCache::default();
        let config = settings(recompute);
        let rows = examples(7);
        let mut losses = Losses(Vec::new());
        let trained = Trainer::new(&config, &rows)
            .with_strategy(&top)
            .with_trunk_cache(Some(&cache))
            .run(model.clone(), &NextToken, &mut losses)
            .expect("it trains");
        (bits(&trained), losses.0)
    };
    assert!(run(true) == run(false));
}

/// In rows that hold several, which a block's second run must lay out as the first.
fn packed_rows_have_the_same_bits(device: &Device) {
    let objective = PackedNextToken {
        row_length: 24,
        ..Default::default()
    };
    check(&adapted(device, 0.0), &objective, &examples(7));
}

thread_local! {
    /// Batches that have been embedded: all in the thread of the test.
    static EMBEDDED: Cell<usize> = const { Cell::new(0) };
}

/// A decoder that counts the batches that it embeds.
#[derive(Module, Debug)]
struct Counting {
    model: DecoderForCausalLm,
}

impl Stages for Counting {
    fn spec(&self) -> Spec {
        self.model.stages().spec()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        EMBEDDED.set(EMBEDDED.get() + 1);
        self.model.stages().embed(ids)
    }

    fn begin(&self, embeds: Tensor<3>, context: &Context) -> Tensor<3> {
        self.model.stages().begin(embeds, context)
    }

    fn look(&self, block: usize) -> Look<'_> {
        self.model.stages().look(block)
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        self.model.stages().block(block, x, attention)
    }

    fn finish(&self, x: Tensor<3>, context: &Context) -> Tensor<3> {
        self.model.stages().finish(x, context)
    }
}

impl Transformer for Counting {
    fn stages(&self) -> &dyn Stages {
        self
    }
}

impl CausalLm for Counting {
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.model.logits(hidden)
    }
}

fn a_kept_trunk_needs_no_embeddings(device: &Device) {
    let model = Counting {
        model: three_blocks(false, device),
    };
    let rows = examples(6);
    let embedded = |steps: usize| {
        let top = TopLayers::new(&model, 2).expect("two layers");
        let cache = TrunkCache::default();
        let config = TrainConfig {
            recompute: true,
            ..config(3, steps)
        };
        EMBEDDED.set(0);
        Trainer::new(&config, &rows)
            .with_strategy(&top)
            .with_trunk_cache(Some(&cache))
            .run(model.clone(), &NextToken, &mut Losses(Vec::new()))
            .expect("it trains");
        EMBEDDED.get()
    };
    assert_eq!(embedded(4), embedded(8));
}
