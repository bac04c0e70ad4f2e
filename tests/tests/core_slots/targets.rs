//! Which layers a choice selects.

use burn::module::{Module, Param};
use burn::nn::{Embedding, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use peft_core::{
    LayerKind, LayerRange, Names, Patterns, PeftError, Placed, Targets, layers, slots,
};
use peft_lora::{Lora, LoraConfig};

use crate::fixture::{Net, params, values};

peft_tests::cases!(
    layers_have_kinds_and_shapes,
    suffixes_match_whole_segments,
    a_regular_expression_matches_the_whole_path,
    all_linear_leaves_embeddings_out,
    exclusions,
    ranges_of_layers,
    the_index_is_after_a_given_name,
    rank_and_alpha_by_pattern,
    modules_to_save,
    a_kind_is_a_type_and_not_a_name,
);

/// The paths that LoRA with these targets adapts.
fn chosen(device: &Device, targets: Targets) -> Result<Vec<String>, PeftError> {
    let mut model = Net::new(device);
    let config = LoraConfig::new(2, 3.0).with_targets(targets);
    let report = config.attach(&mut model, "a")?;
    let reported: Vec<String> = report.layers.into_iter().map(|layer| layer.path).collect();
    let found: Vec<String> = slots(&model).into_iter().map(|(path, _)| path).collect();
    let weights: Vec<String> = reported.iter().map(|p| format!("{p}.weight")).collect();
    assert_eq!(found, weights, "the report is what was done");
    Ok(reported)
}

#[track_caller]
fn assert_chosen(device: &Device, targets: Targets, expected: &[&str]) {
    assert_eq!(chosen(device, targets).expect("it selects"), expected);
}

const BLOCK: [&str; 3] = ["q_proj", "v_proj", "down_proj"];

fn block(indices: &[usize]) -> Vec<String> {
    let paths = |i: &usize| BLOCK.map(|name| format!("layers.{i}.{name}"));
    indices.iter().flat_map(paths).collect()
}

fn layers_have_kinds_and_shapes(device: &Device) {
    let model = Net::new(device);
    let found = layers(&model);
    let paths: Vec<&str> = found.iter().map(|layer| layer.path.as_str()).collect();
    let blocks = block(&[0, 1, 2]);
    let mut expected = vec!["embed"];
    expected.extend(blocks.iter().map(String::as_str));
    expected.push("head");
    assert_eq!(paths, expected);
    assert_eq!(found[0].kind, LayerKind::Embedding);
    assert_eq!((found[0].shape, found[0].has_bias), ([11, 6], false));
    assert_eq!((found[1].shape, found[1].has_bias), ([6, 10], true));
    assert_eq!((found[2].shape, found[2].has_bias), ([6, 10], false));
    assert!(found[1..].iter().all(|l| l.kind == LayerKind::Linear));
    assert_eq!(
        found[3].frozen_weight().dense().into_data(),
        model.layers[0].down_proj.weight.val().into_data()
    );
}

fn suffixes_match_whole_segments(device: &Device) {
    let q = ["layers.0.q_proj", "layers.1.q_proj", "layers.2.q_proj"];
    assert_chosen(device, Targets::suffixes(["q_proj"]), &q);
    assert_chosen(device, Targets::suffixes(["1.q_proj"]), &q[1..2]);
    assert_chosen(
        device,
        Targets::suffixes(["head", "embed"]),
        &["embed", "head"],
    );
    // `proj` ends their names and is no segment of any.
    assert!(chosen(device, Targets::suffixes(["proj"])).is_err());
}

fn a_regular_expression_matches_the_whole_path(device: &Device) {
    let targets = Targets::regex(r"layers\.[02]\.(q|v)_proj");
    let expected = [
        "layers.0.q_proj",
        "layers.0.v_proj",
        "layers.2.q_proj",
        "layers.2.v_proj",
    ];
    assert_chosen(device, targets, &expected);
    assert!(chosen(device, Targets::regex("q_proj")).is_err());
    assert!(chosen(device, Targets::regex(r"layers\.0")).is_err());
    let alternation = Targets::regex("head|embed"); // both alternatives are anchored
    assert_chosen(device, alternation, &["embed", "head"]);
}

fn all_linear_leaves_embeddings_out(device: &Device) {
    let mut expected = block(&[0, 1, 2]);
    expected.push("head".into());
    assert_eq!(
        chosen(device, Targets::all_linear()).expect("it selects"),
        expected
    );
}

fn exclusions(device: &Device) {
    let targets = Targets::all_linear().excluding(["head", "v_proj", "down_proj"]);
    let q = ["layers.0.q_proj", "layers.1.q_proj", "layers.2.q_proj"];
    assert_chosen(device, targets, &q);
    let first = Names::Regex(r"layers\.0\..*".into());
    let targets = Targets::suffixes(["q_proj"]).excluding_names(first);
    assert_chosen(device, targets, &q[1..]);
    // A module that is no layer may be excluded.
    let targets = Targets::suffixes(["q_proj"]).excluding(["norm"]);
    assert_chosen(device, targets, &q);
}

fn ranges_of_layers(device: &Device) {
    let all = Targets::all_linear;
    let within = |range| chosen(device, all().within(range)).expect("it selects");
    assert_eq!(within(LayerRange::Indices(vec![2, 0])), block(&[0, 2]));
    assert_eq!(chosen(device, all().first(2)).expect("two"), block(&[0, 1]));
    assert_eq!(chosen(device, all().last(1)).expect("one"), block(&[2]));
    assert_eq!(
        chosen(device, all().last(3)).expect("all"),
        block(&[0, 1, 2])
    );
    for n in [0, 4, usize::MAX] {
        for range in [LayerRange::First(n), LayerRange::Last(n)] {
            let error = chosen(device, all().within(range)).expect_err("not so many");
            assert_eq!(error, PeftError::LayerCount { asked: n, count: 3 });
        }
    }
}

/// Two lists on the way to a layer.
#[derive(Module, Debug)]
struct Stages {
    stages: Vec<Stage>,
}

#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<Linear>,
}

fn the_index_is_after_a_given_name(device: &Device) {
    let stage = || Stage {
        blocks: (0..2)
            .map(|_| LinearConfig::new(3, 2).init(device))
            .collect(),
    };
    let model = Stages {
        stages: (0..3).map(|_| stage()).collect(),
    };
    let chosen = |targets: Targets| {
        let mut model = model.clone();
        let config = LoraConfig::new(1, 1.0).with_targets(targets);
        let report = config.attach(&mut model, "a").expect("it selects");
        let paths = report.layers.into_iter().map(|layer| layer.path);
        paths.collect::<Vec<_>>()
    };
    let last = Targets::all_linear().last(1);
    assert_eq!(
        chosen(last.clone()),
        ["stages.2.blocks.0", "stages.2.blocks.1"]
    );
    assert_eq!(
        chosen(last.indexed_after(["blocks"])),
        [
            "stages.0.blocks.1",
            "stages.1.blocks.1",
            "stages.2.blocks.1"
        ]
    );
}

fn rank_and_alpha_by_pattern(device: &Device) {
    let mut model = Net::new(device);
    LoraConfig::new(2, 3.0)
        .with_targets(Targets::suffixes(["q_proj", "down_proj"]))
        .with_rank_pattern(Patterns::new([(r"layers\.1\.q_proj", 4), ("q_proj", 5)]))
        .with_alpha_pattern(Patterns::new([(r".*\.2\..*", 7.0)]))
        .attach(&mut model, "a")
        .expect("it attaches");
    let shape = |path: &str| {
        let slots = slots(&model);
        let (_, slot) = slots
            .iter()
            .find(|(found, _)| found == path)
            .expect("a slot");
        let lora: &Lora = slot.get("a").expect("a LoRA");
        assert_eq!(lora.lora_a.dims()[1], lora.rank());
        (lora.rank(), lora.scale())
    };
    assert_eq!(shape("layers.0.q_proj.weight"), (5, 3.0 / 5.0));
    assert_eq!(shape("layers.1.q_proj.weight"), (4, 3.0 / 4.0)); // the first pattern that matches
    assert_eq!(shape("layers.1.down_proj.weight"), (2, 3.0 / 2.0));
    assert_eq!(shape("layers.2.q_proj.weight"), (5, 7.0 / 5.0));
    assert_eq!(shape("layers.2.down_proj.weight"), (2, 7.0 / 2.0));
}

fn modules_to_save(device: &Device) {
    let mut model = Net::new(&device.clone().autodiff());
    let before = params(&model);
    let report = LoraConfig::new(2, 3.0)
        .with_whole_modules(["head", "norm", "layers.1"])
        .attach(&mut model, "a")
        .expect("it attaches");
    let whole = [
        "layers.1.q_proj.weight",
        "layers.1.q_proj.bias",
        "layers.1.v_proj.weight",
        "layers.1.down_proj.weight",
        "layers.1.down_proj.bias",
        "norm.gamma",
        "norm.beta",
        "head.weight",
        "head.bias",
    ];
    assert_eq!(report.trained_whole, whole);
    // What trains whole is no target of `all_linear`.
    let adapted: Vec<_> = report.layers.iter().map(|l| l.path.clone()).collect();
    assert_eq!(adapted, block(&[0, 2]));
    let after = params(&model);
    for path in whole {
        let copy = &after[&format!("{path}.adapters.a.value")];
        assert!(copy.trains && !after[path].trains, "{path}");
        assert_eq!(copy.data, before[path].data, "{path}");
    }
}

/// Holds a matrix called `weight`, and is neither a Linear nor an Embedding.
#[derive(Module, Debug)]
struct Codebook {
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Mixed {
    linear: Codebook,
    proj: Linear,
    table: Embedding,
}

fn a_kind_is_a_type_and_not_a_name(device: &Device) {
    let mut model = Mixed {
        linear: Codebook {
            weight: Param::from_tensor(values([3, 4], 1.0, device)),
        },
        proj: LinearConfig::new(4, 3).init(device),
        table: burn::nn::EmbeddingConfig::new(5, 4).init(device),
    };
    let paths: Vec<_> = layers(&model).into_iter().map(|layer| layer.path).collect();
    assert_eq!(paths, ["proj", "table"]);
    let config = LoraConfig::new(1, 1.0).with_targets(Targets::suffixes(["linear"]));
    let error = config.attach(&mut model, "a").expect_err("no layer");
    assert_eq!(
        error.to_string(),
        "lora cannot adapt `linear`, a Codebook; it adapts Linear and Embedding and convolution"
    );
    let bare = LoraConfig::new(1, 1.0).with_targets(Targets::suffixes(["linear.weight"]));
    let error = bare.attach(&mut model, "a").expect_err("no layer");
    assert_eq!(
        error.to_string(),
        "lora cannot adapt `linear.weight`, a parameter of Codebook and no layer; it adapts Linear and Embedding and convolution"
    );
    let of_a_layer = LoraConfig::new(1, 1.0).with_targets(Targets::suffixes(["proj.weight"]));
    let error = of_a_layer.attach(&mut model, "a").expect_err("no layer");
    assert!(matches!(error, PeftError::Unmatched { .. }), "{error}");
    let ia3 = peft_ia3::Ia3Config::new(Targets::suffixes(["table"]));
    assert_eq!(
        ia3.attach(&mut model, "a")
            .expect_err("an embedding")
            .to_string(),
        "ia3 cannot adapt `table`, a Embedding; it adapts Linear"
    );
}
