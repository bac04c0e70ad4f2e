//! A prefix from a text: the model goes on as if it had read it.

use burn::tensor::{Device, Int, Tensor, s};
use peft_core::{FromEmbeddings, Transformer};
use peft_models::{Activation, DecoderConfig, Gpt2Config};
use peft_prefix::{PrefixConfig, PrefixInit, Prefixed};
use peft_tests::tolerance::PATHS;

use crate::fixture::filled;
use crate::models::{assert_close, encoders, ids, spread, tiny};

peft_tests::cases!(
    it_continues_the_text,
    a_text_is_cut_or_repeated,
    an_encoder_of_one_layer_reads_both_together,
    it_starts_where_a_trained_model_is,
);

fn tokens(ids: &Tensor<2, Int>) -> Vec<u32> {
    ids.to_data().iter().collect()
}

/// A model with the prefix of a text.
fn from<M: Transformer>(model: &M, n: usize, text: Vec<u32>) -> Prefixed<M> {
    let mut model = Prefixed::new(model.clone());
    PrefixConfig::new(n)
        .with_init(PrefixInit::Tokens(text))
        .attach(&mut model, "default")
        .expect("it attaches");
    model
}

fn it_continues_the_text(device: &Device) {
    fn check<M: Transformer>(model: M, device: &Device) {
        let whole = ids(1, 11, 23, device);
        let states = model.hidden(whole.clone(), None, None);
        let prefixed = from(&model, 4, tokens(&whole.clone().slice(s![.., 0..4])));
        let text = whole.slice(s![.., 4..11]);
        let expected = states.slice(s![.., 4..11, ..]);
        assert_close(&prefixed.hidden(text.clone(), None, None), &expected, PATHS);
        let mut cache = prefixed.new_cache();
        let parts = [0..3, 3..7].map(|run| {
            let part = text.clone().slice(s![.., run]);
            prefixed.hidden(part, None, Some(&mut cache))
        });
        assert_close(&Tensor::cat(parts.to_vec(), 1), &expected, PATHS);
    }
    let windowed = DecoderConfig {
        windows: vec![Some(5), None],
        ..tiny()
    };
    let gpt2 = Gpt2Config {
        vocab_size: 23,
        d_model: 12,
        d_ff: 20,
        n_layers: 2,
        n_heads: 3,
        max_positions: 16,
        norm_epsilon: 1e-5,
        activation: Activation::Gelu,
        scale_scores: true,
        scale_by_layer: false,
        tie_word_embeddings: true,
    };
    check(spread(&tiny(), device), device);
    check(spread(&windowed, device), device);
    check(filled(gpt2.init(device)), device);
    check(
        spread(&tiny(), &device.clone().autodiff()),
        &device.clone().autodiff(),
    );
}

fn a_text_is_cut_or_repeated(device: &Device) {
    let model = spread(&tiny(), device);
    let flat = |n, text| from(&model, n, text).input.expect("a prefix").flat();
    let repeated = flat(5, vec![7, 1, 7, 1, 7]);
    assert_close(&flat(5, vec![7, 1]), &repeated, 0.0);
    assert_close(&flat(5, vec![7, 1, 7, 1, 7, 9, 3]), &repeated, 0.0);
    assert_eq!(repeated.dims(), [5, 2 * 2 * 2 * 6]);
}

/// In one block keys and values depend on their own token alone, so it does not matter that the prefix was read before the text.
fn an_encoder_of_one_layer_reads_both_together(device: &Device) {
    fn check<M: Transformer>(model: M, device: &Device) {
        let whole = ids(1, 9, 23, device);
        let states = model.hidden(whole.clone(), None, None);
        let prefixed = from(&model, 4, tokens(&whole.clone().slice(s![.., 0..4])));
        let found = prefixed.hidden(whole.slice(s![.., 4..9]), None, None);
        assert_close(&found, &states.slice(s![.., 4..9, ..]), PATHS);
    }
    let (mut bert, mut modern) = (encoders::bert(), encoders::modernbert());
    bert.n_layers = 1;
    modern.windowed = vec![false];
    check(encoders::spread(bert.init(device)), device);
    check(encoders::spread(modern.init(device)), device);
}

/// A model in training computes the keys without dropout, and the prefix trains.
fn it_starts_where_a_trained_model_is(device: &Device) {
    let dropped = |rate, device: &Device| {
        let mut config = encoders::bert();
        (config.hidden_dropout, config.attention_dropout) = (rate, rate);
        encoders::spread(config.init(device))
    };
    let training = from(&dropped(0.5, &device.clone().autodiff()), 4, vec![3, 8, 20]);
    let plain = from(&dropped(0.0, device), 4, vec![3, 8, 20]);
    let [found, expected] = [training, plain].map(|model| model.input.expect("a prefix"));
    assert!(found.embedding.val().is_require_grad());
    let found = found.flat().into_data();
    assert_eq!(found, expected.flat().into_data());
}
