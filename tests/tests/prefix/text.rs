//! A prefix from a text; that a model goes on as if it had read it is in [`crate::conformance`].

use burn::tensor::Device;
use peft_model::Transformer;
use peft_prefix::{PrefixConfig, PrefixInit, Prefixed};

use crate::models::{assert_close, encoders, spread, tiny};

peft_tests::cases!(
    a_text_is_cut_or_repeated,
    it_starts_where_a_trained_model_is,
);

/// A model with the prefix of a text.
fn from<M: Transformer>(model: &M, n: usize, text: Vec<u32>) -> Prefixed<M> {
    let mut model = Prefixed::new(model.clone());
    PrefixConfig::new(n)
        .with_init(PrefixInit::Tokens(text))
        .attach(&mut model, "default")
        .expect("it attaches");
    model
}

fn a_text_is_cut_or_repeated(device: &Device) {
    let model = spread(&tiny(), device);
    let flat = |n, text| from(&model, n, text).input.expect("a prefix").flat();
    let repeated = flat(5, vec![7, 1, 7, 1, 7]);
    assert_close(&flat(5, vec![7, 1]), &repeated, 0.0);
    assert_close(&flat(5, vec![7, 1, 7, 1, 7, 9, 3]), &repeated, 0.0);
    assert_eq!(repeated.dims(), [5, 2 * 2 * 2 * 6]);
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
