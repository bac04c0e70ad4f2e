//! AdaLoRA: where its ranks go over a run, beside PEFT.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{ForwardPath, Placed, Targets, edit_all_slots, slots};
use peft_lora::{AdaLora, AdaLoraConfig, RankAllocator};
use peft_models::LanguageModel;
use peft_store::{AdapterDir, AdapterInfo, Checkpoint, save_adapter};
use peft_tests::tolerance::GOLDEN_GRADIENTS;
use peft_tests::{Tensors, read_tensors};
use peft_train::{
    EvalReport, Example, NextToken, Observer, Progress, Schedule, StepReport, TrainConfig,
    TrainError, TrainState, Trainer, Warmup,
};

use crate::fixture::params;

peft_tests::cases!(
    a_run_equals_pefts,
    what_is_left_is_saved,
    a_run_that_is_cut_moves_ranks_as_the_whole,
);

const NAME: &str = "default";
const TOTAL: usize = 9;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/allocated/adalora")
}

fn base(device: &Device) -> LanguageModel {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/models/gqa");
    Checkpoint::open(base)
        .and_then(|checkpoint| checkpoint.load(device, DType::F32))
        .expect("the base loads")
}

fn config() -> AdaLoraConfig {
    let config = AdaLoraConfig::new(4, 2, 6.0)
        .with_targets(Targets::suffixes(["q_proj", "v_proj"]))
        .with_steps(1, 2, 2)
        .with_path(ForwardPath::Factored);
    AdaLoraConfig {
        total_steps: Some(TOTAL),
        ..config
    }
}

/// The key of a layer's part in PEFT's model.
fn key(path: &str, part: &str) -> String {
    let layer = path.trim_end_matches(".weight");
    format!("base_model.model.{layer}.{part}")
}

/// The model with adapters that begin as PEFT's.
fn begun(device: &Device, expected: &Tensors) -> LanguageModel {
    let mut model = base(device);
    config().attach(&mut model, NAME).expect("it attaches");
    edit_all_slots(&mut model, |slots| {
        for (path, slot) in slots {
            let part = |part: &str| {
                let (shape, values) = &expected[&format!("start.{}", key(path, part))];
                let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                let data = TensorData::new(values, shape.clone());
                Tensor::<2>::from_data(data, device)
            };
            let (a, e, b) = (part("lora_A"), part("lora_E"), part("lora_B"));
            let parts = (a.transpose(), e.reshape([4]), b.transpose());
            let adapter = AdaLora::new(parts, 6.0, vec![true; 4], 0.0).with_importance();
            assert!(slot.set(NAME, adapter));
        }
        Ok(())
    })
    .expect("they are there");
    model
}

fn rows(expected: &Tensors) -> Vec<Example> {
    let (ids, labels) = (&expected["input_ids"].1, &expected["labels"].1);
    let half = ids.len() / 2;
    let rows = ids.chunks(half).zip(labels.chunks(half));
    rows.map(|(ids, labels)| {
        let ids = ids.iter().map(|id| *id as u32).collect();
        Example::new(ids, labels.iter().map(|label| *label >= 0.0).collect())
    })
    .collect()
}

fn settings() -> TrainConfig {
    TrainConfig {
        max_steps: Some(TOTAL),
        batch_size: 2,
        learning_rate: 1e-2,
        schedule: Schedule::Constant,
        warmup: Warmup::Steps(0),
        max_grad_norm: None,
        ..TrainConfig::default()
    }
}

/// `E` of each layer after each step, and a state after one of them.
#[derive(Default)]
struct Watch {
    values: Vec<Vec<(String, Vec<f64>)>>,
    ends_after: usize,
    state: Option<TrainState>,
}

impl Observer<LanguageModel> for Watch {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, LanguageModel>,
    ) -> Result<(), TrainError> {
        let slots = slots(progress.model).into_iter();
        let values = slots.map(|(path, slot)| {
            let adapter = slot.get::<AdaLora>(NAME).expect("it is there");
            let e = adapter.lora_e.val().into_data();
            (path, e.iter().collect())
        });
        self.values.push(values.collect());
        if report.step == self.ends_after {
            self.state = Some(progress.state());
            return Err(TrainError::NothingTrains);
        }
        Ok(())
    }

    fn on_eval(
        &mut self,
        _: &EvalReport,
        _: bool,
        _: &Progress<'_, LanguageModel>,
    ) -> Result<(), TrainError> {
        Ok(())
    }
}

fn trained(
    model: LanguageModel,
    rows: &[Example],
    state: Option<&TrainState>,
    watch: &mut Watch,
) -> Result<LanguageModel, TrainError> {
    let allocator = RankAllocator::new(&config(), NAME, TOTAL).expect("it can be");
    Trainer::new(&settings(), rows)
        .with_adapter_schedule(&allocator as &dyn peft_core::AdapterSchedule)
        .with_state(state)
        .run(model, &NextToken, watch)
}

fn near(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (a, b) in found.iter().zip(expected) {
        let apart = (a - b).abs();
        assert!(apart <= tolerance * largest, "{what}: {a}, expected {b}");
        assert_eq!(*a == 0.0, *b == 0.0, "{what}: {a}, expected {b}");
    }
}

/// Budget, importance and penalty, over nine steps: which values are zero after each, all of them,
/// and the file at the end.
fn a_run_equals_pefts(device: &Device) {
    let device = device.clone().autodiff();
    let expected = read_tensors(&golden().join("expected.safetensors"));
    let mut watch = Watch::default();
    let model = trained(
        begun(&device, &expected),
        &rows(&expected),
        None,
        &mut watch,
    );
    let model = model.expect("it trains");
    assert_eq!(watch.values.len(), TOTAL);
    for (at, values) in watch.values.iter().enumerate() {
        for (path, e) in values {
            let key = format!("step{}.{}", at + 1, key(path, "lora_E"));
            // Adam's steps on importance carry rounding along.
            near(
                &key,
                e,
                &expected[&key].1,
                10.0 * f64::from(GOLDEN_GRADIENTS),
            );
        }
    }
    let out = tempfile::tempdir().expect("a directory");
    save_adapter(
        &model,
        NAME,
        &config().into(),
        &AdapterInfo::new(),
        out.path(),
    )
    .expect("it is written");
    let (ours, theirs) = (AdapterDir::open(out.path()), AdapterDir::open(golden()));
    let (ours, theirs) = (ours.expect("it opens"), theirs.expect("it opens"));
    for field in [
        "rank_pattern",
        "init_r",
        "target_r",
        "total_step",
        "tinit",
        "tfinal",
        "deltaT",
    ] {
        assert_eq!(ours.fields()[field], theirs.fields()[field], "{field}");
    }
    let file = "adapter_model.safetensors";
    let found = read_tensors(&out.path().join(file));
    let wanted = read_tensors(&golden().join(file));
    assert!(found.keys().eq(wanted.keys()));
    for (key, (shape, values)) in &wanted {
        assert_eq!(found[key].0, *shape, "{key}");
        near(
            key,
            &found[key].1,
            values,
            10.0 * f64::from(GOLDEN_GRADIENTS),
        );
    }
    peft_tests::Invariant::Reference.verified("adalora", &device);
}

/// Layers of which nothing is left too, and what is read acts as what was trained.
fn what_is_left_is_saved(device: &Device) {
    let expected = read_tensors(&golden().join("expected.safetensors"));
    let auto = device.clone().autodiff();
    let model = trained(
        begun(&auto, &expected),
        &rows(&expected),
        None,
        &mut Watch::default(),
    );
    let model = model.expect("it trains");
    let out = tempfile::tempdir().expect("a directory");
    save_adapter(
        &model,
        NAME,
        &config().into(),
        &AdapterInfo::new(),
        out.path(),
    )
    .expect("it is written");
    let dir = AdapterDir::open(out.path()).expect("it opens");
    let mut read = base(device);
    dir.attach(&mut read, NAME, ForwardPath::Factored)
        .expect("it attaches");
    let of = |model: &LanguageModel| -> Vec<(Vec<bool>, f64, TensorData)> {
        let slots = slots(model).into_iter();
        let adapters = slots.map(|(_, slot)| {
            let adapter = slot.get::<AdaLora>(NAME).expect("it is there");
            let delta = adapter.delta().without_autodiff().into_data();
            (adapter.ranks(), adapter.scale(), delta)
        });
        adapters.collect()
    };
    let (before, after) = (of(&model), of(&read));
    assert!(before.iter().any(|(ranks, ..)| !ranks.contains(&true)));
    for ((ranks, scale, delta), (again, of_read, found)) in before.iter().zip(&after) {
        assert_eq!((ranks, scale), (again, of_read));
        let (a, b): (Vec<f64>, Vec<f64>) = (delta.iter().collect(), found.iter().collect());
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}

fn a_run_that_is_cut_moves_ranks_as_the_whole(device: &Device) {
    let device = device.clone().autodiff();
    let expected = read_tensors(&golden().join("expected.safetensors"));
    let rows = rows(&expected);
    let whole = trained(
        begun(&device, &expected),
        &rows,
        None,
        &mut Watch::default(),
    );
    let whole = params(&whole.expect("it trains"));
    for after in [3, 8] {
        let mut watch = Watch {
            ends_after: after,
            ..Watch::default()
        };
        assert!(trained(begun(&device, &expected), &rows, None, &mut watch).is_err());
        let state = watch.state.expect("it was kept");
        let again = trained(
            begun(&device, &expected),
            &rows,
            Some(&state),
            &mut Watch::default(),
        );
        assert_eq!(params(&again.expect("it goes on")), whole, "after {after}");
    }
    peft_tests::Invariant::Resumed.verified("adalora", &device);
}
