//! LoRA that begins with what a model makes of rows: the principal directions of what its layers
//! read, as PEFT's EVA does; and what is said where the rows do not tell enough.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_core::{ForwardPath, Names, Patterns, PeftError, Placed, Targets, slots};
use peft_lora::{CordaMode, InputReader, Lora, LoraConfig, LoraInit, LoraScaling, StartFromRows};
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{AdapterDir, AdapterInfo, Checkpoint, save_adapter};
use peft_tests::{Tensors, read_tensors};

use crate::fixture::{assert_same, ids};

peft_tests::cases!(
    ranks_and_directions_equal_peft,
    what_reads_alike_shares,
    too_few_rows_are_said,
    too_little_for_a_decomposition_is_said,
);

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

fn base(name: &str, device: &Device) -> LanguageModel {
    Checkpoint::open(goldens().join("models").join(name))
        .and_then(|checkpoint| checkpoint.load(device, DType::F32))
        .expect("the base loads")
}

/// Run the golden's batch.
fn read(model: &LanguageModel, reader: &InputReader, expected: &Tensors, device: &Device) {
    let (shape, ids) = &expected["input_ids"];
    let rows = ids
        .chunks(shape[1])
        .zip(expected["labels"].1.chunks(shape[1]));
    for (ids, labels) in rows {
        let labelled = labels
            .iter()
            .enumerate()
            .filter(|(_, label)| **label >= 0.0);
        reader.count(labelled.map(|(at, _)| at));
        let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let ids = TensorData::new(ids, [1, shape[1]]);
        drop(model.hidden(Tensor::<2, Int>::from_data(ids, device), None, None));
    }
}

fn config(name: &str) -> (LoraConfig, f64) {
    let on = |config: LoraConfig, names: &[&str]| {
        config
            .with_targets(Targets::suffixes(names.iter().copied()))
            .with_init(LoraInit::Eva)
            .with_path(ForwardPath::Factored)
    };
    match name {
        "eva" => (
            on(LoraConfig::new(4, 6.0), &["q_proj", "o_proj", "down_proj"]),
            2.0,
        ),
        _ => (
            on(LoraConfig::new(3, 6.0), &["o_proj", "up_proj"])
                .with_scaling(LoraScaling::RankStabilised)
                .with_rank_pattern(Patterns::new([("up_proj", 2)])),
            3.0,
        ),
    }
}

fn ranks_and_directions_equal_peft(device: &Device) {
    for (name, of) in [("eva", "gqa"), ("eva_rslora", "biased")] {
        let golden = goldens().join("eva").join(name);
        let expected = read_tensors(&golden.join("expected.safetensors"));
        let theirs = AdapterDir::open(&golden).expect("it opens");
        let tensors = read_tensors(&golden.join("adapter_model.safetensors"));
        let mut model = base(of, device);
        let (config, rho) = config(name);
        let begun = StartFromRows::eva(&config, rho, &model, |model, reader, _| {
            read(model, reader, &expected, device);
        })
        .expect("it begins");
        assert!(begun.settled());
        let before = model.logits(model.hidden(ids(device), None, None));
        begun.attach(&mut model, "default").expect("it attaches");
        let out = tempfile::tempdir().expect("a directory");
        let ours = begun.config().clone().into();
        save_adapter(&model, "default", &ours, &AdapterInfo::new(), out.path()).expect("it saves");
        let dir = AdapterDir::open(out.path()).expect("it opens");
        assert_eq!(
            dir.fields()["rank_pattern"],
            theirs.fields()["rank_pattern"]
        );
        assert_eq!(
            dir.fields()["target_modules"],
            theirs.fields()["target_modules"]
        );
        // By PEFT alpha goes with the rank whatever the scale is of it.
        if name == "eva" {
            assert_eq!(
                dir.fields()["alpha_pattern"],
                theirs.fields()["alpha_pattern"]
            );
        }
        assert_eq!(dir.fields()["init_lora_weights"], true);
        let mut seen = 0;
        for (key, (shape, values)) in &tensors {
            let Some(path) = key.strip_suffix(".lora_A.weight") else {
                continue;
            };
            let path = path.trim_start_matches("base_model.model.");
            let mut slots = slots(&model).into_iter();
            let (_, slot) = slots
                .find(|(slot, _)| *slot == format!("{path}.weight"))
                .expect("an adapted layer");
            let lora = slot.get::<Lora>("default").expect("a LoRA");
            let a = lora.lora_a.val().transpose();
            assert_eq!(a.dims().to_vec(), *shape, "{key}");
            let a: Vec<f64> = a.into_data().iter::<f64>().collect();
            for (ours, theirs) in a.chunks(shape[1]).zip(values.chunks(shape[1])) {
                let dot: f64 = ours.iter().zip(theirs).map(|(a, b)| a * b).sum();
                // Either sign is the same direction.
                assert!(dot.abs() > 0.999, "{name} {key}: {dot}");
            }
            // The scale is what it was.
            let rank = if path.ends_with("up_proj") {
                2
            } else {
                config.rank
            };
            let scale = config.scaling.scale(rank, config.alpha);
            assert!(
                (lora.scale() - scale).abs() < 1e-6,
                "{key}: {}",
                lora.scale()
            );
            seen += 1;
        }
        assert!(seen >= 4, "{name}");
        // It begins as the base does.
        assert_same(
            &model.logits(model.hidden(ids(device), None, None)),
            &before,
        );
    }
}

/// Queries, keys and values read one input: their directions are the same, and the ranks of all
/// are as many as before.
fn what_reads_alike_shares(device: &Device) {
    let model = base("gqa", device);
    let expected = read_tensors(&goldens().join("eva/eva/expected.safetensors"));
    let config = LoraConfig::new(3, 3.0)
        .with_targets(Targets::new(peft_core::Choice::Names(Names::suffixes([
            "q_proj",
            "k_proj",
            "v_proj",
            "down_proj",
        ]))))
        .with_path(ForwardPath::Factored);
    let begun = StartFromRows::eva(&config, 2.0, &model, |model, reader, _| {
        read(model, reader, &expected, device);
    })
    .expect("it begins");
    let mut adapted = model.clone();
    begun.attach(&mut adapted, "default").expect("it attaches");
    let factors: Vec<(String, Tensor<2>)> = slots(&adapted)
        .into_iter()
        .filter_map(|(path, slot)| {
            let lora = slot.get::<Lora>("default")?;
            Some((path, lora.lora_a.val()))
        })
        .collect();
    let ranks: usize = factors.iter().map(|(_, a)| a.dims()[1]).sum();
    assert_eq!(ranks, 3 * 8);
    let of = |name: &str| {
        let mut all = factors.iter();
        let found = all.find(|(path, _)| path.contains("layers.0") && path.contains(name));
        found.map(|(_, a)| a.clone())
    };
    let (q, k) = (of("q_proj").expect("one"), of("k_proj").expect("one"));
    assert!(q.dims()[1] >= k.dims()[1], "the first has the most");
    assert_same(&q.narrow(1, 0, k.dims()[1]), &k);
}

fn too_few_rows_are_said(device: &Device) {
    let model = base("gqa", device);
    let (config, _) = config("eva");
    let read = |model: &LanguageModel, reader: &InputReader, _: usize| {
        reader.count([2, 3]);
        drop(model.hidden(ids(device), None, None));
    };
    let message = |rho| {
        let begun = StartFromRows::eva(&config, rho, &model, read);
        begun.map(|_| ()).expect_err("an error").to_string()
    };
    assert!(message(2.0).contains("larger batches"), "{}", message(2.0));
    assert!(message(0.5).contains("rho is 0.5"), "{}", message(0.5));
    let mut fresh = model.clone();
    let refused = config.attach(&mut fresh, "default").expect_err("no inputs");
    assert!(refused.to_string().contains("StartFromRows"), "{refused}");
    assert!(slots(&fresh.valid()).is_empty());
}

/// Of LoRA-GA and CorDA.
fn too_little_for_a_decomposition_is_said(device: &Device) {
    let model = base("gqa", &device.clone().autodiff());
    let large = LoraConfig::new(9, 6.0).with_targets(Targets::suffixes(["v_proj"]));
    let message =
        |of: Result<StartFromRows, PeftError>| of.map(drop).expect_err("too little").to_string();
    let loss = |_: &LanguageModel, _: usize| Tensor::zeros([1], device);
    let refused = message(StartFromRows::lora_ga(&large, &model, 1, loss));
    assert!(
        refused.contains("at most half of the smaller side"),
        "{refused}"
    );
    let refused = message(StartFromRows::lora_ga(&large, &model, 0, loss));
    assert!(refused.contains("number of batches is 0"), "{refused}");
    let mode = CordaMode::InstructionPreviewed;
    let nothing = |_: &LanguageModel, _: &InputReader, _: usize| {};
    let refused = message(StartFromRows::corda(&large, mode, &model, 2, nothing));
    assert!(
        refused.contains("v_proj` is nothing but zeros"),
        "{refused}"
    );
    let mut fresh = model.clone();
    let large = large.with_init(LoraInit::LoraGa);
    let refused = large
        .attach(&mut fresh, "default")
        .expect_err("no gradients");
    assert!(refused.to_string().contains("StartFromRows"), "{refused}");
}
