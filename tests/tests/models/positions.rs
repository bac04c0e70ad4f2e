//! The last block at the positions that are read: the states and gradients of the whole one.

use std::fs;
use std::path::PathBuf;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData, s};
use peft_core::{ForwardPath, Targets};
use peft_lora::LoraConfig;
use peft_models::{
    EncoderConfig, FromEmbeddings, ModernBertForSequenceClassification, Pooling,
    SequenceClassifier, Transformer,
};
use peft_store::Checkpoint;
use peft_tests::tolerance::PATHS;

use super::encoders::{bert, distilbert, modernbert, roberta, spread as spread_any};
use super::golden::{directories, models};
use super::{assert_close, ids, nudge_adapters, padding, spread, tiny};

peft_tests::cases!(
    decoders_have_the_states_of_the_whole,
    encoders_have_the_states_of_the_whole,
    decoders_have_the_gradients_of_the_whole,
    encoders_have_the_gradients_of_the_whole,
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
        let found = model.hidden_at(model.embed(ids.clone()), segments, at(device));
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

/// The gradient of each parameter that has one, by path.
fn gradients<M: Module>(model: &M, grads: &Gradients) -> Vec<(String, Tensor<1>)> {
    struct Read<'a>(Vec<String>, &'a Gradients, Vec<(String, Tensor<1>)>);
    impl ModuleVisitor for Read<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = param.val().grad(self.1) {
                self.2.push((self.0.join("."), grad.flatten(0, D - 1)));
            }
        }
    }
    let mut read = Read(Vec::new(), grads, Vec::new());
    model.visit(&mut read);
    read.2
}

fn has_the_gradients<M: Transformer>(model: &M, device: &Device) {
    let auto = &device.clone().autodiff();
    let ids = ids(ROWS, POSITIONS, model.vocab_size(), auto);
    let size = ROWS * 4 * model.d_model();
    let weights: Vec<f32> = (0..size).map(|i| (i as f32 * 1.7).sin()).collect();
    let shape = [ROWS, 4, model.d_model()];
    let weights = Tensor::<3>::from_data(TensorData::new(weights, shape), auto);
    for (layout, segments) in layouts(auto) {
        println!("  {layout}");
        let whole = picked(&model.hidden(ids.clone(), segments.clone(), None));
        let alone = model.hidden_at(model.embed(ids.clone()), segments, at(auto));
        let [expected, found] = [whole, alone].map(|states| {
            let loss = (states * weights.clone()).mean();
            gradients(model, &loss.backward())
        });
        assert!(expected.len() > 12, "{} parameters", expected.len());
        assert_eq!(found.len(), expected.len());
        for ((path, found), (other, expected)) in found.iter().zip(&expected) {
            assert_eq!(path, other);
            assert_close(found, expected, PATHS);
        }
    }
}

fn decoders_have_the_gradients_of_the_whole(device: &Device) {
    for dir in directories(&models()) {
        println!("{}", dir.display());
        let checkpoint = Checkpoint::open(&dir).expect("it opens");
        let auto = &device.clone().autodiff();
        let model = checkpoint.load(auto, DType::F32).expect("it loads");
        has_the_gradients(&model, device);
    }
}

/// Without dropout, which draws fewer numbers where less is computed.
fn encoders_have_the_gradients_of_the_whole(device: &Device) {
    let auto = &device.clone().autodiff();
    let (mut b, mut r, mut d, mut m) = (bert(), roberta(), distilbert(), modernbert());
    (b.max_positions, r.max_positions) = (POSITIONS, POSITIONS);
    (d.max_positions, m.max_positions) = (POSITIONS, POSITIONS);
    b.pooler = false;
    has_the_gradients(&spread_any(b.init(auto)), device);
    has_the_gradients(&spread_any(r.init(auto)), device);
    has_the_gradients(&spread_any(d.init(auto)), device);
    for windowed in [true, false] {
        m.windowed = vec![!windowed, windowed];
        has_the_gradients(&spread_any(m.init(auto)), device);
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
        let model = nudge_adapters(model);
        has_the_states(&model, device);
        let ids = ids(ROWS, POSITIONS, 23, device);
        let read = |model: &peft_models::DecoderForCausalLm| {
            model.hidden_at(model.embed(ids.clone()), None, at(device))
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
            let states = model.states_to_classify(model.embed(ids.clone()), segments.clone());
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
