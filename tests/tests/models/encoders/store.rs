//! Encoders as the store loads them from directories.

use burn::tensor::{DType, Device, Int, Tensor};
use peft_models::{SequenceClassifier, TokenClassifier, Transformer, mean_pooled};
use peft_store::{Checkpoint, CheckpointError};
use peft_tests::tolerance::GOLDEN_LOGITS;

use super::loading::{Golden, goldens};
use crate::models::assert_close;

peft_tests::cases!(
    directories_give_what_transformers_gives,
    a_head_that_is_not_there_is_fresh,
    the_wrong_kind_is_named,
);

fn padded(golden: &Golden, device: &Device) -> (Tensor<2, Int>, Tensor<2, Int>) {
    let mask = golden.ints("padded_attention_mask", device);
    let segments = mask.ones_like() - mask;
    (golden.ints("padded_input_ids", device), segments)
}

fn directories_give_what_transformers_gives(device: &Device) {
    for name in [
        "bert",
        "bert_old",
        "roberta",
        "xlm_roberta",
        "distilbert",
        "modernbert",
    ] {
        println!("{name}");
        let golden = Golden::open(name);
        let checkpoint = Checkpoint::open(&golden.dir).expect("it opens");
        let model = checkpoint
            .load_encoder(device, DType::F32)
            .unwrap_or_else(|error| panic!("{error}"));
        let hidden = model.hidden(golden.ints("input_ids", device), None, None);
        assert_close(&hidden, &golden.floats("hidden", device), GOLDEN_LOGITS);
        let (ids, segments) = padded(&golden, device);
        let hidden = model.hidden(ids, Some(segments.clone()), None);
        let pooled = mean_pooled(hidden, Some(segments));
        assert_close(
            &pooled,
            &golden.floats("mean_pooled", device),
            GOLDEN_LOGITS,
        );
    }
    for name in [
        "bert_sequence",
        "bert_multi_label",
        "bert_regression",
        "roberta_sequence",
        "xlm_roberta_sequence",
        "distilbert_sequence",
        "modernbert_sequence",
        "modernbert_sequence_mean",
    ] {
        println!("{name}");
        let golden = Golden::open(name);
        let loaded = Checkpoint::open(&golden.dir)
            .and_then(|checkpoint| {
                checkpoint.load_classifier(golden.n_labels(), device, DType::F32)
            })
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(loaded.fresh.is_empty(), "{:?}", loaded.fresh);
        let (ids, segments) = padded(&golden, device);
        let hidden = loaded.model.hidden(ids, Some(segments.clone()), None);
        let logits = loaded.model.class_logits(hidden, Some(segments));
        assert_close(
            &logits,
            &golden.floats("padded_logits", device),
            GOLDEN_LOGITS,
        );
    }
    for name in [
        "bert_token",
        "roberta_token",
        "distilbert_token",
        "modernbert_token",
    ] {
        println!("{name}");
        let golden = Golden::open(name);
        let loaded = Checkpoint::open(&golden.dir)
            .and_then(|checkpoint| checkpoint.load_tagger(golden.n_labels(), device, DType::F32))
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(loaded.fresh.is_empty(), "{:?}", loaded.fresh);
        let hidden = loaded
            .model
            .hidden(golden.ints("input_ids", device), None, None);
        let logits = loaded.model.token_logits(hidden);
        assert_close(&logits, &golden.floats("logits", device), GOLDEN_LOGITS);
    }
}

fn a_head_that_is_not_there_is_fresh(device: &Device) {
    let fresh = |name: &str| {
        Checkpoint::open(goldens().join(name))
            .and_then(|checkpoint| checkpoint.load_classifier(4, device, DType::F32))
            .map(|loaded| loaded.fresh)
    };
    assert_eq!(fresh("bert").expect("it loads"), ["classifier"]);
    assert_eq!(fresh("roberta").expect("it loads"), ["classifier"]);
    assert_eq!(
        fresh("distilbert").expect("it loads"),
        ["pre_classifier", "classifier"]
    );
    assert_eq!(
        fresh("modernbert").expect("it loads"),
        ["head", "classifier"]
    );
    // A head for other classes is not taken for one of these.
    assert!(matches!(
        fresh("bert_sequence"),
        Err(CheckpointError::Tensors { .. })
    ));
}

fn the_wrong_kind_is_named(device: &Device) {
    let encoder = Checkpoint::open(goldens().join("bert")).expect("it opens");
    let error = encoder.load(device, DType::F32).expect_err("no decoder");
    assert!(error.to_string().contains("is a bert"), "{error}");
    let decoder = Checkpoint::open(goldens().join("../models/gpt2")).expect("it opens");
    let error = decoder
        .load_encoder(device, DType::F32)
        .expect_err("no encoder");
    assert!(error.to_string().contains("is a gpt2"), "{error}");
}
