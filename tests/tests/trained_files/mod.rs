//! Directories of trained parameters: what is written is read back to the bit, and other bases are
//! refused.

mod norms;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use peft_layerwise::{FreezeBottom, Strategy};
use peft_models::{Gpt2Config, LanguageModel};
use peft_store::{
    AdapterDir, AdapterFileError, Checkpoint, TensorProblem, TrainedConfig, TrainedDir,
    TrainedFormat, base_digest, save_trained,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::{filled, params};

peft_tests::cases!(
    what_trained_is_read_back_to_the_bit,
    another_base_is_refused,
    precisions_are_kept,
    what_does_not_fit_is_named,
    a_digest_is_that_of_the_checkpoint,
);

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

fn gpt2(device: &Device) -> peft_models::Gpt2LmHeadModel {
    let config = Gpt2Config {
        scale_by_layer: false,
        tie_word_embeddings: false,
        ..crate::models::gpt2()
    };
    filled(config.init(device))
}

/// The paths that a strategy of one stage names.
fn named<M: Module>(model: &M, strategy: &dyn Strategy) -> BTreeSet<String> {
    let paths = params(model).into_keys();
    paths
        .filter(|path| strategy.rate(0, path, true).is_some())
        .collect()
}

/// These parameters moved.
fn moved<M: Module>(model: M, paths: &BTreeSet<String>) -> M {
    struct Move<'a>(Vec<String>, &'a BTreeSet<String>);
    impl ModuleMapper for Move<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.1.contains(&self.0.join(".")) {
                true => param.map(|tensor| tensor * 1.5 + 0.25),
                false => param,
            }
        }
    }
    model.map(&mut Move(Vec::new(), paths))
}

fn own<M: Module>(model: &M, paths: &BTreeSet<String>) -> TrainedConfig {
    TrainedConfig {
        format: TrainedFormat::Own {
            method: json!({ "top layers": 1 }),
            base_digest: base_digest(model, paths),
        },
        base: Some("somewhere/a-model".into()),
        task_type: None,
    }
}

fn open(dir: &Path) -> TrainedDir {
    TrainedDir::open(dir)
        .expect("it is read")
        .expect("it holds parameters")
}

/// A GPT-2 whose upper block trained, as a directory.
fn saved(device: &Device) -> (TempDir, BTreeSet<String>) {
    let model = gpt2(device);
    let strategy = FreezeBottom::new(&model, 1).expect("it fits");
    let paths = named(&model, &strategy);
    let trained = moved(model, &paths);
    let dir = tempfile::tempdir().expect("a directory");
    save_trained(&trained, &paths, &own(&trained, &paths), dir.path()).expect("it is written");
    (dir, paths)
}

fn what_trained_is_read_back_to_the_bit(device: &Device) {
    let (dir, paths) = saved(device);
    let base = gpt2(device);
    let expected = params(&moved(base.clone(), &paths));
    let found = open(dir.path());
    assert_eq!(found.config().base.as_deref(), Some("somewhere/a-model"));
    let TrainedFormat::Own { method, .. } = &found.config().format else {
        panic!("{found:?}");
    };
    assert_eq!(*method, json!({ "top layers": 1 }));
    let mut model = base;
    let report = found.attach(&mut model).expect("it fits");
    assert_eq!(report.paths, paths);
    assert!(params(&model) == expected);
    let elements = paths.iter().map(|path| expected[path].data.num_elements());
    assert_eq!(report.elements, elements.sum::<usize>());
    // In the checkpoint's layout: GPT-2's own layers lie as here, its head the other way round.
    let shapes = found.shapes().expect("it is read");
    assert_eq!(shapes.keys().cloned().collect::<BTreeSet<_>>(), paths);
    assert_eq!(shapes["transformer.h.1.attn.c_attn.weight"], [12, 36]);
    assert_eq!(shapes["lm_head.weight"], [23, 12]);
    // An adapter directory is no directory of parameters, and the other way round.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/adapters/lora_attn");
    assert!(TrainedDir::open(golden).expect("it is read").is_none());
    let refused = AdapterDir::open(dir.path())
        .expect_err("it is none")
        .to_string();
    assert!(refused.contains("TRAINED_PARAMETERS"), "{refused}");
    peft_tests::Invariant::Files.verified("layer-wise", device);
}

fn another_base_is_refused(device: &Device) {
    let (dir, paths) = saved(device);
    let found = open(dir.path());
    let frozen = BTreeSet::from(["transformer.wpe.weight".to_owned()]);
    let mut other = moved(gpt2(device), &frozen);
    let before = params(&other);
    let error = found.attach(&mut other).expect_err("it is refused");
    let AdapterFileError::OtherBase {
        expected,
        found: now,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    let message = error.to_string();
    assert!(expected != now);
    for part in ["somewhere/a-model", expected, now] {
        assert!(message.contains(part), "{message}");
    }
    assert!(params(&other) == before);
    // What the file holds may be anything in the base.
    let mut trained = moved(moved(gpt2(device), &paths), &paths);
    found.attach(&mut trained).expect("it fits");
    assert!(params(&trained) == params(&moved(gpt2(device), &paths)));
}

fn what_does_not_fit_is_named(device: &Device) {
    let (dir, _) = saved(device);
    let path = dir.path().join(TENSORS);
    let bytes = fs::read(&path).expect("it is read");
    let file = SafeTensors::deserialize(&bytes).expect("sound");
    let own: Tensors = file
        .iter()
        .map(|(key, view)| {
            (
                key.to_owned(),
                (view.shape().to_vec(), view.data().to_vec()),
            )
        })
        .collect();
    let refused = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = own.clone();
        change(&mut tensors);
        let views = tensors.iter().map(|(key, (shape, data))| {
            let wide = data.len() == 8 * shape.iter().product::<usize>();
            let dtype = if wide { Dtype::I64 } else { Dtype::F32 };
            let view = TensorView::new(dtype, shape.clone(), data).expect("it fits");
            (key.as_str(), view)
        });
        fs::write(&path, safetensors::serialize(views, None).expect("tensors")).expect("written");
        let mut model = gpt2(device);
        match open(dir.path()).attach(&mut model) {
            Err(AdapterFileError::Tensors { problems, .. }) => {
                assert!(params(&model) == params(&gpt2(device)));
                problems
            }
            other => panic!("{other:?}"),
        }
    };
    let head = || "lm_head.weight".to_owned();
    let problems = refused(&|tensors| {
        let (_, data) = tensors.remove("lm_head.weight").expect("it is there");
        tensors.insert("lm_haed.weight".into(), (vec![23, 12], data));
    });
    assert!(problems.contains(&TensorProblem::Missing {
        key: head(),
        nearest: None
    }));
    let key = "lm_haed.weight".to_owned();
    assert!(problems.contains(&TensorProblem::Unexpected { key }));
    let problems = refused(&|tensors| tensors.get_mut("lm_head.weight").expect("it").0.reverse());
    let shape = TensorProblem::Shape {
        key: head(),
        expected: vec![23, 12],
        found: vec![12, 23],
    };
    assert_eq!(problems, [shape]);
    let problems = refused(&|tensors| {
        let (_, data) = tensors.get_mut("lm_head.weight").expect("it");
        data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert_eq!(problems, [TensorProblem::NotFinite { key: head() }]);
    let problems = refused(&|tensors| {
        let data = vec![0; 8 * 23 * 12];
        tensors.insert("lm_head.weight".into(), (vec![23, 12], data));
    });
    let found = "I64".to_owned();
    assert_eq!(problems, [TensorProblem::Dtype { key: head(), found }]);
    for end in [0, 7, 40, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..end]).expect("written");
        let mut model = gpt2(device);
        let error = open(dir.path()).attach(&mut model).expect_err("it is torn");
        let torn = matches!(error, AdapterFileError::Safetensors { .. });
        assert!(torn, "{end}: {error}");
        assert!(params(&model) == params(&gpt2(device)));
    }

    let model = gpt2(device);
    let paths = BTreeSet::from(["transformer.h.7.ln_1.weight".to_owned()]);
    let config = self::own(&model, &paths);
    let error = save_trained(&model, &paths, &config, dir.path()).expect_err("it has none");
    assert!(
        error.to_string().contains("transformer.h.7.ln_1.weight"),
        "{error}"
    );
}

/// A file has the precision of what was saved, and a model keeps its own.
fn precisions_are_kept(device: &Device) {
    let saved = |dtype, paths: Option<&BTreeSet<String>>| {
        let model = language_model("gqa", dtype, device);
        let top = FreezeBottom::new(&model, 1).expect("it fits");
        let paths = paths.cloned().unwrap_or_else(|| named(&model, &top));
        let trained = moved(model, &paths);
        let dir = tempfile::tempdir().expect("a directory");
        let written = save_trained(&trained, &paths, &own(&trained, &paths), dir.path());
        (written.map(|()| dir), paths, params(&trained))
    };
    let (whole, paths, of_f32) = saved(DType::F32, None);
    let whole = whole.expect("it is written");
    for dtype in [DType::BF16, DType::F16] {
        if !device.supports_dtype(dtype) {
            continue;
        }
        let (dir, _, expected) = saved(dtype, Some(&paths));
        let dir = dir.expect("it is written");
        let mut model = language_model("gqa", dtype, device);
        open(dir.path()).attach(&mut model).expect("it fits");
        assert!(params(&model) == expected, "{dtype:?}");
        let size = |dir: &TempDir| {
            fs::metadata(dir.path().join(TENSORS))
                .expect("a file")
                .len()
        };
        assert!(size(&dir) < size(&whole) * 2 / 3, "{dtype:?}");
    }
    if device.supports_dtype(DType::F64) {
        let (refused, ..) = saved(DType::F64, Some(&paths));
        let refused = refused.expect_err("it is not read").to_string();
        assert!(refused.contains(TENSORS), "{refused}");
        let mut model = language_model("gqa", DType::F64, device);
        open(whole.path()).attach(&mut model).expect("it fits");
        for (path, found) in params(&model) {
            let expected = of_f32[&path].data.clone().convert_dtype(DType::F64);
            assert!(found.data == expected, "{path}");
        }
    }
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

fn language_model(name: &str, dtype: DType, device: &Device) -> LanguageModel {
    Checkpoint::open(goldens().join("models").join(name))
        .and_then(|checkpoint| checkpoint.load(device, dtype))
        .expect("it loads")
}

fn a_digest_is_that_of_the_checkpoint(device: &Device) {
    let none = BTreeSet::new();
    let full = language_model("gqa", DType::F32, device);
    let digest = base_digest(&full, &none);
    if device.supports_dtype(DType::BF16) {
        let half = language_model("gqa", DType::BF16, device);
        assert_eq!(base_digest(&half, &none), digest);
    }
    assert_ne!(
        base_digest(&language_model("gpt2", DType::F32, device), &none),
        digest
    );
    let one = BTreeSet::from(["model.norm.weight".to_owned()]);
    assert_ne!(base_digest(&full, &one), digest);
    assert_ne!(base_digest(&moved(full.clone(), &one), &none), digest);
    assert_eq!(
        base_digest(&moved(full.clone(), &one), &one),
        base_digest(&full, &one)
    );
}

type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

fn tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).expect("it is read");
    let file = SafeTensors::deserialize(&bytes).expect("sound");
    let views = file.iter();
    views
        .map(|(key, view)| {
            (
                key.to_owned(),
                (view.shape().to_vec(), view.data().to_vec()),
            )
        })
        .collect()
}
