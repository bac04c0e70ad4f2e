//! The base that an adapter was trained on is told from others of its shapes.

use std::path::Path;

use burn::tensor::{DType, Device};
use peft_core::{AttachReport, ForwardPath, Placed};
use peft_lora::{LoraConfig, Targets};
use peft_models::LanguageModel;
use peft_prefix::{PrefixConfig, Prefixed};
use peft_store::{
    AdapterConfig, AdapterDir, AdapterInfo, Checkpoint, TaskType, save_adapter, save_prefix,
};
use tempfile::TempDir;

use super::{base, golden};
use crate::fixture::{filled, filled_adapters};

peft_tests::cases!(
    another_base_of_the_same_shapes_is_told,
    what_trains_whole_is_no_part_of_the_base,
    a_base_is_the_same_in_each_precision,
    a_prefix_knows_its_base,
);

fn config() -> LoraConfig {
    LoraConfig::new(2, 4.0).with_targets(Targets::suffixes(["q_proj", "v_proj"]))
}

fn in_dtype(dtype: DType, device: &Device) -> LanguageModel {
    Checkpoint::open(golden("models/gqa"))
        .and_then(|checkpoint| checkpoint.load(device, dtype))
        .expect("the base loads")
}

/// An adapter that was trained on `model`, in a directory.
fn saved(mut model: LanguageModel, config: LoraConfig) -> TempDir {
    let config = AdapterConfig::Lora(config);
    config.attach(&mut model, "trained").expect("it attaches");
    let model = filled_adapters(model);
    let dir = tempfile::tempdir().expect("a directory");
    let about = AdapterInfo::new().with_base("gqa");
    save_adapter(&model, "trained", &config, &about, dir.path()).expect("it saves");
    dir
}

fn attached(dir: &Path, mut model: LanguageModel) -> (LanguageModel, AttachReport) {
    let dir = AdapterDir::open(dir).expect("it opens");
    let report = dir.attach(&mut model, "other", ForwardPath::Factored);
    (model, report.expect("it attaches"))
}

fn another_base_of_the_same_shapes_is_told(device: &Device) {
    let dir = saved(base("gqa", device), config());
    let (mut same, report) = attached(dir.path(), base("gqa", device));
    assert!(report.warnings.is_empty(), "{report}");
    let (_, report) = attached(dir.path(), filled(base("gqa", device)));
    let [warning] = &report.warnings[..] else {
        panic!("{report}");
    };
    assert!(warning.contains("was trained on `gqa`"), "{warning}");
    assert!(report.to_string().contains(warning), "{report}");

    // What else is attached is no part of the base.
    config().attach(&mut same, "beside").expect("it attaches");
    let dir = saved(filled_adapters(same), config());
    let (_, report) = attached(dir.path(), base("gqa", device));
    assert!(report.warnings.is_empty(), "{report}");
    // An adapter of PEFT does not say what it was trained on.
    let (_, report) = attached(&golden("adapters/lora_attn"), filled(base("gqa", device)));
    assert!(report.warnings.is_empty(), "{report}");
}

fn what_trains_whole_is_no_part_of_the_base(device: &Device) {
    let config = config().with_whole_modules(["norm"]);
    let dir = saved(base("gqa", device), config);
    let (_, report) = attached(dir.path(), base("gqa", device));
    assert!(
        !report.trained_whole.is_empty() && report.warnings.is_empty(),
        "{report}"
    );
    let (_, report) = attached(dir.path(), filled(base("gqa", device)));
    assert_eq!(report.warnings.len(), 1, "{report}");
}

/// A half precision may round away what another would tell: then nothing is said.
fn a_base_is_the_same_in_each_precision(device: &Device) {
    let all = [DType::F32, DType::BF16, DType::F16].into_iter();
    let all: Vec<DType> = all.filter(|dtype| device.supports_dtype(*dtype)).collect();
    for &trained in &all {
        let dir = saved(in_dtype(trained, device), config());
        for &run in &all {
            let (_, report) = attached(dir.path(), in_dtype(run, device));
            assert!(report.warnings.is_empty(), "{trained:?} {run:?}: {report}");
        }
        let other = filled(base("gqa", device));
        let (_, report) = attached(dir.path(), other);
        assert_eq!(report.warnings.len(), 1, "{trained:?}");
    }
}

fn a_prefix_knows_its_base(device: &Device) {
    let config = AdapterConfig::Prefix(PrefixConfig::new(3));
    let mut model = Prefixed::new(base("gqa", device));
    config
        .attach_prefix(&mut model, "trained")
        .expect("it attaches");
    let dir = tempfile::tempdir().expect("a directory");
    let about = AdapterInfo::new().with_task(TaskType::CausalLm);
    save_prefix(&model, "trained", &config, &about, dir.path()).expect("it saves");
    let dir = AdapterDir::open(dir.path()).expect("it opens");
    let own = base("gqa", device);
    for (base, warnings) in [(filled(own.clone()), 1), (own, 0)] {
        let mut model = Prefixed::new(base);
        let report = dir.attach_prefix(&mut model, "other").expect("it attaches");
        assert_eq!(report.warnings.len(), warnings, "{report}");
    }
}
