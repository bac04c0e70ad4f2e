//! A model whose blocks are on several devices is the model on one.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use peft_conformance::assert_close;
use peft_core::{ParamPlace, Parameter, VisitParams, parameters, visit_params};
use peft_layerwise::{BAdam, BlockDevices, Depth, Every, Order, TopLayers};
use peft_model::{Pass, Read, Transformer};
use peft_models::{DecoderConfig, DecoderForCausalLm, EncoderConfig};
use peft_prefix::{PrefixConfig, Prefixed};
use peft_ptuning::{PTuningConfig, Prompted};
use peft_tests::devices;
use peft_tests::tolerance::{GOLDEN_GRADIENTS, GOLDEN_LOGITS};
use peft_train::{
    GenerateConfig, NextToken, SequenceClassification, TrainConfig, TrainError, Trainer,
    TrunkCache, generate_all,
};

use super::devices::{Log, apart_by, run, same_losses, smooth};
use super::{adapted, bits, config, examples};
use crate::checkpointing::{METHODS, Model};
use crate::fixture::filled;
use crate::layerwise::{encoder, texts};
use crate::models::encoders::{bert, distilbert, modernbert, roberta, spread as spread_any};
use crate::models::{gpt2, ids, spread, tiny};

peft_tests::cases!(on the cores:
    every_method_has_the_update_of_one_device,
    fifty_steps_of_an_adapter_have_the_losses_of_one,
    fifty_steps_of_a_prefix_have_the_losses_of_one,
    fifty_steps_of_badam_have_the_losses_of_one,
    classifiers_train_alike,
    families_have_the_states_and_gradients_of_one,
    blocks_that_run_twice_have_the_updates_of_one,
    a_kept_trunk_goes_with_it,
    a_run_goes_on_to_the_same_bits,
    texts_are_continued_alike,
    a_device_has_as_much_as_another,
    rows_are_not_shared,
);

/// This device, and another of the build; where there is none, this one.
fn two(device: &Device) -> [Device; 2] {
    let other = devices().into_iter().find(|other| other != device);
    [device.clone(), other.unwrap_or_else(|| device.clone())]
}

/// Where the block of an index is: states go there and back.
fn of_block(device: &Device, block: usize) -> Device {
    let [here, there] = two(device);
    [here.clone(), there.clone(), there, here][block % 4].clone()
}

/// The same model, its blocks on two devices.
fn placed<M: Module>(model: M, device: &Device) -> M {
    let n = Depth::of(&model).expect("blocks").n_blocks();
    let blocks = (0..n).map(|block| of_block(device, block)).collect();
    let devices = BlockDevices::new(&model, device.clone(), blocks).expect("as many");
    let placed = devices.place(model).expect("it is placed");
    lie_where_their_blocks_do(&placed, device);
    placed
}

/// That no parameter is on another device than that of its block, by the numbers in the paths.
fn lie_where_their_blocks_do<M: Module>(model: &M, device: &Device) {
    struct Check<'a>(&'a Device, Vec<Parameter>, usize);
    impl VisitParams for Check<'_> {
        fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
            let path = at.path();
            let beside = self
                .1
                .iter()
                .any(|of| of.path == path && of.in_input_adapter);
            let mut names = path.split('.');
            let block = names.find_map(|name| name.parse().ok()).filter(|_| !beside);
            let expected = block.map_or(self.0.clone(), |block| of_block(self.0, block));
            assert_eq!(param.base().device(), expected, "`{path}`");
            self.2 += 1;
        }
    }
    let mut check = Check(device, parameters(model), 0);
    visit_params(model, &mut check);
    assert!(check.2 > 10);
}

fn four_blocks(device: &Device) -> DecoderForCausalLm {
    let config = DecoderConfig {
        n_layers: 4,
        windows: vec![None, Some(3), None, Some(3)],
        ..tiny()
    };
    spread(&config, &device.clone().autodiff())
}

/// Adapters are put on before the blocks are placed, and after it.
fn every_method_has_the_update_of_one_device(device: &Device) {
    let rows = examples(6);
    let config = TrainConfig {
        grad_accum: 2,
        ..smooth(config(3, 2))
    };
    for (name, _, attach) in METHODS {
        let on = device.clone().autodiff();
        let base: Model = Prompted::new(Prefixed::new(spread(&tiny(), &on)));
        let mut model = base.clone();
        attach(&mut model);
        let model = filled(model);
        let trainer = Trainer::new(&config, &rows);
        let (one, _) = run(trainer, model.clone());
        let moved = apart_by(&one, &bits(&model));
        assert!(moved > 1e-4, "{name} moves by {moved}");
        let mut after = placed(base, device);
        attach(&mut after);
        for split in [placed(model, device), filled(after)] {
            lie_where_their_blocks_do(&split, device);
            let mut log = Log::default();
            let trained = trainer.run(split, &NextToken, &mut log).expect("it trains");
            lie_where_their_blocks_do(&trained, device);
            let apart = apart_by(&one, &bits(&trained));
            assert!(apart < 1e-3 * moved, "{name}: {apart} of {moved}");
        }
    }
}

fn fifty_steps_of_an_adapter_have_the_losses_of_one(device: &Device) {
    let rows = examples(12);
    let config = smooth(config(6, 50));
    let trainer = Trainer::new(&config, &rows);
    let (_, one) = run(trainer, adapted(device, 0.0));
    let (_, split) = run(trainer, placed(adapted(device, 0.0), device));
    same_losses(&one, &split);
}

fn fifty_steps_of_a_prefix_have_the_losses_of_one(device: &Device) {
    let rows = examples(12);
    let config = TrainConfig {
        learning_rate: 0.1,
        ..smooth(config(6, 50))
    };
    let model = || {
        let mut model = Prefixed::new(spread(&tiny(), &device.clone().autodiff()));
        let config = PrefixConfig::new(4);
        config.attach(&mut model, "default").expect("a prefix");
        filled(model)
    };
    let trainer = Trainer::new(&config, &rows);
    let (_, one) = run(trainer, model());
    let (_, split) = run(trainer, placed(model(), device));
    same_losses(&one, &split);
}

fn prefixed(device: &Device) -> Prefixed<DecoderForCausalLm> {
    let mut model = Prefixed::new(four_blocks(device));
    let config = PrefixConfig::new(4);
    config.attach(&mut model, "default").expect("a prefix");
    filled(model)
}

fn fifty_steps_of_badam_have_the_losses_of_one(device: &Device) {
    let rows = examples(12);
    let config = smooth(config(6, 50));
    let model = four_blocks(device);
    let badam = BAdam::new(&model, Every::Steps(7), Order::Ascending).expect("blocks");
    let trainer = Trainer::new(&config, &rows).with_strategy(&badam);
    let (one_bits, one) = run(trainer, model.clone());
    let (bits_of_split, split) = run(trainer, placed(model.clone(), device));
    same_losses(&one, &split);
    assert!(apart_by(&one_bits, &bits_of_split) < 1e-3 * apart_by(&one_bits, &bits(&model)));
}

fn classifiers_train_alike(device: &Device) {
    let (rows, config) = (texts(7), smooth(config(3, 3)));
    let objective = SequenceClassification::default();
    let trainer = Trainer::new(&config, &rows);
    let trained = |model| trainer.run(model, &objective, &mut Log::default());
    let model = encoder(device);
    let one = bits(&trained(model.clone()).expect("it trains"));
    let split = bits(&trained(placed(model.clone(), device)).expect("it trains"));
    assert!(apart_by(&one, &split) < 1e-3 * apart_by(&one, &bits(&model)));
}

/// The states that are read, in rows of several lengths and one after the other, are on the first
/// device, and the embeddings have the gradients of one device.
fn families_have_the_states_and_gradients_of_one(device: &Device) {
    fn check<M: Transformer>(model: M, device: &Device) {
        let split = placed(model.clone(), device);
        for block in 0..model.n_blocks() {
            let expected = Some(of_block(device, block));
            assert_eq!(split.stages().device(block), expected);
        }
        let ids = ids(3, 7, 23, device);
        let at = Tensor::from_data([[3, 6], [0, 2], [1, 1]], device);
        let read = |model: &M, read: Read| {
            let pass = Pass::of_lengths(vec![7, 4, 6]).reading(read);
            let context = model.context([3, 7], pass, None, device);
            let embeds = model.embed(ids.clone()).detach().require_grad();
            let x = model.stages().begin(embeds.clone(), &context);
            let x = model.run(x, 0..model.n_blocks(), &context, None);
            let states = model.finish(x, &context);
            assert_eq!(states.device(), *device);
            let grads = states.clone().powi_scalar(2).sum().backward();
            (states, embeds.grad(&grads).expect("a gradient"))
        };
        for reads in [Read::Text, Read::At(at)] {
            let (one, gradient) = read(&model, reads.clone());
            let (states, found) = read(&split, reads);
            // Backends compute as different implementations do.
            assert_close(&states, &one, GOLDEN_LOGITS);
            assert_close(&found, &gradient, GOLDEN_GRADIENTS);
        }
    }
    let on = &device.clone().autodiff();
    check(four_blocks(device), device);
    check(spread_any(gpt2().init(on)), device);
    let mut prompted = Prompted::new(four_blocks(device));
    let config = PTuningConfig::new(2);
    config.attach(&mut prompted, "default").expect("a prompt");
    check(prompted, device);
    check(prefixed(device), device);
    for config in [
        EncoderConfig::Bert(bert()),
        EncoderConfig::Roberta(roberta()),
        EncoderConfig::DistilBert(distilbert()),
        EncoderConfig::ModernBert(modernbert()),
    ] {
        check(spread_any(config.encoder(false, on)), device);
    }
}

fn blocks_that_run_twice_have_the_updates_of_one(device: &Device) {
    let rows = examples(8);
    let kept = smooth(config(6, 3));
    let again = TrainConfig {
        recompute: true,
        ..kept.clone()
    };
    let (one, _) = run(Trainer::new(&kept, &rows), prefixed(device));
    let split = placed(prefixed(device), device);
    let (all, _) = run(Trainer::new(&again, &rows), split);
    let moved = apart_by(&one, &bits(&prefixed(device)));
    assert!(apart_by(&one, &all) < 1e-3 * moved);
}

fn a_kept_trunk_goes_with_it(device: &Device) {
    let rows = examples(8);
    let config = smooth(config(4, 8));
    let model = four_blocks(device);
    let top = TopLayers::new(&model, 2).expect("layers");
    let cache = TrunkCache::default();
    let trainer = Trainer::new(&config, &rows).with_strategy(&top);
    let (one, _) = run(trainer, model.clone());
    let trainer = trainer.with_trunk_cache(&cache);
    let (all, _) = run(trainer, placed(model.clone(), device));
    assert!(apart_by(&one, &all) < 1e-3 * apart_by(&one, &bits(&model)));
}

fn a_run_goes_on_to_the_same_bits(device: &Device) {
    let (rows, config) = (examples(10), config(4, 6));
    let model = || placed(adapted(device, 0.0), device);
    let trainer = Trainer::new(&config, &rows);
    let (whole, log) = run(trainer, model());
    let (rest, _) = run(trainer.with_state(&log.states[2]), model());
    assert!(rest == whole);
    // On one device it goes on too, up to rounding.
    let alone = adapted(device, 0.0);
    let moved = apart_by(&whole, &bits(&alone));
    let (rest, _) = run(trainer.with_state(&log.states[2]), alone);
    assert!(apart_by(&rest, &whole) < 1e-2 * moved);
}

fn texts_are_continued_alike(device: &Device) {
    const PROMPTS: [&[u32]; 3] = [&[4, 19, 7, 2], &[9], &[1, 2, 3, 5, 8, 13]];
    let config = GenerateConfig {
        max_new_tokens: 12,
        ..GenerateConfig::default()
    };
    let said = |model: &Prefixed<DecoderForCausalLm>| {
        generate_all(model, &PROMPTS, &config, |_, _| ()).expect("it generates")
    };
    let model = prefixed(device);
    let split = placed(model.clone(), device).valid();
    let plain = model.valid();
    let found = said(&plain);
    assert_eq!(said(&split), found);
    assert!(found.iter().any(|text| text.len() > 4));
}

/// What is in no block counts as the first device's.
fn a_device_has_as_much_as_another(device: &Device) {
    let [here, there] = two(device);
    if here == there {
        return;
    }
    let config = DecoderConfig {
        n_layers: 12,
        vocab_size: 300,
        ..tiny()
    };
    let sizes = |device: &Device, model: &DecoderForCausalLm| {
        struct Size<'a>(&'a Device, usize);
        impl VisitParams for Size<'_> {
            fn visit<const D: usize>(&mut self, _: &ParamPlace, param: &Param<Tensor<D>>) {
                assert!(!param.is_initialized(), "no device ever holds it all");
                if param.lazy_device() == *self.0 {
                    self.1 += param.lazy_shape().num_elements();
                }
            }
        }
        let mut size = Size(device, 0);
        visit_params(model, &mut size);
        size.1
    };
    let model = config.init(&here);
    let block = sizes(
        &here,
        &DecoderConfig {
            n_layers: 1,
            ..tiny()
        }
        .init(&here),
    );
    let divided = BlockDevices::divide(&model, &[here.clone(), there.clone()]).expect("blocks");
    assert!(divided.blocks().iter().filter(|of| **of == here).count() < 6);
    let model = divided.place(model).expect("it is placed");
    let (one, other) = (sizes(&here, &model), sizes(&there, &model));
    assert!(one.abs_diff(other) <= block, "{one} and {other}");
    let many = vec![here.clone(), there];
    let one_block = DecoderConfig {
        n_layers: 1,
        ..tiny()
    }
    .init(&here);
    let refused = BlockDevices::divide(&one_block, &many).expect_err("it is refused");
    assert!(refused.to_string().contains("as many devices as blocks"));
}

fn rows_are_not_shared(device: &Device) {
    let [here, there] = two(device);
    if here == there {
        return;
    }
    let rows = examples(4);
    let refused = |config: &TrainConfig, devices: &[Device]| {
        let trainer = Trainer::new(config, &rows).with_devices(devices);
        let split = placed(adapted(device, 0.0), device);
        let ended = trainer.run(split, &NextToken, &mut Log::default());
        assert!(matches!(ended, Err(TrainError::Devices { .. })));
    };
    let (one, two) = (
        config(4, 1),
        TrainConfig {
            workers: 2,
            ..config(4, 1)
        },
    );
    refused(&two, &[]);
    refused(&one, &[here, there]);
}
