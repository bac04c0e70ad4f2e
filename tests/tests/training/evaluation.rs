//! Evaluation and generation: the same whatever the batches.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation::log_softmax};
use peft_models::{CausalLm, DecoderForCausalLm, Transformer};
use peft_train::{Example, GenerateConfig, evaluate, generate};

use super::{adapted, examples};

peft_tests::cases!(
    the_loss_is_the_definition,
    batches_change_nothing,
    greedy_generation_is_the_argmax,
    what_is_there_is_penalised_once,
    drawing_follows_its_seed,
);

/// Log-probabilities of every next token, `[positions][vocabulary]`.
fn log_probs(model: &DecoderForCausalLm, ids: &[u32], device: &Device) -> Vec<Vec<f32>> {
    let row: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let n = row.len();
    let ids: Tensor<2, burn::tensor::Int> = Tensor::from_data(TensorData::new(row, [1, n]), device);
    let logits = model.logits(model.hidden(ids, None, None));
    let values: Vec<f32> = log_softmax(logits, 2).into_data().iter::<f32>().collect();
    values
        .chunks(values.len() / n)
        .map(<[f32]>::to_vec)
        .collect()
}

fn likeliest(scores: &[f32]) -> usize {
    (0..scores.len())
        .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
        .expect("a vocabulary")
}

fn the_loss_is_the_definition(device: &Device) {
    let model = adapted(device, 0.0).valid();
    let rows = examples(7);
    let (mut nll, mut tokens, mut right, mut exact) = (0.0, 0, 0, 0);
    for Example { ids, targets, .. } in &rows {
        let scores = log_probs(&model, ids, device);
        let mut all = true;
        for i in (1..ids.len()).filter(|i| targets[*i]) {
            nll -= f64::from(scores[i - 1][ids[i] as usize]);
            let hit = likeliest(&scores[i - 1]) == ids[i] as usize;
            tokens += 1;
            right += usize::from(hit);
            all &= hit;
        }
        exact += usize::from(all);
    }
    let report = evaluate(&model, &rows, 3).expect("it evaluates");
    let loss = nll / tokens as f64;
    assert!(
        (report.loss - loss).abs() < 1e-5 * loss,
        "{} {loss}",
        report.loss
    );
    assert!((report.perplexity - loss.exp()).abs() < 1e-4 * loss.exp());
    assert_eq!((report.tokens, report.examples), (tokens, 7));
    assert_eq!(report.token_accuracy, right as f64 / tokens as f64);
    assert_eq!(report.exact_match, exact as f64 / 7.0);
}

fn batches_change_nothing(device: &Device) {
    let model = adapted(device, 0.3).valid();
    let rows = examples(9);
    let alone = evaluate(&model, &rows, 1).expect("it evaluates");
    for batch_size in [2, 4, 9, 100] {
        let report = evaluate(&model, &rows, batch_size).expect("it evaluates");
        assert!((report.loss - alone.loss).abs() < 1e-5 * alone.loss);
        assert_eq!(report.token_accuracy, alone.token_accuracy);
    }
}

fn greedy(max_new_tokens: usize) -> GenerateConfig {
    GenerateConfig {
        max_new_tokens,
        ..GenerateConfig::default()
    }
}

fn greedy_generation_is_the_argmax(device: &Device) {
    let model = adapted(device, 0.0).valid();
    let prompt = [3, 1, 4, 1, 5];
    let found = generate(&model, &prompt, &greedy(6), |_| {}).expect("it generates");
    let mut ids = prompt.to_vec();
    for _ in 0..6 {
        let scores = log_probs(&model, &ids, device);
        ids.push(likeliest(&scores[ids.len() - 1]) as u32);
    }
    assert_eq!(found, ids[prompt.len()..]);
    // A token that ends the sequence ends it, and is not part of it.
    let until = GenerateConfig {
        eos: vec![found[2]],
        ..greedy(6)
    };
    let ended = generate(&model, &prompt, &until, |_| {}).expect("it generates");
    let first = found.iter().position(|id| *id == found[2]);
    assert_eq!(Some(ended.len()), first);
    peft_tests::Invariant::Cache.verified("lora", device);
}

fn what_is_there_is_penalised_once(device: &Device) {
    let model = adapted(device, 0.0).valid();
    let prompt = [3, 1, 4, 1, 5];
    let penalty = 1.7;
    let config = GenerateConfig {
        repetition_penalty: penalty,
        ..greedy(8)
    };
    let found = generate(&model, &prompt, &config, |_| {}).expect("it generates");
    let mut ids = prompt.to_vec();
    for _ in 0..8 {
        let row: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
        let data = TensorData::new(row, [1, ids.len()]);
        let hidden = model.hidden(Tensor::from_data(data, device), None, None);
        let logits = model.logits(hidden.narrow(1, ids.len() - 1, 1));
        let mut scores: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for (id, score) in scores.iter_mut().enumerate() {
            if ids.contains(&(id as u32)) {
                *score *= if *score < 0.0 {
                    penalty as f32
                } else {
                    1.0 / penalty as f32
                };
            }
        }
        ids.push(likeliest(&scores) as u32);
    }
    assert_eq!(found, ids[prompt.len()..]);
    let free = generate(&model, &prompt, &greedy(8), |_| {}).expect("it generates");
    assert_ne!(found, free);
    let refused = GenerateConfig {
        repetition_penalty: 0.0,
        ..greedy(8)
    };
    assert!(generate(&model, &prompt, &refused, |_| {}).is_err());
}

fn drawing_follows_its_seed(device: &Device) {
    let model = adapted(device, 0.0).valid();
    let draw = |seed, top_k| {
        let config = GenerateConfig {
            temperature: 1.5,
            top_k,
            seed,
            ..greedy(12)
        };
        generate(&model, &[2, 7], &config, |_| {}).expect("it generates")
    };
    assert_eq!(draw(1, None), draw(1, None));
    assert_ne!(draw(1, None), draw(2, None));
    // Drawing from the single likeliest token is greedy.
    let likeliest = generate(&model, &[2, 7], &greedy(12), |_| {}).expect("it generates");
    assert_eq!(draw(1, Some(1)), likeliest);
}
