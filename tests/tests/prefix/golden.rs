//! What PEFT computes with the same prefixes: logits from its file, loss, and the gradient of each
//! parameter.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};
use peft_core::{Whole, edit_slots, slots};
use peft_model::Transformer;
use peft_models::{CausalLm, SequenceClassifier, TokenClassifier};
use peft_prefix::{Prefix, PrefixConfig, PrefixProjection, PrefixShape, Prefixed};
use peft_store::Checkpoint;
use peft_tests::tolerance::{GOLDEN_GRADIENTS, GOLDEN_LOGITS};
use peft_train::{
    ClassExample, Example, NextToken, Objective, SequenceClassification, TagExample, Target,
    TokenClassification, TrainExample,
};

use peft_tests::{Tensors, read_tensors as read};

use crate::encoder_adapters::{assert_near, base, flat, goldens, ints};

peft_tests::cases!(prefixes_equal_peft);

const NAME: &str = "default";

fn prefixes_equal_peft(device: &Device) {
    let device = &device.clone().autodiff();
    let mut dirs: Vec<PathBuf> = fs::read_dir(goldens().join("prefixes"))
        .expect("goldens")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    dirs.sort();
    assert!(dirs.len() >= 19, "only {} prefixes", dirs.len());
    for dir in dirs {
        println!("{}", dir.display());
        let golden = Golden::new(&dir, device);
        let without_dropout = base(&dir);
        let at = match golden.base.contains("encoders/") {
            true => without_dropout.path().to_owned(),
            false => goldens().join("models").join(&golden.base),
        };
        let checkpoint = Checkpoint::open(&at).expect("it opens");
        let labels = golden.of("logits").0.last().copied().unwrap_or_default();
        if golden.base.ends_with("token") {
            let model = checkpoint.load_tagger(labels, device, DType::F32);
            golden.check(
                model.expect("it loads").model,
                &TokenClassification::default(),
                |ids, labels| TagExample {
                    ids,
                    tags: labels
                        .iter()
                        .map(|tag| usize::try_from(*tag).ok())
                        .collect(),
                },
                |model, ids, segments| model.token_logits(model.hidden(ids, segments, None)),
            );
        } else if golden.base.contains("encoders/") {
            let model = checkpoint.load_classifier(labels, device, DType::F32);
            golden.check(
                model.expect("it loads").model,
                &SequenceClassification::default(),
                |ids, labels| ClassExample {
                    types: Vec::new(),
                    ids,
                    target: Target::Class(labels[0] as usize),
                },
                |model, ids, segments| model.classify(ids, segments).unsqueeze_dim(1),
            );
        } else {
            let model = checkpoint.load(device, DType::F32).expect("it loads");
            golden.check(
                model,
                &NextToken,
                |ids, labels| Example::new(ids, labels.iter().map(|id| *id >= 0).collect()),
                |model, ids, segments| model.logits(model.hidden(ids, segments, None)),
            );
        }
    }
    peft_tests::Invariant::Reference.verified("prefix tuning", device);
}

/// A directory of `goldens/prefixes`.
struct Golden {
    name: String,
    base: String,
    /// What PEFT saved.
    file: Tensors,
    expected: Tensors,
    device: Device,
}

impl Golden {
    fn new(dir: &Path, device: &Device) -> Self {
        let base = fs::read_to_string(dir.join("base.txt")).expect("a base");
        Self {
            name: dir.display().to_string(),
            base: base.trim().into(),
            file: read(&dir.join("adapter_model.safetensors")),
            expected: read(&dir.join("expected.safetensors")),
            device: device.clone(),
        }
    }

    fn of(&self, name: &str) -> &(Vec<usize>, Vec<f64>) {
        self.expected.get(name).unwrap_or_else(|| panic!("{name}"))
    }

    fn tensor<const D: usize>(&self, (shape, values): &(Vec<usize>, Vec<f64>)) -> Tensor<D> {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let data = TensorData::new(values, shape.clone());
        Tensor::from_data(data, (&self.device, DType::F32))
    }

    /// `load` in torch's layout, `[d_out, d_in]`.
    fn linear(&self, name: &str) -> Linear {
        let weight = self.tensor::<2>(self.of(&format!("param.prefix.{name}.weight")));
        let bias = self.tensor(self.of(&format!("param.prefix.{name}.bias")));
        // Detached: a transposition would make it the result of one.
        Linear {
            weight: Param::from_tensor(weight.transpose().detach()),
            bias: Some(Param::from_tensor(bias)),
        }
    }

    fn check<M: Transformer, O: Objective<Prefixed<M>>>(
        &self,
        model: M,
        objective: &O,
        example: impl Fn(Vec<u32>, &[i64]) -> O::Example,
        logits: impl Fn(&Prefixed<M>, Tensor<2, Int>, Option<Tensor<2, Int>>) -> Tensor<3>,
    ) {
        let (name, shape) = (&self.name, PrefixShape::of(&model));
        let file = self.tensor::<2>(&self.file["prompt_embeddings"]);
        let projection = self
            .expected
            .contains_key("param.prefix.transform.0.weight")
            .then(|| PrefixProjection {
                down: self.linear("transform.0"),
                up: self.linear("transform.2"),
            });
        let trained = self.tensor(self.of("param.prefix.embedding.weight"));
        let heads: Vec<&str> = self
            .expected
            .keys()
            .filter_map(|key| key.strip_prefix("param.base_model."))
            .collect();
        let modules = heads.iter().filter_map(|path| path.split('.').next());
        let mut model = Prefixed::new(model);
        PrefixConfig::new(1)
            .with_whole_modules(modules.take(1))
            .attach(&mut model, NAME)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        self.put_heads(&mut model);

        let mask = ints(&self.expected, "attention_mask", &self.device);
        let kept = self.kept(&flat(&mask.clone().float()));
        let segments = Some(mask.ones_like() - mask);
        let compare = |model: &Prefixed<M>| {
            let ids = ints(&self.expected, "input_ids", &self.device);
            let found = flat(&logits(model, ids, segments.clone()));
            let shown = |values: &[f64]| -> Vec<f64> {
                let pairs = values.iter().zip(&kept);
                pairs.map(|(value, on)| value * on).collect()
            };
            let wanted = shown(&self.of("logits").1);
            assert_near(name, &shown(&found), &wanted, GOLDEN_LOGITS, 1.0);
        };
        model.input = Some(Prefix::new(file, None, shape).expect("the file's shape fits"));
        compare(&model);
        let prefix = Prefix::new(trained, projection, shape).expect("the shapes fit");
        let saved = flat(&prefix.flat());
        let wanted = &self.file["prompt_embeddings"].1;
        assert_near(name, &saved, wanted, GOLDEN_LOGITS, 1.0);
        model.input = Some(prefix);
        compare(&model);

        let rows = self.rows(example);
        let rows: Vec<&O::Example> = rows.iter().collect();
        let n_targets: usize = rows.iter().map(|row| row.n_targets()).sum();
        let loss = objective.loss_sum(&model, &rows, &self.device) / n_targets as f64;
        assert_near(
            name,
            &flat(&loss),
            &self.of("loss").1,
            GOLDEN_GRADIENTS,
            0.0,
        );
        self.compare_gradients(&model, &loss.backward(), &heads);
    }

    /// Whether each logit is one of a text and not of padding.
    fn kept(&self, mask: &[f64]) -> Vec<f64> {
        let (shape, values) = self.of("logits");
        match shape.len() {
            2 => vec![1.0; values.len()],
            _ => mask.iter().flat_map(|on| vec![*on; shape[2]]).collect(),
        }
    }

    /// The rows of the batch without their padding, each with its labels.
    fn rows<E>(&self, example: impl Fn(Vec<u32>, &[i64]) -> E) -> Vec<E> {
        let ints =
            |name| -> Vec<i64> { self.of(name).1.iter().map(|value| *value as i64).collect() };
        let (ids, mask, labels) = (ints("input_ids"), ints("attention_mask"), ints("labels"));
        let (positions, each) = (ids.len() / 2, labels.len() / 2);
        (0..2)
            .map(|row| {
                let of_row = row * positions..(row + 1) * positions;
                let length = mask[of_row.clone()].iter().sum::<i64>() as usize;
                let ids = ids[of_row][..length].iter().map(|id| *id as u32).collect();
                let labels = &labels[row * each..(row + 1) * each];
                example(ids, &labels[..length.min(each)])
            })
            .collect()
    }

    /// The trained heads in place of the copies that were just made.
    fn put_heads<M: Transformer>(&self, model: &mut Prefixed<M>) {
        edit_slots(&mut model.model, |path, slot| {
            let value = self.of(&format!("param.base_model.{path}"));
            let put = match value.0.len() {
                1 => slot.set(NAME, Whole::<1>::new(self.tensor(value))),
                _ => slot.set(NAME, Whole::<2>::new(self.tensor::<2>(value).transpose())),
            };
            assert!(put, "{path}");
            Ok(())
        })
        .expect("slots");
    }

    fn compare_gradients<M: Transformer>(
        &self,
        model: &Prefixed<M>,
        grads: &Gradients,
        heads: &[&str],
    ) {
        let mut compared = 0;
        let mut compare = |key: String, found: Vec<f64>| {
            let wanted = &self.of(&format!("grad.{key}")).1;
            let what = format!("{}: {key}", self.name);
            assert!(wanted.iter().any(|value| *value != 0.0), "{what} is zero");
            assert_near(&what, &found, wanted, GOLDEN_GRADIENTS, 0.0);
            compared += 1;
        };
        let matrix = |param: &Param<Tensor<2>>| param.val().grad(grads).expect("it trains");
        let torch = |param: &Param<Tensor<2>>| flat(&matrix(param).transpose());
        let vector = |param: &Param<Tensor<1>>| flat(&param.val().grad(grads).expect("it trains"));
        let prefix = model.input.as_ref().expect("a prefix");
        let embedding = flat(&matrix(&prefix.embedding));
        compare("prefix.embedding.weight".into(), embedding);
        if let Some(PrefixProjection { down, up }) = &prefix.projection {
            for (name, layer) in [("0", down), ("2", up)] {
                let bias = layer.bias.as_ref().expect("a bias");
                compare(
                    format!("prefix.transform.{name}.weight"),
                    torch(&layer.weight),
                );
                compare(format!("prefix.transform.{name}.bias"), vector(bias));
            }
        }
        let slots = slots(&model.model);
        assert_eq!(slots.len(), heads.len(), "{heads:?}");
        for (path, slot) in slots {
            let key = format!("base_model.{path}");
            match slot.get::<Whole<1>>(NAME) {
                Some(whole) => compare(key, vector(&whole.value)),
                None => {
                    let whole = slot.get::<Whole<2>>(NAME).expect("a matrix");
                    compare(key, torch(&whole.value));
                }
            }
        }
        let wanted = self.expected.keys().filter(|key| key.starts_with("grad."));
        assert_eq!(compared, wanted.count(), "{}", self.name);
    }
}
