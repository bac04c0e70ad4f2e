//! LoRA on convolutions, read from PEFT's files and written as PEFT reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::{PaddingConfig1d, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use peft_core::{AttachReport, ForwardPath, Placed, Targets, set_disabled};
use peft_lora::{LoraConfig, LoraInit};
use peft_store::{AdapterConfig, AdapterDir, AdapterFileError, AdapterInfo, save_adapter};
use peft_tests::tolerance::{GOLDEN_LOGITS, PATHS};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{CONFIG, TENSORS, edit, fields, golden};
use crate::fixture::{assert_close, assert_differs, assert_same, filled_adapters, params};

peft_tests::cases!(
    what_peft_saved_gives_its_values,
    what_is_written_is_what_peft_writes,
    what_is_written_acts_as_it_did,
    what_does_not_fit_is_named,
    what_no_weight_says_is_told,
);

const NAME: &str = "default";

#[derive(Module, Debug)]
struct Image {
    line: Conv1d,
    first: Conv2d,
    point: Conv2d,
}

impl Image {
    fn new(groups: usize, device: &Device) -> Self {
        let line = Conv1dConfig::new(3, 4, 3)
            .with_stride(2)
            .with_padding(PaddingConfig1d::Explicit(1, 1));
        let first = Conv2dConfig::new([2, 6], [3, 2])
            .with_stride([1, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 0, 1, 0))
            .with_bias(false);
        let point = Conv2dConfig::new([6, 4], [1, 1]).with_groups(groups);
        Self {
            line: line.init(device),
            first: first.init(device),
            point: point.init(device),
        }
    }

    fn forward(&self, line: Tensor<3>, image: Tensor<4>) -> Tensor<1> {
        let line = self.line.forward(line).flatten(0, 2);
        let image = self.point.forward(self.first.forward(image));
        Tensor::cat(vec![line, image.flatten(0, 3)], 0)
    }
}

struct Golden {
    values: Value,
    device: Device,
}

impl Golden {
    fn open(device: &Device) -> Self {
        let text = fs::read_to_string(golden("convolutions/values.json")).expect("values");
        Self {
            values: serde_json::from_str(&text).expect("JSON"),
            device: device.clone(),
        }
    }

    fn tensor<const D: usize>(&self, of: &Value, shape: [usize; D]) -> Tensor<D> {
        let numbers = of.as_array().expect("numbers").iter();
        let numbers = numbers.map(|value| value.as_f64().expect("a number") as f32);
        let data = TensorData::new(numbers.collect::<Vec<f32>>(), shape);
        Tensor::from_data(data, &self.device)
    }

    fn base(&self) -> Image {
        let mut net = Image::new(1, &self.device);
        let of = |key: &str| &self.values["base"][key];
        net.line.weight = Param::from_tensor(self.tensor(of("line.weight"), [4, 3, 3]));
        net.line.bias = Some(Param::from_tensor(self.tensor(of("line.bias"), [4])));
        net.first.weight = Param::from_tensor(self.tensor(of("first.weight"), [6, 2, 3, 2]));
        net.point.weight = Param::from_tensor(self.tensor(of("point.weight"), [4, 6, 1, 1]));
        net.point.bias = Some(Param::from_tensor(self.tensor(of("point.bias"), [4])));
        net
    }

    fn output(&self, net: &Image) -> Tensor<1> {
        let line = self.tensor(&self.values["line"], [2, 3, 9]);
        net.forward(line, self.tensor(&self.values["image"], [2, 2, 6, 9]))
    }

    fn expected(&self, name: &str) -> Tensor<1> {
        let of = &self.values[name];
        self.tensor(of, [of.as_array().expect("numbers").len()])
    }
}

fn attach(net: &mut Image, dir: &Path) -> Result<AttachReport, AdapterFileError> {
    AdapterDir::open(dir)?.attach(net, NAME, ForwardPath::Weight)
}

fn adapted(base: &Image, dir: &Path) -> Image {
    let mut net = base.clone();
    let report = attach(&mut net, dir).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.layers.len(), 3, "{report}");
    net
}

/// A copy of one of PEFT's directories.
fn copied(name: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for file in [CONFIG, TENSORS] {
        let from = golden("convolutions").join(name).join(file);
        fs::copy(from, dir.path().join(file)).expect("it is copied");
    }
    dir
}

/// Shapes and values of a file of tensors.
fn tensors(dir: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(dir.join(TENSORS)).expect("tensors");
    let file = SafeTensors::deserialize(&bytes).expect("sound");
    let all = file.iter().map(|(key, view)| {
        let values = (view.shape().to_vec(), view.data().to_vec());
        (key.to_owned(), values)
    });
    all.collect()
}

fn what_peft_saved_gives_its_values(device: &Device) {
    let of_peft = Golden::open(device);
    let base = of_peft.base();
    let of_base = of_peft.expected("of_base");
    assert_close(&of_peft.output(&base), &of_base, GOLDEN_LOGITS);
    for name in ["lora", "rslora", "dora"] {
        let mut net = adapted(&base, &golden("convolutions").join(name));
        let expected = of_peft.expected(name);
        assert_differs(&expected, &of_base);
        assert_close(&of_peft.output(&net), &expected, GOLDEN_LOGITS);
        set_disabled(&mut net, true).expect("slots only");
        assert_close(&of_peft.output(&net), &of_base, GOLDEN_LOGITS);
    }
}

fn what_is_written_is_what_peft_writes(device: &Device) {
    let base = Golden::open(device).base();
    for name in ["lora", "rslora", "dora"] {
        let from = golden("convolutions").join(name);
        let net = adapted(&base, &from);
        let config = AdapterDir::open(&from).expect("it opens").config().clone();
        let dir = tempfile::tempdir().expect("a directory");
        save_adapter(&net, NAME, &config, &AdapterInfo::new(), dir.path()).expect("it saves");
        assert_eq!(tensors(dir.path()), tensors(&from), "{name}");
        let (ours, theirs) = (fields(dir.path()), fields(&from));
        for field in [
            "r",
            "lora_alpha",
            "rank_pattern",
            "alpha_pattern",
            "use_dora",
            "use_rslora",
            "bias",
            "target_modules",
            "fan_in_fan_out",
        ] {
            assert_eq!(ours[field], theirs[field], "{name}: {field}");
        }
    }
}

/// Trained here, factors that begin with parts of the weight too, which are twice the rank.
fn what_is_written_acts_as_it_did(device: &Device) {
    let of_peft = Golden::open(device);
    let base = of_peft.base();
    let all = Targets::suffixes(["line", "first", "point"]);
    let config = LoraConfig::new(2, 5.0).with_targets(all);
    for config in [
        config.clone(),
        config.clone().with_dora(true),
        config.with_init(LoraInit::Olora),
    ] {
        let mut net = base.clone();
        config.attach(&mut net, NAME).expect("it attaches");
        let net = filled_adapters(net);
        let expected = of_peft.output(&net);
        assert_differs(&expected, &of_peft.output(&base));
        let dir = tempfile::tempdir().expect("a directory");
        let ours = AdapterConfig::from(config);
        save_adapter(&net, NAME, &ours, &AdapterInfo::new(), dir.path()).expect("it saves");
        let again = adapted(&base, dir.path());
        assert_close(&of_peft.output(&again), &expected, PATHS);
    }
}

fn what_does_not_fit_is_named(device: &Device) {
    let refused = |net: &mut Image, dir: &Path| {
        let before = params(net);
        let error = attach(net, dir).expect_err("it does not fit");
        assert!(matches!(error, AdapterFileError::Tensors { .. }), "{error}");
        assert_eq!(params(net).len(), before.len());
        error.to_string()
    };
    // Of two groups PEFT's first convolution reads all channels, which no weight of the layer does.
    let said = refused(&mut Image::new(2, device), &golden("convolutions/grouped"));
    for problem in [
        "point.lora_A.weight` has shape [2, 6, 1, 1], expected [2, 3, 1, 1]",
        "point.lora_B.weight` has shape [4, 1, 1, 1], expected [4, 2, 1, 1]",
    ] {
        assert!(said.contains(problem), "{said}");
    }
    // Another kernel, and a linear layer's file of as many numbers.
    let mut net = Image::new(1, device);
    net.first = Conv2dConfig::new([2, 6], [2, 3])
        .with_bias(false)
        .init(device);
    let said = refused(&mut net, &golden("convolutions/dora"));
    let problem = "first.lora_A.weight` has shape [3, 2, 3, 2], expected [3, 2, 2, 3]";
    assert!(said.contains(problem), "{said}");
    let flat = copied("dora");
    let bytes = fs::read(flat.path().join(TENSORS)).expect("tensors");
    let file = SafeTensors::deserialize(&bytes).expect("sound");
    let changed = file.tensors().into_iter().map(|(key, view)| {
        let shape: Vec<usize> = match view.shape() {
            [first, others @ ..] if key.contains("point") => {
                vec![*first, others.iter().product()]
            }
            shape => shape.to_vec(),
        };
        let dtype = view.dtype();
        let view = safetensors::tensor::TensorView::new(dtype, shape, view.data());
        (key, view.expect("as many values"))
    });
    let changed: Vec<_> = changed.collect();
    safetensors::serialize_to_file(changed, None, &flat.path().join(TENSORS)).expect("written");
    let said = refused(&mut Image::new(1, device), flat.path());
    for problem in [
        "point.lora_A.weight` has shape [3, 6], expected [3, 6, 1, 1]",
        "point.lora_B.weight` has shape [4, 3], expected [4, 3, 1, 1]",
        "point.lora_magnitude_vector` has shape [1, 4], expected [1, 4, 1, 1]",
    ] {
        assert!(said.contains(problem), "{said}");
    }
}

fn what_no_weight_says_is_told(device: &Device) {
    let of_peft = Golden::open(device);
    let mut net = of_peft.base();
    let dropping = copied("lora");
    edit(dropping.path(), json!({"lora_dropout": 0.25}));
    let report = attach(&mut net, dropping.path()).expect("it is read");
    let told = "a dropout of 0.25, which is left out on convolutions: line, first, point";
    assert!(report.warnings.concat().contains(told), "{report}");
    assert_close(
        &of_peft.output(&net),
        &of_peft.expected("lora"),
        GOLDEN_LOGITS,
    );
    let out = tempfile::tempdir().expect("a directory");
    let config = AdapterDir::open(dropping.path()).expect("it opens");
    save_adapter(&net, NAME, config.config(), &AdapterInfo::new(), out.path()).expect("it saves");
    assert_eq!(fields(out.path())["lora_dropout"], json!(0.25));
    let again = adapted(&of_peft.base(), out.path());
    assert_same(&of_peft.output(&again), &of_peft.output(&net));

    let biased = copied("lora");
    edit(biased.path(), json!({"lora_bias": true}));
    let bytes = fs::read(biased.path().join(TENSORS)).expect("tensors");
    let file = SafeTensors::deserialize(&bytes).expect("sound");
    let ones: Vec<u8> = 1f32.to_le_bytes().repeat(6);
    let bias = |n: usize| {
        let dtype = safetensors::tensor::Dtype::F32;
        safetensors::tensor::TensorView::new(dtype, vec![n], &ones[..4 * n]).expect("values")
    };
    let mut all = file.tensors();
    for (layer, n) in [("line", 4), ("first", 6), ("point", 4)] {
        all.push((format!("base_model.model.{layer}.lora_B.bias"), bias(n)));
    }
    safetensors::serialize_to_file(all, None, &biased.path().join(TENSORS)).expect("written");
    let refused = attach(&mut of_peft.base(), biased.path()).expect_err("there is no such weight");
    assert!(refused.to_string().contains("it adds a bias"), "{refused}");
}
