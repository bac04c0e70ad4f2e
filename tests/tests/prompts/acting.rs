//! What a prompt does and leaves alone: shapes, masks, caches, batches, nesting.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use peft_model::{EVERY_SEQUENCE, KvCache, WithInput};
use peft_models::{BertForSequenceClassification, CausalLm, SequenceClassifier, Transformer};
use peft_ptuning::{PromptEncoderConfig, Prompted, SoftPrompt};
use peft_tests::tolerance::PATHS;
use peft_train::{GenerateConfig, generate};

use super::{D_MODEL, N, VOCABULARY, encoded, plain, prompted, vectors};
use crate::fixture::{assert_differs, assert_same, values};
use crate::models::{assert_close, encoders, ids, padding};

peft_tests::cases!(
    states_are_the_texts,
    without_a_prompt_it_is_the_model,
    a_prompt_stands_where_tokens_would,
    padding_beside_a_row_changes_nothing,
    a_row_does_not_depend_on_the_others,
    the_future_stays_hidden,
    a_prompt_belongs_to_the_first_sequence_of_a_row,
    a_cache_reads_the_prompt_once,
    generation_equals_reading_again,
    prompts_nest,
    what_was_given_to_a_cache_comes_before_the_prompt,
    a_head_reads_the_prompt,
    a_head_does_not_read_padding,
);

fn hidden<M: Transformer>(model: &M, ids: &Tensor<2, Int>) -> Tensor<3> {
    model.hidden(ids.clone(), None, None)
}

/// A prompt's vectors before the embeddings of `ids`.
fn embeds<M: Transformer>(prompt: &SoftPrompt, model: &M, ids: Tensor<2, Int>) -> Tensor<3> {
    let vectors = prompt.vectors().unsqueeze::<3>();
    let rows = vec![vectors; ids.dims()[0]];
    Tensor::cat(vec![Tensor::cat(rows, 0), model.embed(ids)], 1)
}

fn states_are_the_texts(device: &Device) {
    for model in [
        prompted(device),
        encoded(PromptEncoderConfig::Mlp, device),
        encoded(PromptEncoderConfig::LSTM, device),
    ] {
        let model = model.valid();
        let prompt = model.input.as_ref().expect("a prompt");
        assert_eq!(prompt.vectors().dims(), [N, D_MODEL]);
        let ids = ids(2, 5, VOCABULARY, device);
        let found = hidden(&model, &ids);
        assert_eq!(found.dims(), [2, 5, D_MODEL]);
        assert_differs(&found, &hidden(&model.model, &ids));
        assert_eq!(model.max_positions(), model.model.max_positions() - N);
    }
}

fn without_a_prompt_it_is_the_model(device: &Device) {
    let model = plain(device).valid();
    let ids = ids(2, 5, VOCABULARY, device);
    let segments = padding(&[5, 3], 5, device);
    let (mut a, mut b) = (KvCache::new(2), KvCache::new(2));
    for caches in [None, Some((&mut a, &mut b))] {
        let (a, b) = caches.unzip();
        let found = model.hidden(ids.clone(), Some(segments.clone()), a);
        let expected = model.model.hidden(ids.clone(), Some(segments.clone()), b);
        assert_same(&found, &expected);
        assert_same(&model.logits(found), &model.model.logits(expected));
    }
    assert_eq!((a.len(), b.len()), (5, 5));
    assert_eq!(model.max_positions(), model.model.max_positions());
    let model = classifier(device);
    let found = model.classify(ids.clone(), Some(segments.clone()));
    assert_same(&found, &model.model.classify(ids, Some(segments)));
    peft_tests::Invariant::Detached.verified("prompt tuning", device);
}

/// Vectors that are tokens' embeddings do what the tokens do, positions included.
fn a_prompt_stands_where_tokens_would(device: &Device) {
    let mut model = plain(device).valid();
    let whole = ids(1, N + 5, VOCABULARY, device);
    let first = model.embed(whole.clone().narrow(1, 0, N));
    let text = whole.clone().narrow(1, N, 5);
    let expected = hidden(&model, &whole).narrow(1, N, 5);
    model.input = Some(SoftPrompt::new(first.squeeze_dim(0)));
    assert_close(&hidden(&model, &text), &expected, PATHS);
    peft_tests::Invariant::Acts.verified("prompt tuning", device);
}

fn padding_beside_a_row_changes_nothing(device: &Device) {
    let model = prompted(device).valid();
    let two = ids(2, 7, VOCABULARY, device);
    let segments = padding(&[7, 4], 7, device);
    let beside = model.hidden(two.clone(), Some(segments.clone()), None);
    let beside = beside.slice([1..2, 0..4]);
    let alone = hidden(&model, &two.clone().slice([1..2, 0..4]));
    assert_close(&beside, &alone, PATHS);
    // Other padding, the same row.
    let other = vec![two.clone().narrow(1, 0, 4), two.narrow(1, 0, 3)];
    let other = model.hidden(Tensor::cat(other, 1), Some(segments), None);
    assert_same(&other.slice([1..2, 0..4]), &beside);
    peft_tests::Invariant::Padding.verified("prompt tuning", device);
}

fn a_row_does_not_depend_on_the_others(device: &Device) {
    let model = encoded(PromptEncoderConfig::LSTM, device).valid();
    let all = ids(3, 6, VOCABULARY, device);
    let together = hidden(&model, &all);
    for row in 0..3 {
        let alone = hidden(&model, &all.clone().narrow(0, row, 1));
        assert_close(&together.clone().narrow(0, row, 1), &alone, PATHS);
    }
    peft_tests::Invariant::Rows.verified("prompt tuning", device);
}

fn the_future_stays_hidden(device: &Device) {
    let model = prompted(device).valid();
    let before = ids(2, 6, VOCABULARY, device);
    let later = (before.clone().narrow(1, 4, 1) + 1).remainder_scalar(VOCABULARY as i64);
    let changed = before.clone().slice_assign([0..2, 4..5], later);
    let (a, b) = (hidden(&model, &before), hidden(&model, &changed));
    assert_same(&a.clone().narrow(1, 0, 4), &b.clone().narrow(1, 0, 4));
    assert_differs(&a.narrow(1, 4, 2), &b.narrow(1, 4, 2));
    // All of the text sees the prompt.
    let mut other = model.clone();
    other.input = Some(vectors(N, 5.0, device));
    let (a, b) = (hidden(&model, &before), hidden(&other, &before));
    for i in 0..6 {
        assert_differs(&a.clone().narrow(1, i, 1), &b.clone().narrow(1, i, 1));
    }
}

fn a_prompt_belongs_to_the_first_sequence_of_a_row(device: &Device) {
    let model = prompted(device).valid();
    let mut other = model.clone();
    other.input = Some(vectors(N, 5.0, device));
    let ids = ids(2, 6, VOCABULARY, device);
    let packed = Tensor::from_data([[4, 4, 4, 9, 9, 9], [7, 7, 9, 9, 9, 9]], device);
    let read = |model: &Prompted<_>| model.hidden(ids.clone(), Some(packed.clone()), None);
    let (a, b) = (read(&model), read(&other));
    let first = [0..2, 0..2];
    assert_differs(&a.clone().slice(first.clone()), &b.clone().slice(first));
    assert_same(&a.slice([0..2, 3..6]), &b.slice([0..2, 3..6]));
}

fn a_cache_reads_the_prompt_once(device: &Device) {
    let model = prompted(device).valid();
    let all = ids(2, 7, VOCABULARY, device);
    let mut cache = model.new_cache();
    let mut parts = Vec::new();
    for (from, positions, cached) in [(0, 3, N + 3), (3, 1, N + 4), (4, 3, N + 7)] {
        let part = all.clone().narrow(1, from, positions);
        parts.push(model.hidden(part, None, Some(&mut cache)));
        assert_eq!(cache.len(), cached);
    }
    assert_close(&Tensor::cat(parts, 1), &hidden(&model, &all), PATHS);
    peft_tests::Invariant::Cache.verified("prompt tuning", device);
}

fn generation_equals_reading_again(device: &Device) {
    let model = encoded(PromptEncoderConfig::Mlp, device).valid();
    let limit = model.max_positions();
    let config = GenerateConfig {
        max_new_tokens: 2 * limit,
        ..GenerateConfig::default()
    };
    let mut text = vec![4u32, 11, 2];
    let found = generate(&model, &text, &config, |_| {}).expect("it generates");
    // As long as the prompt leaves positions, and one more that is not read.
    assert_eq!(text.len() + found.len(), limit + 1);
    for token in &found {
        let values: Vec<i64> = text.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::<1, Int>::from_data(values.as_slice(), device).unsqueeze();
        let last = hidden(&model, &ids).narrow(1, text.len() - 1, 1);
        let likeliest = model.logits(last).argmax(2).into_data();
        assert_eq!(likeliest.iter::<i64>().next(), Some(i64::from(*token)));
        text.push(*token);
    }
    let without = generate(&model.model, &text[..3], &config, |_| {}).expect("it generates");
    assert_ne!(found, without[..found.len()]);
}

/// A prompt around a model with a prompt: the inner one is read first.
fn prompts_nest(device: &Device) {
    let (inner, outer) = (vectors(2, 1.0, device), vectors(3, 2.0, device));
    let joined = Tensor::cat(vec![inner.vectors(), outer.vectors()], 0);
    let model = plain(device).valid().model;
    let single = WithInput {
        model: model.clone(),
        input: Some(SoftPrompt::new(joined)),
    };
    let nested = WithInput {
        model: WithInput {
            model,
            input: Some(inner),
        },
        input: Some(outer),
    };
    let ids = ids(2, 6, VOCABULARY, device);
    let segments = Some(padding(&[6, 4], 6, device));
    let (mut a, mut b) = (nested.new_cache(), single.new_cache());
    let found = nested.hidden(ids.clone(), segments.clone(), Some(&mut a));
    let expected = single.hidden(ids.clone(), segments, Some(&mut b));
    assert_close(&found, &expected, PATHS);
    assert_eq!((a.len(), b.len()), (11, 11));
    let more = ids.narrow(1, 2, 2);
    let found = nested.hidden(more.clone(), None, Some(&mut a));
    assert_close(&found, &single.hidden(more, None, Some(&mut b)), PATHS);
    assert_eq!(nested.max_positions(), single.max_positions());
    peft_tests::Invariant::Composition.verified("prompt tuning", device);
}

fn what_was_given_to_a_cache_comes_before_the_prompt(device: &Device) {
    let model = prompted(device).valid();
    let given = || {
        let keys = |seed| values([2, 2, 4, 6], seed, device);
        KvCache::from_layers(vec![(keys(3.0), keys(3.5)), (keys(4.0), keys(4.5))])
    };
    let seen = Tensor::<2, Int>::full([2, 4], EVERY_SEQUENCE, device);
    let within = Tensor::<2, Int>::zeros([2, N], device);
    let text = padding(&[5, 3], 5, device);
    let ids = ids(2, 5, VOCABULARY, device);
    let mut cache = given();
    let segments = Tensor::cat(vec![seen.clone(), text.clone()], 1);
    let found = model.hidden(ids.clone(), Some(segments), Some(&mut cache));
    assert_eq!(cache.len(), 4 + N + 5);
    let segments = Tensor::cat(vec![seen, within, text], 1);
    let prompt = model.input.as_ref().expect("a prompt");
    let embeds = embeds(prompt, &model, ids.clone());
    let inner = &model.model;
    let expected = inner.hidden_from(embeds, Some(segments), Some(&mut given()));
    assert_same(&found, &expected.narrow(1, N, 5));
    assert_differs(&found, &hidden(&model, &ids));
}

fn classifier(device: &Device) -> Prompted<BertForSequenceClassification> {
    let model = BertForSequenceClassification::new(&encoders::bert(), 4, device);
    Prompted::new(encoders::spread(model))
}

/// A head that reads the first position reads the first vector's state, as in PEFT.
fn a_head_reads_the_prompt(device: &Device) {
    let mut model = classifier(device);
    let prompt = vectors(N, 1.0, device);
    model.input = Some(prompt.clone());
    let ids = ids(2, 6, VOCABULARY, device);
    let segments = padding(&[6, 4], 6, device);
    let found = model.classify(ids.clone(), Some(segments.clone()));
    let zeros = Tensor::<2, Int>::zeros([2, N], device);
    let all = Tensor::cat(vec![zeros, segments.clone()], 1);
    let embeds = embeds(&prompt, &model, ids.clone());
    let states = model.model.hidden_from(embeds, Some(all.clone()), None);
    assert_same(&found, &model.model.class_logits(states, Some(all)));
    let texts = model.hidden(ids, Some(segments.clone()), None);
    assert_differs(&found, &model.model.class_logits(texts, Some(segments)));
}

fn a_head_does_not_read_padding(device: &Device) {
    let mut model = classifier(device);
    model.input = Some(vectors(N, 1.0, device));
    let two = ids(2, 6, VOCABULARY, device);
    let together = model.classify(two.clone(), Some(padding(&[6, 4], 6, device)));
    let alone = model.classify(two.slice([1..2, 0..4]), None);
    assert_close(&together.narrow(0, 1, 1), &alone, PATHS);
}
