//! [`pick`]: the next token.

use std::cmp::Ordering;

use rand::Rng;
use rand::rngs::StdRng;

use super::GenerateConfig;

/// The next token: the likeliest, or one that is drawn.
pub(super) fn pick(logits: &[f32], config: &GenerateConfig, rng: &mut StdRng) -> u32 {
    if config.temperature == 0.0 {
        return likeliest(logits) as u32;
    }
    let choices = choices(logits, config);
    let mut at = rng.random::<f64>() * choices.iter().map(|(_, weight)| weight).sum::<f64>();
    for (token, weight) in &choices {
        at -= weight;
        if at <= 0.0 {
            return *token as u32;
        }
    }
    choices[0].0 as u32
}

/// The first of the likeliest, all numbers: in two short passes, since a comparison that is total
/// takes as long as all else that is done with the scores.
fn likeliest(logits: &[f32]) -> usize {
    const LANES: usize = 16;
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = logits.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *logit);
        }
    }
    let all = lanes.iter().chain(rest).copied();
    let largest = all.fold(f32::NEG_INFINITY, larger);
    let is_largest = |i: &usize| logits[*i] == largest;
    let largest = (0..logits.len()).filter(is_largest);
    largest.min_by(likelier(logits)).unwrap_or(0)
}

fn likelier(logits: &[f32]) -> impl Fn(&usize, &usize) -> Ordering {
    |a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b))
}

/// The tokens that one is drawn from, the likeliest first, with their weights. In transformers'
/// order: temperature, top-k, top-p, min-p.
fn choices(logits: &[f32], config: &GenerateConfig) -> Vec<(usize, f64)> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_unstable_by(likelier(logits));
    order.truncate(config.top_k.unwrap_or(logits.len()));
    let highest = f64::from(logits[order[0]]);
    let weight = |i: &usize| ((f64::from(logits[*i]) - highest) / config.temperature).exp();
    let mut choices: Vec<(usize, f64)> = order.iter().map(|i| (*i, weight(i))).collect();
    if let Some(top_p) = config.top_p {
        let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
        let mut sum = 0.0;
        let kept = choices.iter().take_while(|(_, weight)| {
            let enough = sum >= top_p * total;
            sum += weight;
            !enough
        });
        let kept = kept.count();
        choices.truncate(kept.max(1));
    }
    if let Some(min_p) = config.min_p {
        // The likeliest's weight is 1.
        let kept = choices.iter().take_while(|(_, weight)| *weight >= min_p);
        let kept = kept.count();
        choices.truncate(kept.max(1));
    }
    choices
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::TokenRules;

    #[test]
    fn the_likeliest_is_the_first_by_a_total_order() {
        let below = f32::NEG_INFINITY;
        for logits in [
            &[0.5; 40][..],
            &[-0.0, 0.0, -0.0],
            &[below; 20],
            &[below, -3.0, -3.0],
            &[1.0],
            &[],
        ] {
            let expected = (0..logits.len()).min_by(likelier(logits)).unwrap_or(0);
            assert_eq!(likeliest(logits), expected, "{logits:?}");
        }
        let logits: Vec<f32> = (0..1000).map(|i| (i as f32 * 7.3).sin()).collect();
        for n in [1, 15, 16, 17, 999, 1000] {
            let logits = &logits[..n];
            let expected = (0..n).min_by(likelier(logits)).unwrap_or(0);
            assert_eq!(likeliest(logits), expected);
        }
    }

    /// Against `tests/goldens/make_generation.py`.
    #[test]
    fn choices_are_transformers() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/generation.json");
        let text = std::fs::read_to_string(path).expect("the golden is there");
        let golden: Value = serde_json::from_str(&text).expect("JSON");
        let tokens = |value: &Value| -> Vec<u32> {
            let list = value.as_array().into_iter().flatten();
            list.map(|id| id.as_u64().expect("a token") as u32)
                .collect()
        };
        let prompt = tokens(&golden["prompt"]);
        let cases = golden["cases"].as_array().expect("cases");
        assert!(cases.len() > 20);
        for case in cases {
            let number = |field: &str| case[field].as_f64();
            let count = |field: &str| case[field].as_u64().map(|n| n as usize);
            let words = case["bad_words_ids"].as_array().into_iter().flatten();
            let config = GenerateConfig {
                temperature: number("temperature").unwrap_or(1.0),
                top_k: count("top_k").or(Some(50)).filter(|k| *k > 0),
                top_p: number("top_p"),
                min_p: number("min_p"),
                repetition_penalty: number("repetition_penalty").unwrap_or(1.0),
                rules: TokenRules {
                    no_repeat_ngram_size: count("no_repeat_ngram_size").unwrap_or(0),
                    bad_words: words.map(tokens).collect(),
                    suppressed: tokens(&case["suppress_tokens"]),
                    suppressed_first: tokens(&case["begin_suppress_tokens"]),
                    min_length: count("min_length").unwrap_or(0),
                    min_new_tokens: count("min_new_tokens").unwrap_or(0),
                },
                eos: tokens(&case["eos"]),
                ..GenerateConfig::default()
            };
            let numbers = |field: &str| -> Vec<f64> {
                let list = case[field].as_array().expect("numbers").iter();
                list.map(|number| number.as_f64().expect("a number"))
                    .collect()
            };
            let mut logits: Vec<f32> = numbers("logits").iter().map(|n| *n as f32).collect();
            config.apply(&mut logits, &prompt, &tokens(&case["new"]));
            let found = choices(&logits, &config);
            let total: f64 = found.iter().map(|(_, weight)| weight).sum();
            let mut probabilities = vec![0.0; logits.len()];
            for (token, weight) in found {
                probabilities[token] = weight / total;
            }
            for (found, expected) in probabilities.iter().zip(numbers("probabilities")) {
                assert!((found - expected).abs() < 1e-5, "{case}");
                assert_eq!(*found == 0.0, expected == 0.0, "{case}");
            }
        }
    }
}
