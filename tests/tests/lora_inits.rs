//! LoRA that begins with parts of the weight, as PEFT begins, steps and converts it.

use std::path::{Path, PathBuf};

use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{DType, Device, Tensor};
use peft_core::{ForwardPath, FrozenWeight, Names, Patterns, Placed, Targets, slots};
use peft_kernels::{PackedFormat, Packer};
use peft_lora::{CordaMode, Lora, LoraConfig, LoraInit, LoraScaling, StartFromRows};
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{AdapterDir, AdapterInfo, Checkpoint, save_adapter};
use peft_tests::tolerance::{GOLDEN_GRADIENTS, GOLDEN_LOGITS, PATHS};
use peft_tests::{Tensors, read_tensors};
use peft_train::{Batch, Example, target_nll};

use crate::fixture::{Net, assert_close, assert_differs, filled_adapters, params, steps};
use crate::packed::packs;

peft_tests::cases!(
    parts_of_the_weight_equal_peft,
    what_is_saved_is_plain_and_acts_the_same,
    it_begins_with_the_largest_of_the_weight,
    a_packed_base_stays_packed,
);

const NAME: &str = "default";

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

fn load(base: &str, device: &Device) -> LanguageModel {
    Checkpoint::open(goldens().join("models").join(base))
        .and_then(|checkpoint| checkpoint.load(device, DType::F32))
        .expect("the base loads")
}

/// Fresh adapters of each golden, and what PEFT has.
fn cases() -> [(&'static str, &'static str, LoraConfig); 6] {
    let on = |config: LoraConfig, names: &[&str]| {
        config
            .with_targets(Targets::suffixes(names.iter().copied()))
            .with_path(ForwardPath::Factored)
    };
    let pissa = |rank, alpha| LoraConfig::new(rank, alpha).with_init(LoraInit::Pissa);
    let biased = |init| {
        let config = LoraConfig::new(4, 6.0).with_init(init);
        on(config, &["q_proj", "up_proj", "down_proj"])
    };
    let preserving = LoraConfig::new(3, 6.0)
        .with_init(LoraInit::Corda(CordaMode::KnowledgePreserved))
        .with_scaling(LoraScaling::RankStabilised);
    let previewing = LoraInit::Corda(CordaMode::InstructionPreviewed);
    [
        ("pissa", "gqa", on(pissa(4, 10.0), &["q_proj", "v_proj"])),
        ("pissa_gpt2", "gpt2", on(pissa(3, 8.0), &["c_attn"])),
        ("olora", "biased", biased(LoraInit::Olora)),
        ("lora_ga", "biased", biased(LoraInit::LoraGa)),
        ("corda_ipm", "biased", biased(previewing)),
        ("corda_kpm", "gqa", on(preserving, &["v_proj", "o_proj"])),
    ]
}

/// Attach it, as its init asks: by the gradients of the golden's batch, or what is read of each of
/// its texts.
fn attach(config: &LoraConfig, model: &mut LanguageModel, batch: &Batch) {
    let begun = match config.init {
        LoraInit::LoraGa => {
            StartFromRows::lora_ga(config, model, 1, |model, _| target_nll(model, batch).mean())
        }
        LoraInit::Corda(mode) => {
            let [rows, length] = batch.ids.dims();
            StartFromRows::corda(config, mode, model, rows, |model, reader, at| {
                reader.count(0..length);
                drop(model.hidden(batch.ids.clone().narrow(0, at, 1), None, None));
            })
        }
        _ => {
            config.attach(model, NAME).expect("it attaches");
            return;
        }
    };
    let begun = begun.expect("it begins");
    begun.attach(model, NAME).expect("it attaches");
}

fn batch(expected: &Tensors, device: &Device) -> Batch {
    let (ids, labels) = (&expected["input_ids"].1, &expected["labels"].1);
    let half = ids.len() / 2;
    let rows = ids.chunks(half).zip(labels.chunks(half));
    let rows: Vec<Example> = rows
        .map(|(ids, labels)| {
            let ids = ids.iter().map(|id| *id as u32).collect();
            Example::new(ids, labels.iter().map(|label| *label >= 0.0).collect())
        })
        .collect();
    Batch::new(&rows.iter().collect::<Vec<_>>(), device)
}

fn logits(model: &LanguageModel, batch: &Batch) -> Vec<f64> {
    let logits = model.logits(model.hidden(batch.ids.clone(), None, None));
    logits.into_data().iter::<f64>().collect()
}

fn near(what: &str, found: &[f64], expected: &[f64], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (a, b) in found.iter().zip(expected) {
        let apart = (a - b).abs();
        assert!(
            apart <= f64::from(tolerance) * largest,
            "{what}: {a}, expected {b}"
        );
    }
}

fn adapter(model: &LanguageModel, key: &str) -> Lora {
    let path = key.trim_start_matches("base_model.model.");
    let path = path.split(".lora_").next().expect("a layer");
    let on = slots(model).into_iter();
    let mut on = on.filter(|(slot, _)| *slot == format!("{path}.weight"));
    let (_, slot) = on.next().expect("an adapted layer");
    slot.get::<Lora>(NAME).expect("a LoRA").clone()
}

/// A factor as PEFT has it, `[rank, d_in]` or `[d_out, rank]`, by its columns of rank; with the
/// directions that PEFT has.
struct OfRank {
    rows: Vec<Vec<f64>>,
}

impl OfRank {
    /// Of `[d_in, rank]` or `[rank, d_out]`, as Burn has them.
    fn of(factor: Tensor<2>, is_a: bool) -> Self {
        let factor = if is_a { factor.transpose() } else { factor };
        let [rank, width] = factor.dims();
        let values: Vec<f64> = factor.into_data().iter().collect();
        let rows = values
            .chunks(width)
            .map(<[f64]>::to_vec)
            .collect::<Vec<_>>();
        assert_eq!(rows.len(), rank);
        Self { rows }
    }

    fn of_peft((shape, values): &(Vec<usize>, Vec<f64>), is_a: bool) -> Self {
        let [rows, columns] = [shape[0], shape[1]];
        let rows = match is_a {
            true => values.chunks(columns).map(<[f64]>::to_vec).collect(),
            false => (0..columns)
                .map(|k| (0..rows).map(|i| values[i * columns + k]).collect())
                .collect(),
        };
        Self { rows }
    }

    /// `±1` for each direction, by which it is the other's.
    fn signs(&self, other: &Self) -> Vec<f64> {
        let pairs = self.rows.iter().zip(&other.rows);
        pairs
            .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>().signum())
            .collect()
    }

    fn turned(&self, signs: &[f64]) -> Vec<f64> {
        let rows = self.rows.iter().zip(signs);
        rows.flat_map(|(row, sign)| row.iter().map(move |x| sign * x))
            .collect()
    }
}

/// Factors, logits, loss, gradients and a step: a decomposition may have either direction, and what
/// follows has the same.
fn parts_of_the_weight_equal_peft(device: &Device) {
    let device = device.clone().autodiff();
    for (name, base, config) in cases() {
        let dir = goldens().join("inits").join(name);
        let expected = read_tensors(&dir.join("expected.safetensors"));
        let mut model = load(base, &device);
        let before = params(&model);
        let batch = batch(&expected, &device);
        let loss_before = target_nll(&model, &batch).mean().into_scalar::<f32>();
        attach(&config, &mut model, &batch);
        for (path, seen) in &before {
            assert_eq!(params(&model)[path].data, seen.data, "{path}");
        }
        near(
            name,
            &logits(&model, &batch),
            &expected["logits"].1,
            GOLDEN_LOGITS,
        );
        let loss = target_nll(&model, &batch).mean();
        let value = f64::from(loss.clone().into_scalar::<f32>());
        near(name, &[value], &expected["loss"].1, GOLDEN_GRADIENTS);
        near(name, &[value], &[f64::from(loss_before)], GOLDEN_GRADIENTS);
        let grads = loss.backward();
        let of_step =
            GradientsParams::from_grads(target_nll(&model, &batch).mean().backward(), &model);
        let mut adamw = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(0.01)
            .init();
        let stepped: LanguageModel = adamw.step(1e-2, model.clone(), of_step);
        let mut seen = 0;
        for (key, init) in &expected {
            let Some(key) = key.strip_prefix("init.") else {
                continue;
            };
            let is_a = key.ends_with("lora_A.weight");
            let pick = |lora: &Lora| {
                if is_a {
                    lora.lora_a.val()
                } else {
                    lora.lora_b.val()
                }
            };
            let (lora, after) = (adapter(&model, key), adapter(&stepped, key));
            // Both factors of a direction turn together: by `A`'s.
            let of_a = key.replace("lora_B", "lora_A");
            let signs = OfRank::of(lora.lora_a.val(), true)
                .signs(&OfRank::of_peft(&expected[&format!("init.{of_a}")], true));
            let compare = |what: &str, found: Tensor<2>, wanted| {
                let plain = vec![1.0; signs.len()];
                let found = OfRank::of(found, is_a).turned(&signs);
                let wanted = OfRank::of_peft(wanted, is_a).turned(&plain);
                near(
                    &format!("{name}: {what} of {key}"),
                    &found,
                    &wanted,
                    GOLDEN_GRADIENTS,
                );
            };
            compare("start", pick(&lora), init);
            let grad = pick(&lora).grad(&grads).expect("it trains");
            compare("gradient", grad, &expected[&format!("grad.{key}")]);
            compare("step", pick(&after), &expected[&format!("step.{key}")]);
            seen += 1;
        }
        assert!(seen >= 4, "{name}: {seen}");
        let after = logits(&stepped, &batch);
        near(name, &after, &expected["logits_after"].1, GOLDEN_LOGITS);

        // PEFT's conversion acts so, and ours has its config and shapes.
        let converted = AdapterDir::open(&dir).expect("it opens");
        let mut theirs = load(base, &device);
        converted
            .attach(&mut theirs, NAME, ForwardPath::Factored)
            .expect("it attaches");
        near(name, &logits(&theirs, &batch), &after, GOLDEN_LOGITS);
        let out = tempfile::tempdir().expect("a directory");
        save_adapter(
            &stepped,
            NAME,
            &config.into(),
            &AdapterInfo::new(),
            out.path(),
        )
        .expect("it saves");
        let ours = AdapterDir::open(out.path()).expect("it opens");
        for field in ["r", "lora_alpha", "init_lora_weights", "use_rslora"] {
            assert_eq!(ours.fields()[field], converted.fields()[field], "{field}");
        }
        let shapes = |dir: &AdapterDir| dir.tensor_shapes().expect("it is read");
        assert_eq!(shapes(&ours), shapes(&converted), "{name}");
    }
    peft_tests::Invariant::Reference.verified("lora", &device);
}

/// Read again it is LoRA of twice the rank, by patterns too, with the bits of what acted.
fn what_is_saved_is_plain_and_acts_the_same(device: &Device) {
    let device = device.clone().autodiff();
    for scaling in [LoraScaling::Standard, LoraScaling::RankStabilised] {
        for init in [
            LoraInit::Pissa,
            LoraInit::PissaRandomised { rounds: 2 },
            LoraInit::Olora,
        ] {
            let config = LoraConfig::new(2, 3.0)
                .with_init(init)
                .with_scaling(scaling)
                .with_rank_pattern(Patterns::new([("down_proj", 3)]))
                .with_alpha_pattern(Patterns::new([("v_proj", 5.0)]))
                .with_targets(Targets::suffixes(["v_proj", "down_proj", "embed"]))
                .with_path(ForwardPath::Factored);
            let mut model = Net::new(&device);
            config.attach(&mut model, NAME).expect("it attaches");
            let (model, _) = steps(model, 5, |model| model.loss(ForwardPath::Factored));
            let out = tempfile::tempdir().expect("a directory");
            save_adapter(
                &model,
                NAME,
                &config.clone().into(),
                &AdapterInfo::new(),
                out.path(),
            )
            .expect("it saves");
            let dir = AdapterDir::open(out.path()).expect("it opens");
            assert_eq!(dir.fields()["r"], 4);
            assert_eq!(dir.fields()["rank_pattern"]["down_proj"], 6);
            let mut read = Net::new(&device);
            dir.attach(&mut read, NAME, ForwardPath::Factored)
                .expect("it attaches");
            let found = read.output(ForwardPath::Factored);
            assert_differs(&found, &Net::new(&device).output(ForwardPath::Factored));
            assert_close(&found, &model.output(ForwardPath::Factored), PATHS);
        }
    }
}

/// `s A B` is the best approximation of its rank (Eckart and Young 1936): what is left of it is
/// orthogonal to it.
fn it_begins_with_the_largest_of_the_weight(device: &Device) {
    for (init, near) in [
        (LoraInit::Pissa, 1e-4),
        (LoraInit::PissaRandomised { rounds: 8 }, 1e-2),
    ] {
        for alpha in [3.0, -3.0] {
            let mut model = Net::new(device);
            LoraConfig::new(2, alpha)
                .with_init(init)
                .with_targets(Targets::new(peft_core::Choice::Names(Names::suffixes([
                    "head",
                ]))))
                .attach(&mut model, NAME)
                .expect("it attaches");
            let (_, slot) = slots(&model).remove(0);
            let lora = slot.get::<Lora>(NAME).expect("a LoRA");
            let part = lora.lora_a.val().matmul(lora.lora_b.val()) * lora.scale();
            let rest = model.head.weight.base() - part.clone();
            let of = |x: &Tensor<2>| x.clone().square().sum().into_scalar::<f32>();
            assert!(of(&part) > of(&rest), "{} {}", of(&part), of(&rest));
            let across = part
                .transpose()
                .matmul(rest)
                .abs()
                .max()
                .into_scalar::<f32>();
            assert!(across < near, "{init:?}: {across}");
        }
    }
    let refused = LoraConfig::new(6, 3.0)
        .with_init(LoraInit::Olora)
        .attach(&mut Net::new(device), NAME)
        .expect_err("the head has five outputs");
    assert!(refused.to_string().contains("smaller side"), "{refused}");
}

/// The base is not changed, so it need not be packed again.
fn a_packed_base_stays_packed(device: &Device) {
    if !packs(device) {
        return;
    }
    let dims = [64, 32];
    let mut packer = Packer::new(PackedFormat::Nf4, dims).expect("it is made");
    let values: Vec<f32> = (0..64 * 32).map(|i| (i as f32 * 1.7).sin()).collect();
    packer.push(&values);
    let held = packer.finish(dims).expect("as many values");
    let weight = held.into_tensor(DType::F32, device).expect("it is held");
    let mut layer = burn::nn::Linear {
        weight: burn::module::Param::from_tensor(weight),
        bias: None,
    };
    let x = crate::fixture::values([3, 64], 1.0, device);
    let before = peft_core::linear(&layer, x.clone());
    LoraConfig::new(2, 3.0)
        .with_init(LoraInit::Pissa)
        .attach(&mut layer, NAME)
        .expect("it attaches");
    let packed = FrozenWeight::of(&layer.weight).packed();
    assert_eq!(packed, Some(PackedFormat::Nf4));
    assert_close(&peft_core::linear(&layer, x.clone()), &before, 1e-4);
    let trained = filled_adapters(layer);
    assert_differs(&peft_core::linear(&trained, x), &before);
}
