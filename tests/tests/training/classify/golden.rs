//! Losses, measures and tokens against torch, scikit-learn, SciPy and transformers
//! (`tests/goldens/make_classify.py`).

use std::fs;
use std::path::PathBuf;

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use peft_tests::tolerance::GOLDEN_GRADIENTS;
use peft_train::{
    ClassExample, Dataset, LabelSet, Objective, ProblemType, SequenceClassification,
    SequenceReport, TagExample, Target, TextEncoding, TextTokenizer, TokenClassification,
    encode_tags,
};
use serde_json::{Value, json};

use super::tiny::{Table, Tiny};

peft_tests::cases!(losses_and_gradients_are_torchs, measures_are_scikit_learns);

const PROBLEMS: [(ProblemType, &str); 3] = [
    (ProblemType::SingleLabel, "single-label"),
    (ProblemType::MultiLabel, "multi-label"),
    (ProblemType::Regression, "regression"),
];

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens/classify")
}

fn golden(name: &str) -> Value {
    let text = fs::read_to_string(dir().join(name)).expect("the golden is there");
    serde_json::from_str(&text).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list").iter();
    list.map(|x| x.as_f64().expect("a number")).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|x| x as u32).collect()
}

fn target(label: &Value, problem: ProblemType) -> Target {
    match problem {
        ProblemType::SingleLabel => Target::Class(label.as_u64().expect("a class") as usize),
        ProblemType::MultiLabel => {
            Target::Classes(numbers(label).into_iter().map(|on| on > 0.0).collect())
        }
        ProblemType::Regression => Target::Value(label.as_f64().expect("a value") as f32),
    }
}

#[track_caller]
fn near(found: f64, expected: f64) {
    let error = (found - expected).abs() / expected.abs().max(1e-2);
    assert!(
        error < f64::from(GOLDEN_GRADIENTS),
        "{found}, expected {expected}"
    );
}

fn losses_and_gradients_are_torchs(device: &Device) {
    let device = &device.clone().autodiff();
    let golden = golden("losses.json");
    let rows: Vec<Vec<u32>> = golden["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(ids)
        .collect();
    for (problem, name) in PROBLEMS {
        let expected = &golden["problems"][name];
        let labels = expected["labels"].as_array().expect("labels").iter();
        let examples: Vec<ClassExample> = rows
            .iter()
            .zip(labels.map(|label| target(label, problem)))
            .map(|(ids, target)| ClassExample {
                types: Vec::new(),
                ids: ids.clone(),
                target,
            })
            .collect();
        let objective = SequenceClassification {
            problem,
            ..Default::default()
        };
        compare(&objective, &examples, expected, device);
    }
    let expected = &golden["problems"]["tokens"];
    let tags = expected["labels"].as_array().expect("labels").iter();
    let tag = |tag: f64| (tag >= 0.0).then_some(tag as usize);
    let examples: Vec<TagExample> = rows
        .iter()
        .zip(tags)
        .map(|(ids, tags)| TagExample {
            ids: ids.clone(),
            tags: numbers(tags).into_iter().map(tag).collect(),
        })
        .collect();
    compare(&TokenClassification::default(), &examples, expected, device);
}

fn compare<O: Objective<Tiny>>(
    objective: &O,
    examples: &[O::Example],
    expected: &Value,
    device: &Device,
) {
    use peft_train::{Report, TrainExample};
    let model = Tiny::new(numbers(&expected["bias"]).len(), device);
    let n: usize = examples.iter().map(TrainExample::n_targets).sum();
    let rows: Vec<&O::Example> = examples.iter().collect();
    let loss = objective
        .loss_sum(&model, &rows, device)
        .div_scalar(n as f64);
    let expected_loss = expected["loss"].as_f64().expect("a loss");
    near(loss.clone().into_scalar::<f32>().into(), expected_loss);
    let grads = GradientsParams::from_grads(loss.backward(), &model);
    let bias = model.head.bias.as_ref().expect("a bias").id;
    let found = [
        (
            "embed",
            grads.get::<2>(model.embed.weight.id).map(Tensor::into_data),
        ),
        (
            "weight",
            grads.get::<2>(model.head.weight.id).map(Tensor::into_data),
        ),
        ("bias", grads.get::<1>(bias).map(Tensor::into_data)),
    ];
    for (name, grad) in found {
        let grad: Vec<f32> = grad.expect("a gradient").iter::<f32>().collect();
        let wanted = numbers(&expected[name]);
        assert_eq!(grad.len(), wanted.len());
        for (found, wanted) in grad.into_iter().zip(wanted) {
            near(found.into(), wanted);
        }
    }
    for batch_size in [1, 3, 4] {
        let report = objective.evaluate(&model.valid(), examples.into(), batch_size);
        let report = report.expect("it evaluates");
        near(report.loss(), expected_loss);
    }
}

fn measures_are_scikit_learns(device: &Device) {
    let golden = golden("measures.json");
    for (problem, name) in PROBLEMS {
        let expected = &golden[name];
        let rows = expected["scores"].as_array().expect("rows");
        let scores: Vec<f32> = rows.iter().flat_map(numbers).map(|x| x as f32).collect();
        let shape = [rows.len(), scores.len() / rows.len()];
        let scores = Tensor::from_data(TensorData::new(scores, shape), device);
        let model = Table {
            scores: Param::from_tensor(scores),
        };
        let labels = expected["labels"].as_array().expect("labels").iter();
        let examples: Vec<ClassExample> = (0..)
            .zip(labels)
            .map(|(id, label)| ClassExample {
                types: Vec::new(),
                ids: vec![id],
                target: target(label, problem),
            })
            .collect();
        let report = SequenceClassification {
            problem,
            ..Default::default()
        }
        .evaluate(&model, (&examples).into(), 7)
        .expect("it evaluates");
        let number = |key: &str| expected[key].as_f64().expect("a number");
        match report {
            SequenceReport::Classes(report) => {
                near(report.accuracy, number("accuracy"));
                near(report.macro_f1, number("macro_f1"));
                near(report.micro_f1, number("micro_f1"));
                assert_eq!((report.examples, report.tokens), (40, 40));
            }
            SequenceReport::Values(report) => {
                near(report.loss, number("mse"));
                near(report.pearson, number("pearson"));
                near(report.spearman, number("spearman"));
            }
        }
        assert!(json!(report)["loss"].is_f64() && json!(report)["examples"] == 40);
    }
}

#[test]
fn tokens_are_transformers() {
    for name in ["wordpiece", "bytelevel"] {
        let tokenizer = TextTokenizer::from_dir(dir().join(name)).expect("a tokenizer");
        let expected = golden(&format!("{name}/expected.json"));
        let mut cut = 0;
        for case in expected["texts"].as_array().expect("texts") {
            let text = case["text"].as_str().expect("a text");
            let max = case["max_length"].as_u64().expect("a length") as usize;
            let TextEncoding {
                ids: found,
                cut: was_cut,
                ..
            } = tokenizer
                .encode_within(text, None, max)
                .expect("it encodes");
            assert_eq!(found, ids(&case["ids"]), "{name}: {text} in {max}");
            cut += usize::from(was_cut);
        }
        assert!(cut >= 6, "{cut}");
        for case in expected["pairs"].as_array().expect("pairs") {
            let [text, pair] = ["text", "pair"].map(|key| case[key].as_str().expect("a text"));
            let max = case["max_length"].as_u64().expect("a length") as usize;
            let found = tokenizer
                .encode_within(text, Some(pair), max)
                .expect("it encodes");
            assert_eq!(
                found.ids,
                ids(&case["ids"]),
                "{name}: {text}, {pair} in {max}"
            );
            let types = ids(&case["types"]);
            match found.types.is_empty() {
                true => assert!(types.iter().all(|of| *of == 0), "{name}"),
                false => assert_eq!(found.types, types, "{name}"),
            }
            assert_eq!(found.types.is_empty(), name == "bytelevel");
        }
        for case in expected["words"].as_array().expect("words") {
            let row = json!({ "tokens": case["tokens"], "tags": case["tags"] });
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), row.to_string()).expect("it is written");
            let dataset = Dataset::read(file.path()).expect("a row");
            let labels = LabelSet::new(["0", "1", "2"].map(str::to_owned).to_vec());
            let max = case["max_length"].as_u64().expect("a length") as usize;
            let found = encode_tags(&dataset, &tokenizer, &labels.expect("labels"), max, 500)
                .expect("it encodes");
            let tags = numbers(&case["labels"]).into_iter();
            let expected = TagExample {
                ids: ids(&case["ids"]),
                tags: tags
                    .map(|tag| (tag >= 0.0).then_some(tag as usize))
                    .collect(),
            };
            let found = found.examples.to_vec().expect("they are read");
            assert_eq!(found, [expected], "{name}");
        }
        assert!(tokenizer.encode_within("a", None, 2).is_err());
    }
}
