//! The high-water mark of memory: the factored path forms nothing of the weight's shape, nothing is
//! kept of what lies below the lowest parameter that trains, and a checkpoint loads in little more
//! than the model's own memory.
//!
//! Each measurement is a process of its own, this very case started again, so that neither other
//! cases nor memory that an allocator kept count.
#![cfg(target_os = "linux")]

#[path = "memory/frozen_a.rs"]
mod frozen_a;
#[path = "memory/rows.rs"]
mod rows;

use std::fs;
use std::path::Path;
use std::process::Command;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Distribution, Tensor};
use peft_core::{ForwardPath, Names, ParamSet, Placed, Targets, freeze_all_but, linear};
use peft_kernels::{PackedFormat, Packer, multiplies_packed};
use peft_lora::LoraConfig;
use peft_models::DecoderConfig;
use peft_store::{
    AdapterConfig, AdapterDir, AdapterFileError, AdapterInfo, Checkpoint, Held, Quantise,
    fresh_config_json, save_adapter, write_checkpoint,
};
use peft_tests::Unwatched;
use peft_tests::measured::{grown_kib, status_kib};
use peft_train::{Batch, Example, NextToken, TrainConfig, Trainer, target_nll};
use serde_json::{Value, json};

use frozen_a::a_frozen_a_keeps_no_input;
use rows::a_file_of_rows_need_not_fit_in_memory;

/// The width of a square layer: its weight is 64 MiB in f32.
const WIDTH: usize = 4096;
const WEIGHT_KIB: usize = WIDTH * WIDTH * 4 / 1024;
const PROBE: &str = "PEFT_MEMORY_PROBE";

peft_tests::cases!(on the cores:
    a_factored_step_forms_nothing_of_the_weights_shape,
    a_frozen_a_keeps_no_input,
    a_dense_gradient_is_formed_once,
    a_step_keeps_nothing_of_a_frozen_trunk,
    a_recomputed_step_holds_one_block,
    a_checkpoint_loads_in_the_models_memory,
    a_checkpoint_is_packed_in_the_packed_models_memory,
    a_whole_model_that_an_adapter_has_not_is_not_copied,
    a_file_of_rows_need_not_fit_in_memory,
);

fn a_factored_step_forms_nothing_of_the_weights_shape(device: &Device) {
    let case = "a_factored_step_forms_nothing_of_the_weights_shape";
    if let Ok(path) = std::env::var(PROBE) {
        println!("\ngrowth_kib={}", step(device, &path));
        return;
    }
    let factored = measured(device, case, "factored");
    let dora = measured(device, case, "factored dora");
    let by_weight = measured(device, case, "weight");
    println!("{device:?}: factored {factored} KiB, DoRA {dora} KiB, by the weight {by_weight} KiB");
    if multiplies_packed(device) {
        for probe in ["packed", "packed dora"] {
            let packed = measured(device, case, probe);
            println!("{device:?}: on a {probe} weight {packed} KiB");
            assert!(packed < WEIGHT_KIB / 4, "{packed} KiB");
        }
    }
    assert!(factored < WEIGHT_KIB / 2, "{factored} KiB");
    assert!(dora < WEIGHT_KIB / 2, "{dora} KiB");
    // The measure sees a dense weight where there is one.
    assert!(by_weight > WEIGHT_KIB, "{by_weight} KiB");
}

/// A layer that trains has one gradient of its weight's shape, not one for each row of the batch.
fn a_dense_gradient_is_formed_once(device: &Device) {
    let case = "a_dense_gradient_is_formed_once";
    if std::env::var(PROBE).is_ok() {
        println!("\ngrowth_kib={}", dense_step(device));
        return;
    }
    let growth = measured(device, case, "dense");
    println!("{device:?}: {growth} KiB for a weight of {WEIGHT_KIB} KiB and {ROWS} rows");
    assert!(growth > WEIGHT_KIB, "{growth} KiB");
    assert!(growth < ROWS / 2 * WEIGHT_KIB, "{growth} KiB");
}

/// A step that trains the last of twelve blocks keeps what one block keeps, and one that trains a
/// head what the forward pass holds at once.
fn a_step_keeps_nothing_of_a_frozen_trunk(device: &Device) {
    let case = "a_step_keeps_nothing_of_a_frozen_trunk";
    if let Ok(trains) = std::env::var(PROBE) {
        println!("\ngrowth_kib={}", trunk_step(device, &trains));
        return;
    }
    let [head, top, all] = ["head", "top", "all"].map(|what| measured(device, case, what));
    println!("{device:?}: head {head} KiB, last of 12 blocks {top} KiB, all {all} KiB");
    let block = all.saturating_sub(head) / LAYERS;
    assert!(
        top < head + 2 * block,
        "{top} KiB, {head} KiB and {block} KiB"
    );
    assert!(4 * top < all, "{top} KiB of {all} KiB");
}

/// At most 1.2 times the model in the dtype that it runs in, whatever the dtype on disk.
fn a_checkpoint_loads_in_the_models_memory(device: &Device) {
    let case = "a_checkpoint_loads_in_the_models_memory";
    if let Ok(dir) = std::env::var(PROBE) {
        let checkpoint = Checkpoint::open(dir).expect("a checkpoint");
        println!("\ngrowth_kib={}", load(device, &checkpoint));
        return;
    }
    let config = DecoderConfig::llama(16_000, 512, 1536, 8, 8);
    let fields = fresh_config_json(&config).expect("a config");
    let model = config.init(device);
    let model_kib = model.num_params() * 4 / 1024;
    for stored in [DType::F32, DType::BF16] {
        let dir = tempfile::tempdir().expect("a directory");
        write_checkpoint(&model, &fields, None, stored, dir.path()).expect("it is written");
        let growth = measured(device, case, dir.path().to_str().expect("UTF-8"));
        let ratio = growth as f64 / model_kib as f64;
        println!(
            "{device:?}: {model_kib} KiB, stored as {stored:?}: {growth} KiB, {ratio:.3} times"
        );
        assert!(
            (1.0..=1.2).contains(&ratio),
            "{growth} KiB, {ratio:.3} times"
        );
    }
}

/// Quantising takes what the packed model does, and a tensor more.
fn a_checkpoint_is_packed_in_the_packed_models_memory(device: &Device) {
    let case = "a_checkpoint_is_packed_in_the_packed_models_memory";
    if let Ok(dir) = std::env::var(PROBE) {
        println!("\ngrowth_kib={}", load(device, &quantised(Path::new(&dir))));
        return;
    }
    if !multiplies_packed(device) {
        return;
    }
    let config = DecoderConfig::llama(2000, 768, 2048, 12, 8);
    let fields = fresh_config_json(&config).expect("a config");
    let model = config.init(device);
    let model_kib = model.num_params() * 4 / 1024;
    let dir = tempfile::tempdir().expect("a directory");
    write_checkpoint(&model, &fields, None, DType::BF16, dir.path()).expect("it is written");
    drop(model);
    let checkpoint = quantised(dir.path());
    let held = Held::of(&checkpoint.load(device, DType::F32).expect("it loads"));
    let held_kib = held.bytes() / 1024;
    let growth = measured(device, case, dir.path().to_str().expect("UTF-8"));
    println!("{device:?}: packed {held_kib} KiB of {model_kib}, {growth} KiB");
    assert!(4 * held_kib < model_kib);
    assert!(
        growth < held_kib + held_kib / 2,
        "{growth} KiB, {held_kib} KiB"
    );
}

fn quantised(dir: &Path) -> Checkpoint {
    let checkpoint = Checkpoint::open(dir).expect("a checkpoint");
    checkpoint.with_quantise(Quantise::To(PackedFormat::Nf4))
}

fn load(device: &Device, checkpoint: &Checkpoint) -> usize {
    // The backend's threads and pools are there before the model is.
    let warm = Tensor::<2>::ones([64, 64], device);
    drop(warm.clone().matmul(warm).into_data());
    let before = kib("VmRSS");
    let model = checkpoint.load(device, DType::F32).expect("it loads");
    let growth = kib("VmHWM").saturating_sub(before);
    drop(model);
    growth
}

/// A config may ask for the whole model to train with it; its file does not have that.
fn a_whole_model_that_an_adapter_has_not_is_not_copied(device: &Device) {
    let case = "a_whole_model_that_an_adapter_has_not_is_not_copied";
    if let Ok(dir) = std::env::var(PROBE) {
        println!("\ngrowth_kib={}", refuse(device, Path::new(&dir)));
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let config = DecoderConfig::llama(16_000, 512, 1536, 8, 8);
    let fields = fresh_config_json(&config).expect("a config");
    let mut model = config.init(device);
    let model_kib = model.num_params() * 4 / 1024;
    let base = dir.path().join("base");
    write_checkpoint(&model, &fields, None, DType::BF16, &base).expect("it is written");
    let lora = LoraConfig::new(2, 4.0).with_targets(Targets::suffixes(["lm_head"]));
    lora.attach(&mut model, "a").expect("it attaches");
    let adapter = dir.path().join("adapter");
    let config = AdapterConfig::Lora(lora);
    save_adapter(&model, "a", &config, &AdapterInfo::new(), &adapter).expect("it is written");
    let path = adapter.join("adapter_config.json");
    let text = fs::read_to_string(&path).expect("it is read");
    let mut fields: Value = serde_json::from_str(&text).expect("JSON");
    fields["modules_to_save"] = json!(["model"]);
    fs::write(&path, fields.to_string()).expect("it is written");
    let growth = measured(device, case, dir.path().to_str().expect("UTF-8"));
    println!("{device:?}: {growth} KiB, the model {model_kib} KiB");
    assert!(growth < model_kib / 8, "{growth} KiB");
}

fn refuse(device: &Device, dir: &Path) -> usize {
    let checkpoint = Checkpoint::open(dir.join("base")).expect("a checkpoint");
    // Half as wide as the copies that train, where the backend can.
    let dtype = match peft_tests::computes_in(device, DType::BF16) {
        true => DType::BF16,
        false => DType::F32,
    };
    let mut model = checkpoint.load(device, dtype).expect("it loads");
    let adapter = AdapterDir::open(dir.join("adapter")).expect("it opens");
    let before = kib("VmHWM");
    let refused = adapter.attach(&mut model, "a", ForwardPath::Factored);
    let refused = refused.expect_err("its file has none of the model's tensors");
    let missing = |error: &AdapterFileError| matches!(error, AdapterFileError::Tensors { .. });
    assert!(missing(&refused), "{refused}");
    kib("VmHWM").saturating_sub(before)
}

/// How far a case raises the high-water mark of memory, in a process of its own.
fn measured(device: &Device, case: &str, probe: &str) -> usize {
    let backend = peft_tests::backend(device);
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", &format!("{backend}::{case}"), "--nocapture"])
        .env(PROBE, probe)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let growth = text
        .lines()
        .find_map(|line| line.strip_prefix("growth_kib="))
        .unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    growth.parse().expect("a number")
}

/// One forward and backward through an adapted layer.
fn step(device: &Device, path: &str) -> usize {
    let device = device.clone().autodiff();
    let (path, dora) = match path.strip_suffix(" dora") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let weight = match path {
        "packed" => packed(&device),
        _ => Tensor::full([WIDTH, WIDTH], 0.01, &device),
    };
    let weight = Param::from_tensor(weight);
    let mut layer = Linear { weight, bias: None };
    LoraConfig::new(4, 8.0)
        .with_dora(dora)
        .attach(&mut layer, "a")
        .expect("it attaches");
    let x = Tensor::<3>::random([2, 2, WIDTH], Distribution::Default, &device);
    grown_kib(|| {
        let y = match path {
            "factored" | "packed" => linear(&layer, x),
            _ => layer.forward(x),
        };
        let grads = y.powi_scalar(2).sum().backward();
        assert!(layer.weight.base().grad(&grads).is_none());
    })
}

/// A weight in NF4, a column of values again and again.
fn packed(device: &Device) -> Tensor<2> {
    let dims = [WIDTH, WIDTH];
    let mut packer = Packer::new(PackedFormat::Nf4, dims).expect("it is made");
    let column: Vec<f32> = (0..WIDTH).map(|i| (i as f32).sin() * 0.01).collect();
    (0..WIDTH).for_each(|_| packer.push(&column));
    let packed = packer.finish(dims).expect("as many values");
    packed.into_tensor(DType::F32, device).expect("it is held")
}

/// Rows of a batch.
const ROWS: usize = 8;

/// One forward and backward through a layer that trains.
fn dense_step(device: &Device) -> usize {
    let device = device.clone().autodiff();
    let weight = Tensor::full([WIDTH, WIDTH], 0.01, &device);
    let layer = Linear {
        weight: Param::from_tensor(weight),
        bias: None,
    };
    let x = Tensor::<3>::random([ROWS, 32, WIDTH], Distribution::Default, &device);
    let before = kib("VmHWM");
    let grads = linear(&layer, x).sum().backward();
    assert!(layer.weight.base().grad(&grads).is_some());
    kib("VmHWM").saturating_sub(before)
}

const LAYERS: usize = 12;

/// With every block run twice a step keeps what each of twelve reads, and all of one.
fn a_recomputed_step_holds_one_block(device: &Device) {
    let case = "a_recomputed_step_holds_one_block";
    if let Ok(way) = std::env::var(PROBE) {
        println!("\ngrowth_kib={}", recomputed_step(device, &way));
        return;
    }
    for what in ["whole", "adapters"] {
        let of = |way: &str| measured(device, case, &format!("{way} {what}"));
        let [kept, twice] = ["kept", "twice"].map(of);
        println!("{device:?}, {what}: blocks kept {kept} KiB, run twice {twice} KiB");
        assert!(2 * twice < kept, "{twice} KiB of {kept} KiB");
    }
}

/// A step of a decoder that trains whole, or LoRA on all of its layers.
fn recomputed_step(device: &Device, way: &str) -> usize {
    let device = device.clone().autodiff();
    let mut model = DecoderConfig::llama(50, 32, 64, LAYERS, 2).init(&device);
    if way.ends_with("adapters") {
        LoraConfig::new(2, 4.0)
            .with_targets(Targets::all_linear())
            .with_path(ForwardPath::Factored)
            .attach(&mut model, "default")
            .expect("it attaches");
    }
    let row = Example::new((0..384).map(|i| i % 50).collect(), vec![true; 384]);
    let config = TrainConfig {
        batch_size: 8,
        max_steps: Some(1),
        recompute: way.starts_with("twice"),
        ..TrainConfig::default()
    };
    grown_kib(|| {
        let rows = vec![row; 8];
        let run = Trainer::new(&config, &rows).run(model, &NextToken, &mut Unwatched);
        run.expect("it trains");
    })
}

/// Forward and backward of a decoder whose upper part trains.
fn trunk_step(device: &Device, trains: &str) -> usize {
    let device = device.clone().autodiff();
    let mut model = DecoderConfig::llama(50, 32, 64, LAYERS, 2).init(&device);
    let set = match trains {
        "head" => ParamSet::Names(Names::suffixes(["lm_head"])),
        "top" => ParamSet::Names(Names::suffixes(["layers.11", "lm_head"])),
        _ => ParamSet::All,
    };
    freeze_all_but(&mut model, &set).expect("it has them");
    let row = Example::new(
        (0..384).map(|i| i % 50).collect(),
        (0..384).map(|i| i > 370).collect(),
    );
    let batch = Batch::new(&[&row; 8], &device);
    grown_kib(|| {
        let grads = target_nll(&model, &batch).sum().backward();
        let frozen = model.model.embed_tokens.weight.base().grad(&grads);
        assert_eq!(frozen.is_some(), trains == "all");
    })
}

fn kib(field: &str) -> usize {
    status_kib(field).expect("Linux says it") as usize
}
