//! What a model reads beside its text: embeddings that are no token's, and keys and values that
//! nothing was read for.

use burn::tensor::{Tensor, s};
use peft_core::AttachReport;
use peft_model::{KvCache, Pass, Transformer};
use peft_prefix::{PrefixConfig, PrefixInit, Prefixed};
use peft_ptuning::{PromptTuningConfig, Prompted, SoftPrompt};

use super::{Device, Ids, POSITIONS, ROWS, loss_of, model, padding, tokens, verified};
use crate::tolerance::PATHS;
use crate::{
    ModelFixture, ModelInvariant, assert_close, assert_differs, assert_same, values, with_gradient,
};

/// Positions that are put before a text.
const N: usize = 3;

/// Embeddings are rows of a table, joined in any order; the states from them have the bits of those
/// from tokens.
pub fn starts_from_embeddings<F: ModelFixture>(device: &Device) {
    let model = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &model, device);
    let embeds = model.embed(ids.clone());
    assert_eq!(embeds.dims(), [ROWS, POSITIONS, model.d_model()]);
    let one = |i: usize| s![.., i..i + 1];
    let backwards: Vec<_> = (0..POSITIONS).rev().collect();
    let of_tokens = Tensor::cat(
        backwards
            .iter()
            .map(|i| ids.clone().slice(one(*i)))
            .collect(),
        1,
    );
    let of_vectors = Tensor::cat(
        backwards
            .iter()
            .map(|i| embeds.clone().slice(one(*i)))
            .collect(),
        1,
    );
    assert_same(&model.embed(of_tokens.clone()), &of_vectors);
    for (ids, embeds) in [(ids, embeds), (of_tokens, of_vectors)] {
        let padding = padding(&[POSITIONS, 5, 2], POSITIONS, device);
        for segments in [None, Some(padding)] {
            let found = model.hidden_from(embeds.clone(), segments.clone(), None);
            assert_same(&found, &model.hidden(ids.clone(), segments, None));
        }
    }
    verified::<F>(ModelInvariant::Embeddings, device);
}

/// A text of one row before which others are put, and the states that it has behind them.
fn continued<M: Transformer>(model: &M, device: &Device) -> (Ids, Ids, Tensor<3>) {
    let whole = tokens(1, POSITIONS, model, device);
    let states = model.hidden(whole.clone(), None, None);
    let before = whole.clone().slice(s![.., 0..N]);
    let text = whole.slice(s![.., N..POSITIONS]);
    (before, text, states.slice(s![.., N..POSITIONS, ..]))
}

/// A row beside others, padded, has the states of the row alone; what is before it counts for no
/// position of the padding.
fn is_padded_as_alone<M: Transformer>(model: &M, device: &Device) {
    let (ids, length) = (tokens(2, 6, model, device), 4);
    let batch = model.hidden(ids.clone(), Some(padding(&[6, length], 6, device)), None);
    let alone = model.hidden(ids.slice(s![1..2, 0..length]), None, None);
    assert_close(&batch.slice(s![1..2, 0..length, ..]), &alone, PATHS);
}

/// Exactly the parameters at `trained` have gradients, which are not zero.
fn trains_alone<M: Transformer>(
    model: &M,
    report: &AttachReport,
    trained: &[&str],
    device: &Device,
) {
    let ids = tokens(ROWS, 6, model, device);
    let gradients = with_gradient(model, &loss_of(model.hidden(ids, None, None)));
    assert!(gradients.keys().eq(trained), "{:?}", gradients.keys());
    let elements = gradients.values().map(|gradient| gradient.num_elements());
    assert_eq!(report.summary.trainable, elements.sum::<usize>());
    for gradient in gradients.values() {
        let rows = gradient.iter::<f64>().collect::<Vec<_>>();
        for row in rows.chunks(rows.len() / N) {
            assert!(
                row.iter().any(|value| value.abs() > 1e-6),
                "one of the virtual tokens has no gradient"
            );
        }
    }
}

/// The embeddings of tokens before those of a text: the states that the text has behind the tokens.
/// In training they get all gradients.
pub fn takes_a_prompt_for_tokens<F: ModelFixture>(device: &Device) {
    let plain = model::<F>(device);
    let (before, text, expected) = continued(&plain, device);
    let vectors = plain.embed(before).squeeze_dim::<2>(0);
    let mut model = Prompted::new(plain);
    model.input = Some(SoftPrompt::new(vectors));
    assert_close(&model.hidden(text.clone(), None, None), &expected, PATHS);
    assert_differs(&model.model.hidden(text.clone(), None, None), &expected);
    is_padded_as_alone(&model, device);
    if F::CAUSAL {
        assert_close(&in_parts(&model, &text), &expected, PATHS);
    }
    let on = &device.clone().autodiff();
    let mut model = Prompted::new(super::model::<F>(on));
    let report = PromptTuningConfig::new(N)
        .attach(&mut model, "default")
        .expect("it attaches");
    trains_alone(&model, &report, &["prompt.inputs"], on);
    verified::<F>(ModelInvariant::Prompt, device);
}

/// The keys and values of tokens before a text: the states that the text has behind the tokens.
/// Where tokens see what comes later, that is so in one block alone, whose keys and values are of
/// the tokens by themselves.
pub fn goes_on_from_given_keys<F: ModelFixture>(device: &Device) {
    let plain = model::<F>(device);
    let (before, text, expected) = continued(&plain, device);
    let near = text.clone().slice(s![.., 0..2]);
    let both = Tensor::cat(vec![before.clone(), near.clone()], 1);
    // One block of a text of vectors, and what it was given.
    let first = |ids: &Ids, cache: Option<&mut KvCache>| {
        let context = plain.context(ids.dims(), Pass::default(), cache.as_deref(), device);
        let begun = plain.stages().begin(plain.embed(ids.clone()), &context);
        (begun.clone(), plain.run(begun, 0..1, &context, cache))
    };
    let (begun, whole) = first(&both, None);
    let mut read = plain.new_cache();
    first(&before, Some(&mut read));
    let mut given = KvCache::from_layers(vec![read.layer(0).expect("it was read")]);
    let (begun_near, found) = first(&near, Some(&mut given));
    // Positions count from what is cached.
    let behind = |x: Tensor<3>| x.slice(s![.., N..N + 2]);
    assert_close(&begun_near, &behind(begun), PATHS);
    assert_close(&found, &behind(whole), PATHS);

    let mut model = Prefixed::new(plain.clone());
    let ids = before.to_data().iter::<u32>().collect();
    let config = PrefixConfig::new(N).with_init(PrefixInit::Tokens(ids));
    config.attach(&mut model, "default").expect("it attaches");
    let found = model.hidden(text.clone(), None, None);
    assert_differs(&found, &plain.hidden(text.clone(), None, None));
    is_padded_as_alone(&model, device);
    if F::CAUSAL {
        assert_close(&found, &expected, PATHS);
        assert_close(&in_parts(&model, &text), &expected, PATHS);
    }

    let on = &device.clone().autodiff();
    let mut model = Prefixed::new(super::model::<F>(on));
    let report = PrefixConfig::new(N)
        .attach(&mut model, "default")
        .expect("it attaches");
    let prefix = model.input.as_mut().expect("it was attached");
    prefix.embedding = prefix
        .embedding
        .clone()
        .map(|fresh| values(fresh.dims(), 5.0, on).set_require_grad(fresh.is_require_grad()));
    trains_alone(&model, &report, &["prefix.embedding"], on);
    verified::<F>(ModelInvariant::Given, device);
}

/// The states of a text that is read with a cache in two parts.
fn in_parts(model: &impl Transformer, text: &Ids) -> Tensor<3> {
    let mut cache = model.new_cache();
    let parts = [0..2, 2..6].map(|run| {
        let part = text.clone().slice(s![.., run]);
        model.hidden(part, None, Some(&mut cache))
    });
    Tensor::cat(parts.to_vec(), 1)
}
