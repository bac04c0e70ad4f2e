//! Properties over random shapes, ranks, trees and targets, each against another way to the same;
//! the same cases in every run.

mod patterns;

use std::fmt::Debug;
use std::path::Path;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device};
use peft_core::{
    ForwardPath, LayerRange, Names, ParamSet, Patterns, Placed, Targets, TrainBias, freeze_all_but,
    layers, linear, merge, set_active,
};
use peft_lora::{LoraConfig, LoraScaling};
use peft_store::{AdapterConfig, AdapterDir, AdapterInfo, Checkpoint, save_adapter};
use peft_tests::tolerance::PATHS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::fixture::{
    Net, adapter_paths, assert_close, filled, filled_adapters, params, slot_state, steps, trained,
    values,
};

peft_tests::cases!(
    targets_are_what_another_matcher_says,
    paths_agree_in_every_shape,
    masks_train_what_they_name,
    directories_hold_any_config,
);

/// The property of `n` values; the smallest that breaks it is shown.
fn check<S: Strategy<Value: Debug>>(n: u32, strategy: S, property: impl Fn(S::Value)) {
    let config = Config {
        cases: n,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |value| {
        property(value);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Names that end in one another, lists in lists, layers that are not always there.
#[derive(Module, Debug)]
struct Node {
    q: Option<Linear>,
    seq: Option<Linear>,
    mlp: Vec<Linear>,
}

#[derive(Module, Debug)]
struct Tree {
    embed: Embedding,
    layers: Vec<Node>,
    q: Linear,
}

/// For each node: whether it has `q`, whether `seq`, and how long its `mlp` is.
type Shape = Vec<(bool, bool, usize)>;

fn tree(shape: &Shape, device: &Device) -> (Tree, Vec<String>) {
    let layer = || LinearConfig::new(2, 3).init(device);
    let mut paths = vec!["embed".to_owned()];
    for (i, (q, seq, mlp)) in shape.iter().enumerate() {
        let names = [(*q, "q"), (*seq, "seq")].into_iter();
        let names = names.filter(|(there, _)| *there);
        paths.extend(names.map(|(_, name)| format!("layers.{i}.{name}")));
        paths.extend((0..*mlp).map(|j| format!("layers.{i}.mlp.{j}")));
    }
    paths.push("q".into());
    let node = |(q, seq, mlp): &(bool, bool, usize)| Node {
        q: q.then(layer),
        seq: seq.then(layer),
        mlp: (0..*mlp).map(|_| layer()).collect(),
    };
    let tree = Tree {
        embed: EmbeddingConfig::new(4, 2).init(device),
        layers: shape.iter().map(node).collect(),
        q: layer(),
    };
    (tree, paths)
}

/// Whether `path` ends in the segments of `entry`.
fn ends(path: &str, entry: &str) -> bool {
    let mut segments = path.rsplit('.');
    entry.rsplit('.').all(|part| segments.next() == Some(part))
}

/// PEFT's index, and the first number where that has none.
fn index(path: &str) -> Option<usize> {
    let parts: Vec<&str> = path.split('.').collect();
    let numbers = parts.iter().enumerate();
    let numbers = numbers.filter_map(|(at, part)| Some((at, part.parse::<usize>().ok()?)));
    let numbers: Vec<(usize, usize)> = numbers.collect();
    let inner = |(at, _): &&(usize, usize)| *at >= 2 && at + 1 < parts.len();
    let found = numbers.iter().find(inner);
    found.or(numbers.first()).map(|(_, number)| *number)
}

/// Whether an entry of targets or exclusions has a path.
type Entry<'a> = &'a dyn Fn(&str) -> bool;

/// What the targets mean, or nothing where they are a mistake.
fn meant(
    paths: &[String],
    targets: &[Entry<'_>],
    exclude: &[Entry<'_>],
    range: &LayerRange,
) -> Option<Vec<String>> {
    let any = |entries: &[Entry<'_>], path: &str| entries.iter().any(|entry| entry(path));
    let used = |entry: &Entry<'_>| paths.iter().any(|path| entry(path));
    let is_module = |entry: &Entry<'_>| {
        let mut starts = paths.iter().flat_map(|path| {
            let dots = path.match_indices('.').map(|(at, _)| at);
            dots.chain([path.len()]).map(|end| &path[..end])
        });
        starts.any(entry)
    };
    if !targets.iter().all(used) || !exclude.iter().all(is_module) {
        return None;
    }
    let mut left: Vec<String> = paths.to_vec();
    left.retain(|path| any(targets, path) && !any(exclude, path));
    let count = paths.iter().filter_map(|path| index(path)).max();
    let count = count.map_or(0, |last| last + 1);
    let within: Vec<usize> = match range {
        LayerRange::All => return (!left.is_empty()).then_some(left),
        LayerRange::First(n) | LayerRange::Last(n) if *n == 0 || *n > count => return None,
        LayerRange::First(n) => (0..*n).collect(),
        LayerRange::Last(n) => (0..count).rev().take(*n).collect(),
        LayerRange::Indices(indices) => indices.clone(),
    };
    if within.iter().any(|at| *at >= count) {
        return None;
    }
    left.retain(|path| index(path).is_some_and(|at| within.contains(&at)));
    (!left.is_empty()).then_some(left)
}

fn shapes() -> impl Strategy<Value = Shape> {
    vec((any::<bool>(), any::<bool>(), 0..3usize), 0..4)
}

fn ranges() -> impl Strategy<Value = LayerRange> {
    prop_oneof![
        Just(LayerRange::All),
        (0..5usize).prop_map(LayerRange::First),
        (0..5usize).prop_map(LayerRange::Last),
        vec(0..4usize, 1..3).prop_map(LayerRange::Indices),
    ]
}

fn targets_are_what_another_matcher_says(device: &Device) {
    // The end of a path, whole or cut within a segment.
    let entry = (any::<Index>(), 1..4usize, 0..6usize);
    let all = (
        shapes(),
        vec(entry.clone(), 1..4),
        vec(entry, 0..2),
        ranges(),
    );
    let (chosen, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    check(300, all, |(shape, targets, exclude, range)| {
        let (mut model, paths) = tree(&shape, device);
        let found: Vec<String> = layers(&model).into_iter().map(|layer| layer.path).collect();
        assert_eq!(found, paths);
        let entry = |(at, segments, cut): &(Index, usize, usize)| {
            let path = at.get(&paths);
            let starts: Vec<usize> = path.rmatch_indices('.').map(|(at, _)| at + 1).collect();
            let end = starts
                .get(segments - 1)
                .map_or(path.as_str(), |at| &path[*at..]);
            // One in six is cut.
            let cut = usize::from(*cut == 0 && end.len() > 1);
            end[cut..].to_owned()
        };
        let targets: Vec<String> = targets.iter().map(entry).collect();
        let exclude: Vec<String> = exclude.iter().map(entry).collect();
        let mut asked = Targets::suffixes(targets.clone()).within(range.clone());
        if !exclude.is_empty() {
            asked = asked.excluding(exclude.clone());
        }
        let config = LoraConfig::new(1, 1.0).with_targets(asked);
        let report = config.attach(&mut model, "a").ok();
        let found =
            report.map(|report| report.layers.into_iter().map(|layer| layer.path).collect());
        let ends = |entry: &String| {
            let entry = entry.clone();
            move |path: &str| ends(path, &entry)
        };
        let [targets_by, exclude_by] =
            [&targets, &exclude].map(|entries| entries.iter().map(ends).collect::<Vec<_>>());
        let [targets_by, exclude_by] = [&targets_by, &exclude_by].map(|entries| {
            entries
                .iter()
                .map(|entry| entry as Entry<'_>)
                .collect::<Vec<_>>()
        });
        let expected = meant(&paths, &targets_by, &exclude_by, &range);
        assert_eq!(
            found, expected,
            "{targets:?} without {exclude:?} of {paths:?}"
        );
        let count = if expected.is_some() {
            &chosen
        } else {
            &refused
        };
        count.set(count.get() + 1);
    });
    let (chosen, refused) = (chosen.get(), refused.get());
    assert!(
        chosen > 60 && refused > 60,
        "{chosen} chosen, {refused} refused"
    );
}

fn paths_agree_in_every_shape(device: &Device) {
    let sizes = (1..9usize, 1..9usize, 1..5usize, 1..4usize, 1..4usize);
    let settings = (-4.0..4.0f64, any::<bool>(), any::<bool>(), -2.0..2.0f64);
    check(64, (sizes, settings), |(sizes, settings)| {
        let (d_in, d_out, rank, batch, rows) = sizes;
        let (alpha, bias, stabilised, strength) = settings;
        let scaling = match stabilised {
            true => LoraScaling::RankStabilised,
            false => LoraScaling::Standard,
        };
        let mut model = filled(LinearConfig::new(d_in, d_out).with_bias(bias).init(device));
        let base = model.clone();
        LoraConfig::new(rank, alpha)
            .with_scaling(scaling)
            .attach(&mut model, "a")
            .expect("it attaches");
        let mut model = filled_adapters(model);
        set_active(&mut model, &[("a", strength)]).expect("it exists");
        let x = values([batch, rows, d_in], 3.0, device);
        let factored = linear(&model, x.clone());
        assert_close(&model.forward(x.clone()), &factored, PATHS);
        // By its definition.
        let divisor = if stabilised {
            (rank as f64).sqrt()
        } else {
            rank as f64
        };
        let (_, slot) = peft_core::slots(&model).remove(0);
        let lora: &peft_lora::Lora = slot.get("a").expect("a LoRA");
        let product = x
            .clone()
            .matmul(lora.lora_a.val().unsqueeze())
            .matmul(lora.lora_b.val().unsqueeze());
        let expected = base.forward(x.clone()) + product.mul_scalar(strength * alpha / divisor);
        assert_close(&factored, &expected, PATHS);
        drop(merge(&mut model).expect("it acts"));
        assert_close(&model.forward(x), &factored, PATHS);
    });
}

fn masks_train_what_they_name(device: &Device) {
    let device = &device.clone().autodiff();
    let base = Net::new(device);
    let all: Vec<String> = params(&base).into_keys().collect();
    check(12, subsequence(all.clone(), 1..all.len()), |names| {
        let mut model = base.clone();
        let set = ParamSet::Names(Names::suffixes(names.clone()));
        freeze_all_but(&mut model, &set).expect("all are there");
        assert_eq!(trained(&model), names);
        let before = params(&model);
        let (model, _) = steps(model, 2, |model| model.loss(ForwardPath::Weight));
        for (path, after) in params(&model) {
            assert_eq!(
                after.data != before[&path].data,
                names.contains(&path),
                "{path}"
            );
        }
    });
}

/// A config with its targets, saved and read into a fresh base: the same slots and the same bits.
fn directories_hold_any_config(device: &Device) {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/models/biased");
    let checkpoint = Checkpoint::open(&at).expect("it opens");
    let base = checkpoint.load(device, DType::F32).expect("it loads");
    let names = [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "down_proj",
    ];
    let targets = subsequence(names.to_vec(), 1..names.len());
    let settings = (1..6usize, 1..40i32, any::<bool>(), 0..3u8);
    let beside = (any::<bool>(), proptest::option::of(1..6usize));
    check(
        12,
        (targets, settings, beside),
        |(targets, settings, beside)| {
            let (rank, alpha, stabilised, bias) = settings;
            let (norm, other_rank) = beside;
            let mut config = LoraConfig::new(rank, f64::from(alpha) / 4.0)
                .with_targets(Targets::suffixes(targets.clone()))
                .with_train_bias(
                    [TrainBias::None, TrainBias::All, TrainBias::Adapted][usize::from(bias)],
                )
                .with_path(ForwardPath::Factored);
            if stabilised {
                config = config.with_scaling(LoraScaling::RankStabilised);
            }
            if norm {
                config = config.with_whole_modules(["norm"]);
            }
            if let Some(other) = other_rank {
                config = config.with_rank_pattern(Patterns::new([(targets[0], other)]));
            }
            let mut model = base.clone();
            config.attach(&mut model, "default").expect("it attaches");
            let model = filled_adapters(model);
            let dir = tempfile::tempdir().expect("a directory");
            let config = AdapterConfig::Lora(config);
            save_adapter(&model, "default", &config, &AdapterInfo::new(), dir.path())
                .expect("it is written");
            let mut read = base.clone();
            let adapter = AdapterDir::open(dir.path()).expect("it opens");
            adapter
                .attach(&mut read, "default", ForwardPath::Factored)
                .expect("it attaches");
            assert!(adapter_paths(&model).len() >= 2 * targets.len());
            assert_eq!(slot_state(&read), slot_state(&model));
            assert_eq!(params(&read), params(&model));
        },
    );
}
