//! What transformers computes for the same checkpoints.
//!
//! The expected values are read from `tests/goldens`, or from the directory that `PEFT_GOLDENS`
//! names.

use std::collections::BTreeSet;
use std::fs;

use burn::tensor::{Bool, DType, Device, Int, Tensor};
use peft_model::Pass;
use peft_models::{
    BertForSequenceClassification, BertForTokenClassification, DistilBertForSequenceClassification,
    DistilBertForTokenClassification, ModernBertForSequenceClassification,
    ModernBertForTokenClassification, RobertaForSequenceClassification,
    RobertaForTokenClassification, SequenceClassifier, TokenClassifier, Transformer, mean_pooled,
};
use peft_tests::tolerance::{GOLDEN_BF16, GOLDEN_LOGITS};

use super::loading::{Golden, goldens};
use crate::models::assert_close;

peft_tests::cases!(
    features_equal_transformers,
    sequence_heads_equal_transformers,
    token_heads_equal_transformers,
    bf16_is_close_to_transformers,
);

fn bf16_is_close_to_transformers(device: &Device) {
    if !device.supports_dtype(DType::BF16) {
        return;
    }
    for name in FEATURES {
        features(name, DType::BF16, device);
    }
    for name in SEQUENCES {
        sequence_head(name, DType::BF16, device);
    }
    for name in TOKENS {
        token_head(name, DType::BF16, device);
    }
}

const FEATURES: [&str; 5] = ["bert", "roberta", "xlm_roberta", "distilbert", "modernbert"];
const SEQUENCES: [&str; 8] = [
    "bert_sequence",
    "bert_multi_label",
    "bert_regression",
    "roberta_sequence",
    "xlm_roberta_sequence",
    "distilbert_sequence",
    "modernbert_sequence",
    "modernbert_sequence_mean",
];
const TOKENS: [&str; 4] = [
    "bert_token",
    "roberta_token",
    "distilbert_token",
    "modernbert_token",
];
/// Names of a first release, which the store reads.
const ELSEWHERE: [&str; 1] = ["bert_old"];

#[test]
fn every_golden_is_compared() {
    let there: BTreeSet<String> = fs::read_dir(goldens())
        .expect("the goldens")
        .map(|entry| entry.expect("an entry").file_name().into_string())
        .collect::<Result<_, _>>()
        .expect("UTF-8");
    let named = FEATURES.iter().chain(&SEQUENCES).chain(&TOKENS);
    let named = named.chain(&ELSEWHERE).map(|name| (*name).to_owned());
    assert_eq!(there, named.collect());
}

fn features_equal_transformers(device: &Device) {
    for name in FEATURES {
        features(name, DType::F32, device);
    }
}

fn sequence_heads_equal_transformers(device: &Device) {
    for name in SEQUENCES {
        sequence_head(name, DType::F32, device);
    }
}

fn token_heads_equal_transformers(device: &Device) {
    for name in TOKENS {
        token_head(name, DType::F32, device);
    }
}

fn family(name: &str) -> &str {
    match name.strip_prefix("xlm_").unwrap_or(name).split_once('_') {
        Some((family, _)) => family,
        None => name.strip_prefix("xlm_").unwrap_or(name),
    }
}

/// What a golden's checks have shown once they have passed.
fn evidence(golden: &Golden, name: &str, task: &str, dtype: DType, device: &Device) {
    let family = golden.config["model_type"].as_str().expect("a family");
    let row = format!("{family} | {task}");
    let checks: &[&str] = match dtype {
        DType::F32 => &["f32", "padding"],
        _ => &["bf16"],
    };
    peft_tests::verified("models", &row, "checkpoints", name);
    for check in checks {
        peft_tests::verified("models", &row, check, peft_tests::backend(device));
    }
}

fn features(name: &str, dtype: DType, device: &Device) {
    println!("{name}");
    let golden = Golden::open(name);
    match family(name) {
        "bert" | "roberta" => {
            let model = golden.load(golden.bert().init(device), dtype);
            compare_features(&golden, &model, dtype, device);
            if name == "bert" && dtype == DType::F32 {
                let types = golden.ints("token_type_ids", device);
                let pass = Pass::default().typed(Some(types));
                let (found, _) = model.read(golden.ints("input_ids", device), pass, None);
                let expected = golden.floats("typed_hidden", device);
                assert_close(&found, &expected, GOLDEN_LOGITS);
            }
            if name != "bert" && dtype == DType::F32 {
                let ids = golden.ints("literal_input_ids", device);
                let expected = golden.floats("literal_hidden", device);
                assert_close(&model.hidden(ids, None, None), &expected, GOLDEN_LOGITS);
            }
        }
        "distilbert" => {
            let model = golden.load(golden.distilbert().init(device), dtype);
            compare_features(&golden, &model, dtype, device);
        }
        _ => {
            let model = golden.load(golden.modernbert().init(device), dtype);
            compare_features(&golden, &model, dtype, device);
        }
    }
    evidence(&golden, name, "features", dtype, device);
}

fn compare_features<M: Transformer>(golden: &Golden, model: &M, dtype: DType, device: &Device) {
    let hidden = model.hidden(golden.ints("input_ids", device), None, None);
    if dtype == DType::BF16 {
        assert_eq!(hidden.dtype(), DType::F32); // the weights alone are bf16
        return assert_low(hidden, golden.floats("hidden_bf16", device));
    }
    let expected = golden.floats("hidden", device);
    assert_close(&hidden, &expected, GOLDEN_LOGITS);

    let (ids, segments, padding) = padded(golden, device);
    let hidden = model.hidden(ids, Some(segments.clone()), None);
    let pooled = mean_pooled(hidden.clone(), Some(segments));
    let expected = golden.floats("mean_pooled", device);
    assert_close(&pooled, &expected, GOLDEN_LOGITS);
    let expected: Tensor<3> = golden.floats("padded_hidden", device);
    let shown = |x: Tensor<3>| blanked(x, &padding);
    assert_close(&shown(hidden), &shown(expected), GOLDEN_LOGITS);
}

fn sequence_head(name: &str, dtype: DType, device: &Device) {
    println!("{name}");
    let golden = Golden::open(name);
    let n = golden.n_labels();
    match family(name) {
        "bert" => {
            let model = BertForSequenceClassification::new(&golden.bert(), n, device);
            compare_classes(&golden, model, dtype, device);
        }
        "roberta" => {
            let model = RobertaForSequenceClassification::new(&golden.bert(), n, device);
            compare_classes(&golden, model, dtype, device);
        }
        "distilbert" => {
            let model = DistilBertForSequenceClassification::new(&golden.distilbert(), n, device);
            compare_classes(&golden, model, dtype, device);
        }
        _ => {
            let model = ModernBertForSequenceClassification::new(&golden.modernbert(), n, device);
            compare_classes(&golden, model, dtype, device);
        }
    }
    evidence(&golden, name, "texts", dtype, device);
}

fn compare_classes<M: SequenceClassifier>(
    golden: &Golden,
    model: M,
    dtype: DType,
    device: &Device,
) {
    let model = golden.load(model, dtype);
    assert_eq!(model.n_labels(), golden.n_labels());
    let (ids, segments, _) = padded(golden, device);
    let hidden = model.hidden(ids, Some(segments.clone()), None);
    let padded = model.class_logits(hidden, Some(segments));
    if dtype == DType::BF16 {
        return assert_low(padded, golden.floats("padded_logits_bf16", device));
    }
    let expected = golden.floats("padded_logits", device);
    assert_close(&padded, &expected, GOLDEN_LOGITS);
    let hidden = model.hidden(golden.ints("input_ids", device), None, None);
    let expected = golden.floats("logits", device);
    assert_close(&model.class_logits(hidden, None), &expected, GOLDEN_LOGITS);
}

fn token_head(name: &str, dtype: DType, device: &Device) {
    println!("{name}");
    let golden = Golden::open(name);
    let n = golden.n_labels();
    match family(name) {
        "bert" => {
            let model = BertForTokenClassification::new(&golden.bert(), n, device);
            compare_tokens(&golden, model, dtype, device);
        }
        "roberta" => {
            let model = RobertaForTokenClassification::new(&golden.bert(), n, device);
            compare_tokens(&golden, model, dtype, device);
        }
        "distilbert" => {
            let model = DistilBertForTokenClassification::new(&golden.distilbert(), n, device);
            compare_tokens(&golden, model, dtype, device);
        }
        _ => {
            let model = ModernBertForTokenClassification::new(&golden.modernbert(), n, device);
            compare_tokens(&golden, model, dtype, device);
        }
    }
    evidence(&golden, name, "tokens", dtype, device);
}

fn compare_tokens<M: TokenClassifier>(golden: &Golden, model: M, dtype: DType, device: &Device) {
    let model = golden.load(model, dtype);
    assert_eq!(model.n_labels(), golden.n_labels());
    let (ids, segments, padding) = padded(golden, device);
    let logits = model.token_logits(model.hidden(ids, Some(segments), None));
    let shown = |x: Tensor<3>| blanked(x, &padding);
    if dtype == DType::BF16 {
        let expected = shown(golden.floats("padded_logits_bf16", device));
        return assert_low(shown(logits), expected);
    }
    let expected = shown(golden.floats("padded_logits", device));
    assert_close(&shown(logits), &expected, GOLDEN_LOGITS);
    let hidden = model.hidden(golden.ints("input_ids", device), None, None);
    let expected = golden.floats("logits", device);
    assert_close(&model.token_logits(hidden), &expected, GOLDEN_LOGITS);
}

/// Tokens, segments, and where the padding is.
fn padded(golden: &Golden, device: &Device) -> (Tensor<2, Int>, Tensor<2, Int>, Tensor<2, Bool>) {
    let ids = golden.ints("padded_input_ids", device);
    let padding = golden.ints("padded_attention_mask", device).equal_elem(0);
    (ids, padding.clone().int(), padding)
}

/// What stands at padding is nobody's to compare.
fn blanked(x: Tensor<3>, padding: &Tensor<2, Bool>) -> Tensor<3> {
    let mask = padding.clone().unsqueeze_dim::<3>(2).expand(x.dims());
    x.mask_fill(mask, 0.0)
}

/// Within the precision of bf16 of the largest value.
#[track_caller]
fn assert_low<const D: usize>(found: Tensor<D>, expected: Tensor<D>) {
    let found = found.cast(DType::F32);
    let top: f32 = expected.clone().abs().max().into_scalar();
    let apart: f32 = (found - expected).abs().max().into_scalar();
    println!("bf16: {apart} of {top}");
    assert!(apart <= GOLDEN_BF16 * top, "{apart} of {top}");
}
