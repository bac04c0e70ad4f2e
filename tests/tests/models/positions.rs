//! The last block at the positions that are read, in every checkpoint there is: the states of the
//! whole one. Gradients are the generic suite's.

use std::fs;
use std::path::PathBuf;

use burn::tensor::{DType, Device, Int, Tensor, TensorData, s};
use peft_core::{ForwardPath, Placed, Targets};
use peft_lora::LoraConfig;
use peft_models::{
    EncoderConfig, ModernBertForSequenceClassification, Pooling, SequenceClassifier, Transformer,
};
use peft_store::Checkpoint;
use peft_tests::tolerance::PATHS;

use super::encoders::{modernbert, spread as spread_any};
use super::golden::{directories, models};
use super::{assert_close, ids, padding, spread, tiny};
use crate::fixture::filled_adapters;

peft_tests::cases!(
    decoders_have_the_states_of_the_whole,
    encoders_have_the_states_of_the_whole,
    adapters_act_at_what_is_read,
    heads_that_read_one_position_are_given_it,
);

const ROWS: usize = 3;
const POSITIONS: usize = 17;
/// Of each row others, in no order, some twice.
const AT: [[usize; 4]; ROWS] = [[3, 16, 0, 3], [9, 1, 9, 2], [12, 5, 14, 7]];

fn at(device: &Device) -> Tensor<2, Int> {
    let flat = AT.iter().flatten().map(|at| *at as i64).collect();
    Tensor::from_data(TensorData::new(flat, [ROWS, 4]), (device, DType::I64))
}

/// The states at these positions, one slice after the other.
fn picked(states: &Tensor<3>) -> Tensor<3> {
    let one = |row: usize, at: usize| states.clone().slice(s![row..row + 1, at..at + 1, ..]);
    let row = |row: usize| Tensor::cat(AT[row].iter().map(|at| one(row, *at)).collect(), 1);
    Tensor::cat((0..ROWS).map(row).collect(), 0)
}

/// Rows as they come: whole, padded, packed.
fn layouts(device: &Device) -> Vec<(&'static str, Option<Tensor<2, Int>>)> {
    let packed: Vec<i64> = [[5, 12, 17], [17, 17, 17], [3, 7, 13]]
        .iter()
        .flat_map(|ends| (0..POSITIONS).map(|i| ends.iter().filter(|end| i >= **end).count()))
        .map(|segment| segment as i64)
        .collect();
    let packed = Tensor::from_data(TensorData::new(packed, [ROWS, POSITIONS]), device);
    vec![
        ("whole", None),
        (
            "padded",
            Some(padding(&[POSITIONS, 10, 6], POSITIONS, device)),
        ),
        ("packed", Some(packed)),
    ]
}

fn has_the_states<M: Transformer>(model: &M, device: &Device) {
    let ids = ids(ROWS, POSITIONS, model.vocab_size(), device);
    for (layout, segments) in layouts(device) {
        println!("  {layout}");
        let expected = picked(&model.hidden(ids.clone(), segments.clone(), None));
        let found = model.hidden_at(ids.clone(), segments, at(device));
        assert_close(&found, &expected, PATHS);
    }
}

fn decoders_have_the_states_of_the_whole(device: &Device) {
    for dir in directories(&models()) {
        println!("{}", dir.display());
        let checkpoint = Checkpoint::open(&dir).expect("it opens");
        let model = checkpoint.load(device, DType::F32).expect("it loads");
        has_the_states(&model, device);
    }
}

/// The directories of encoders, with their config's number of labels.
fn encoders() -> Vec<(PathBuf, usize)> {
    let with_labels = |dir: PathBuf| {
        let config = fs::read(dir.join("config.json")).expect("a config");
        let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
        let labels = config["id2label"].as_object().map_or(2, |map| map.len());
        (dir, labels)
    };
    let dirs = directories(&models().join("../encoders")).into_iter();
    dirs.map(with_labels).collect()
}

fn encoders_have_the_states_of_the_whole(device: &Device) {
    for (dir, n_labels) in encoders() {
        println!("{}", dir.display());
        let checkpoint = Checkpoint::open(&dir).expect("it opens");
        let tagger = checkpoint.load_tagger(n_labels, device, DType::F32);
        match tagger {
            Ok(tagger) => has_the_states(&tagger.model, device),
            Err(_) => {
                let model = checkpoint.load_encoder(device, DType::F32);
                has_the_states(&model.expect("it loads"), device);
            }
        }
    }
}

fn adapters_act_at_what_is_read(device: &Device) {
    let plain = spread(&tiny(), device);
    for path in [ForwardPath::Factored, ForwardPath::Weight] {
        let mut model = plain.clone();
        LoraConfig::new(3, 6.0)
            .with_targets(Targets::all_linear())
            .with_path(path)
            .attach(&mut model, "default")
            .expect("it attaches");
        let model = filled_adapters(model);
        has_the_states(&model, device);
        let ids = ids(ROWS, POSITIONS, 23, device);
        let read = |model: &peft_models::DecoderForCausalLm| {
            model.hidden_at(ids.clone(), None, at(device))
        };
        let apart = (read(&model) - read(&plain)).abs().max();
        assert!(apart.into_scalar::<f32>() > 1e-2);
    }
}

fn heads_that_read_one_position_are_given_it(device: &Device) {
    fn check<M: SequenceClassifier>(model: &M, first: bool, device: &Device) {
        assert_eq!(model.reads_first_position(), first);
        let ids = ids(ROWS, POSITIONS, model.vocab_size(), device);
        for (_, segments) in layouts(device) {
            let pass = model.class_pass(segments.clone());
            let (states, _) = model.read(ids.clone(), pass, None);
            let positions = if first { 1 } else { POSITIONS };
            assert_eq!(states.dims(), [ROWS, positions, model.d_model()]);
            let states = model.hidden(ids.clone(), segments.clone(), None);
            let expected = model.class_logits(states, segments.clone());
            assert_close(&model.classify(ids.clone(), segments), &expected, PATHS);
        }
    }
    let mut seen = [0, 0];
    for (dir, n_labels) in encoders() {
        let checkpoint = Checkpoint::open(&dir).expect("it opens");
        let Ok(headed) = checkpoint.load_classifier(n_labels, device, DType::F32) else {
            continue;
        };
        println!("{}", dir.display());
        let first = match checkpoint.encoder_config().expect("an encoder") {
            EncoderConfig::ModernBert(config) => config.classifier_pooling == Pooling::First,
            _ => true,
        };
        check(&headed.model, first, device);
        seen[usize::from(first)] += 1;
    }
    assert!(seen[0] >= 1 && seen[1] >= 7, "{seen:?}");
    for (pooling, first) in [(Pooling::First, true), (Pooling::Mean, false)] {
        let mut config = modernbert();
        (config.classifier_pooling, config.max_positions) = (pooling, POSITIONS);
        let model = ModernBertForSequenceClassification::new(&config, 5, device);
        check(&spread_any(model), first, device);
    }
}
