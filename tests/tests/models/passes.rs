//! Passes and their contexts: what a block that runs again gives, and virtual tokens between
//! stages.

use burn::module::Module;
use burn::tensor::{Device, Tensor, s};
use peft_model::{Pass, Read, Transformer, select_positions};
use peft_models::BertConfig;
use peft_prefix::{PrefixConfig, Prefixed};
use peft_ptuning::{PromptTuningConfig, Prompted};
use peft_tests::tolerance::PATHS;

use super::encoders::{bert, modernbert, spread as spread_any};
use super::{assert_close, ids, padding, spread, tiny};
use crate::fixture::{assert_differs, assert_same};

peft_tests::cases!(
    blocks_run_again_to_the_same_bits,
    virtual_tokens_compose_with_stages,
);

/// With dropout of attention's weights too, in a device that trains; another pass draws anew.
fn blocks_run_again_to_the_same_bits(device: &Device) {
    let on = &device.clone().autodiff();
    let config = BertConfig {
        attention_dropout: 0.5,
        ..bert()
    };
    let model = spread_any(config.init(on));
    let ids = ids(2, 7, 23, on);
    let context = || model.context([2, 7], Pass::default(), None, on);
    let (one, other) = (context(), context());
    let begun = model.begin(ids, &one);
    let run = |context| model.run(begun.clone(), 0..model.n_blocks(), context, None);
    let first = run(&one);
    assert_same(&run(&one), &first);
    assert_differs(&run(&other), &first);
    // Each block draws for itself.
    let block = |i: usize| {
        let mut model = model.clone();
        model.encoder.layer[1] = model.encoder.layer[0].clone();
        model.run(begun.clone(), i..i + 1, &one, None)
    };
    assert_differs(&block(0), &block(1));
}

/// Cut between any two blocks, and with the last block at what is read alone: the states that the
/// whole gives, of the text and of all positions.
fn virtual_tokens_compose_with_stages(device: &Device) {
    fn check<M: Transformer>(model: &M, n_inserted: usize, device: &Device) {
        let ids = ids(2, 7, 23, device);
        let at = Tensor::from_data([[3, 6, 3], [0, 2, 1]], device);
        for segments in [None, Some(padding(&[7, 4], 7, device))] {
            let whole = model.hidden(ids.clone(), segments.clone(), None);
            assert_eq!(whole.dims()[1], 7);
            let read = |read: Read| {
                let pass = Pass::new(segments.clone()).reading(read);
                model.read(ids.clone(), pass, None).0
            };
            let all = read(Read::All);
            assert_eq!(all.dims()[1], n_inserted + 7);
            assert_same(&all.clone().slice(s![.., n_inserted.., ..]), &whole);
            assert_close(&read(Read::First), &all.slice(s![.., 0..1, ..]), PATHS);
            let expected = select_positions(whole.clone(), at.clone());
            assert_close(&read(Read::At(at.clone())), &expected, PATHS);
            let pass = Pass::new(segments.clone());
            let context = model.context([2, 7], pass, None, device);
            for cut in 0..=model.n_blocks() {
                let x = model.run(model.begin(ids.clone(), &context), 0..cut, &context, None);
                assert_eq!(x.dims()[1], n_inserted + 7);
                // Kept states go on in a context of their own.
                let again = model.context([2, 7], Pass::new(segments.clone()), None, device);
                let x = model.run(x, cut..model.n_blocks(), &again, None);
                assert_same(&model.finish(x, &again), &whole);
            }
        }
    }
    fn both<M: Transformer>(model: M, device: &Device) {
        let mut model = Prompted::new(Prefixed::new(model));
        check(&model, 0, device);
        let config = PrefixConfig::new(3);
        config.attach(&mut model.model, "a").expect("it attaches");
        check(&model, 0, device);
        let config = PromptTuningConfig::new(2);
        config.attach(&mut model, "a").expect("it attaches");
        check(&model, 2, device);
        model.model.input = None;
        check(&model.valid(), 2, device);
    }
    both(spread(&tiny(), device), device);
    both(spread_any(bert().init(device)), device);
    both(spread_any(modernbert().init(device)), device);
}
