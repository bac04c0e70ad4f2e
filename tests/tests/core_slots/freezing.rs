//! Freezing masks and the count of what trains.

use burn::module::Module;
use burn::tensor::Device;
use peft_core::{
    ForwardPath, Names, ParamSet, Placed, Summary, Targets, TrainBias, freeze_all_but, merge,
    set_disabled,
};
use peft_lora::LoraConfig;

use super::adapted;
use crate::fixture::{Net, assert_same, filled_adapters, is_adapter, params, steps, trained};

peft_tests::cases!(
    attaching_freezes_the_base,
    the_base_is_bit_identical_after_training,
    a_mask_trains_exactly_its_set,
    what_a_mask_freezes_stays,
    a_summary_counts_what_is_there,
    a_summary_prints_as_a_table,
    a_plain_device_counts_alike,
);

fn attaching_freezes_the_base(device: &Device) {
    let device = device.clone().autodiff();
    let model = adapted(&device, ForwardPath::Weight);
    for (path, seen) in params(&model) {
        assert_eq!(seen.trains, is_adapter(&path), "{path}");
    }
}

fn the_base_is_bit_identical_after_training(device: &Device) {
    let device = device.clone().autodiff();
    let base = Net::new(&device);
    let mut model = base.clone();
    LoraConfig::new(2, 3.0)
        .with_train_bias(TrainBias::All)
        .with_whole_modules(["head", "norm"])
        .with_path(ForwardPath::Factored)
        .attach(&mut model, "a")
        .expect("it attaches");
    let model = filled_adapters(model);
    let before = params(&model);
    let (mut model, losses) = steps(model, 5, |model| model.loss(ForwardPath::Factored));
    assert!(losses[4] < losses[0], "{losses:?}");
    let after = params(&model);
    for (path, seen) in params(&base) {
        assert_eq!(after[&path].data, seen.data, "{path}");
    }
    for (path, seen) in after.iter().filter(|(path, _)| is_adapter(path)) {
        assert_ne!(seen.data, before[path].data, "{path}");
    }
    set_disabled(&mut model, true).expect("slots only");
    assert_same(
        &model.output(ForwardPath::Factored),
        &base.output(ForwardPath::Weight),
    );
}

fn a_mask_trains_exactly_its_set(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = adapted(&device, ForwardPath::Weight);
    let total = model.num_params();

    let names = ParamSet::Names(Names::suffixes(["norm", "head.bias", "1.q_proj"]));
    let summary = freeze_all_but(&mut model, &names).expect("all match");
    let expected = [
        "head.bias",
        "layers.1.q_proj.bias",
        "layers.1.q_proj.weight",
        "layers.1.q_proj.weight.adapters.default.lora_a",
        "layers.1.q_proj.weight.adapters.default.lora_b",
        "norm.beta",
        "norm.gamma",
    ];
    assert_eq!(trained(&model), expected);
    assert_eq!(summary.trainable, 5 + 10 + 60 + 12 + 20 + 6 + 6);
    assert_eq!(summary.total, total);

    let names = ParamSet::Names(Names::Regex(r"layers\.\d\.v_proj".into()));
    freeze_all_but(&mut model, &names).expect("it matches");
    assert_eq!(trained(&model).len(), 3);

    let all = freeze_all_but(&mut model, &ParamSet::All).expect("no name to miss");
    assert_eq!(all.trainable, total);
    assert_eq!(trained(&model).len(), params(&model).len());
    let none = freeze_all_but(&mut model, &ParamSet::None).expect("no name to miss");
    assert_eq!((none.trainable, none.percent()), (0, 0.0));
    assert!(trained(&model).is_empty());
}

fn what_a_mask_freezes_stays(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = Net::new(&device);
    let names = ParamSet::Names(Names::suffixes(["norm", "2.v_proj"]));
    freeze_all_but(&mut model, &names).expect("both match");
    let before = params(&model);
    let (model, _) = steps(model, 5, |model| model.loss(ForwardPath::Weight));
    for (path, after) in params(&model) {
        let trains = path.starts_with("norm") || path == "layers.2.v_proj.weight";
        assert_eq!(after.data != before[&path].data, trains, "{path}");
    }
}

fn a_summary_counts_what_is_there(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = Net::new(&device);
    let report = LoraConfig::new(2, 3.0)
        .with_targets(Targets::suffixes(["q_proj", "embed"]))
        .with_whole_modules(["head"])
        .attach(&mut model, "a")
        .expect("it attaches");
    let summary = Summary::of(&model);
    assert_eq!(report.summary, summary);

    let seen = params(&model);
    let count = |train_only: bool| -> usize {
        let counted = seen.values().filter(|seen| seen.trains || !train_only);
        counted.map(|seen| seen.data.num_elements()).sum()
    };
    assert_eq!(summary.total, model.num_params());
    assert_eq!(summary.total, count(false));
    assert_eq!(summary.trainable, count(true));
    assert_eq!(
        summary.percent(),
        100.0 * count(true) as f64 / count(false) as f64
    );

    let rows: Vec<_> = summary
        .modules
        .iter()
        .map(|row| (row.module.as_str(), row.trainable, row.total))
        .collect();
    let (embed, q) = (2 * (11 + 6), 3 * 2 * (6 + 10));
    let expected = [
        ("embed", embed, 66 + embed),
        ("layers.*.q_proj", q, 3 * 70 + q),
        ("layers.*.v_proj", 0, 3 * 60),
        ("layers.*.down_proj", 0, 3 * 66),
        ("norm", 0, 12),
        ("head", 35, 35 + 35),
    ];
    assert_eq!(rows, expected);

    drop(merge(&mut model).expect("it merges"));
    let merged = Summary::of(&model);
    assert_eq!(
        (merged.trainable, merged.total),
        (0, 66 + 3 * 196 + 12 + 35)
    );
}

fn a_summary_prints_as_a_table(device: &Device) {
    let mut model = Net::new(device);
    let config = LoraConfig::new(2, 3.0).with_targets(Targets::suffixes(["head"]));
    let report = config.attach(&mut model, "a").expect("it attaches");
    let expected = "\
lora `a` on 1 layers
module                   trainable           total         %
embed                            0              66     0.000
layers.*.q_proj                  0             210     0.000
layers.*.v_proj                  0             180     0.000
layers.*.down_proj               0             198     0.000
norm                             0              12     0.000
head                            22              57    38.596
total                           22             723     3.043
";
    assert_eq!(report.to_string(), expected);
}

fn a_plain_device_counts_alike(device: &Device) {
    let summary = |device: &Device| Summary::of(&adapted(device, ForwardPath::Weight));
    assert_eq!(summary(device), summary(&device.clone().autodiff()));
    let valid = adapted(&device.clone().autodiff(), ForwardPath::Weight).valid();
    assert_eq!(Summary::of(&valid), summary(device));
}
