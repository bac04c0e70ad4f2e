//! Running statistics of what trains whole, read from PEFT's file and written as PEFT reads them.

use std::fs;
use std::path::Path;

use burn::module::{Param, RunningState};
use burn::nn::{BatchNormConfig, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use peft_core::{ForwardPath, set_disabled};
use peft_store::{AdapterDir, AdapterInfo, save_adapter};
use peft_tests::tolerance::GOLDEN_LOGITS;
use safetensors::SafeTensors;
use serde_json::Value;

use super::{TENSORS, golden};
use crate::fixture::{Normed, assert_close, assert_same};

peft_tests::cases!(
    what_peft_saved_gives_its_values,
    what_is_written_is_what_peft_reads,
    a_statistic_that_is_missing_or_unfit_is_named,
);

struct Golden {
    values: Value,
    device: Device,
}

impl Golden {
    fn open(device: &Device) -> Self {
        let text = fs::read_to_string(golden("batch_norm/values.json")).expect("values");
        Self {
            values: serde_json::from_str(&text).expect("JSON"),
            device: device.clone(),
        }
    }

    fn numbers(value: &Value) -> Vec<f32> {
        match value.as_array() {
            Some(values) => values.iter().flat_map(Self::numbers).collect(),
            None => vec![value.as_f64().expect("a number") as f32],
        }
    }

    fn vector(&self, key: &str) -> Tensor<1> {
        let numbers = Self::numbers(&self.values["base"][key]);
        Tensor::from_floats(numbers.as_slice(), &self.device)
    }

    fn rows(&self, name: &str) -> Tensor<2> {
        let n = self.values[name].as_array().expect("rows").len();
        let numbers = Self::numbers(&self.values[name]);
        let shape = [n, numbers.len() / n];
        Tensor::from_data(TensorData::new(numbers, shape), &self.device)
    }

    fn base(&self) -> Normed {
        let layer = |name: &str, d_in, d_out| {
            let mut layer = LinearConfig::new(d_in, d_out).init(&self.device);
            let weight = self.vector(&format!("{name}.weight"));
            let weight = weight.reshape([d_out, d_in]).transpose();
            layer.weight = Param::from_tensor(weight);
            layer.bias = Some(Param::from_tensor(self.vector(&format!("{name}.bias"))));
            layer
        };
        let mut bn = BatchNormConfig::new(4).init(&self.device);
        bn.gamma = Param::from_tensor(self.vector("bn.weight"));
        bn.beta = Param::from_tensor(self.vector("bn.bias"));
        bn.running_mean = RunningState::new(self.vector("bn.running_mean"));
        bn.running_var = RunningState::new(self.vector("bn.running_var"));
        Normed {
            up: layer("up", 3, 4),
            bn,
            down: layer("down", 4, 2),
        }
    }

    fn adapted(&self, dir: &Path) -> Normed {
        let mut net = self.base();
        let dir = AdapterDir::open(dir).expect("it opens");
        dir.attach(&mut net, "default", ForwardPath::Factored)
            .unwrap_or_else(|error| panic!("{error}"));
        net
    }
}

fn what_peft_saved_gives_its_values(device: &Device) {
    let golden_values = Golden::open(device);
    let mut net = golden_values.adapted(&golden("batch_norm"));
    let x = golden_values.rows("x");
    assert_close(
        &net.forward(x.clone()),
        &golden_values.rows("y"),
        GOLDEN_LOGITS,
    );
    set_disabled(&mut net, true).expect("slots only");
    assert_close(
        &net.forward(x),
        &golden_values.rows("of_base"),
        GOLDEN_LOGITS,
    );
}

/// Keys, types and shapes of a file of tensors.
fn listed(dir: &Path) -> Vec<(String, String, Vec<usize>)> {
    let bytes = fs::read(dir.join(TENSORS)).expect("tensors");
    let file = SafeTensors::deserialize(&bytes).expect("sound");
    let mut all: Vec<_> = file
        .iter()
        .map(|(key, view)| {
            let dtype = format!("{:?}", view.dtype());
            (key.to_owned(), dtype, view.shape().to_vec())
        })
        .collect();
    all.sort();
    all
}

fn what_is_written_is_what_peft_reads(device: &Device) {
    let golden_values = Golden::open(device);
    let net = golden_values.adapted(&golden("batch_norm"));
    let of_peft = AdapterDir::open(golden("batch_norm")).expect("it opens");
    let dir = tempfile::tempdir().expect("a directory");
    let mut off = net.clone();
    set_disabled(&mut off, true).expect("slots only");
    // Those of the adapter are written, whosever are in the model.
    for model in [&net, &off] {
        let config = of_peft.config();
        save_adapter(model, "default", config, &AdapterInfo::new(), dir.path()).expect("it saves");
        assert_eq!(listed(dir.path()), listed(&golden("batch_norm")));
        let again = golden_values.adapted(dir.path());
        let x = golden_values.rows("x");
        assert_same(&again.forward(x.clone()), &net.forward(x));
    }
}

fn a_statistic_that_is_missing_or_unfit_is_named(device: &Device) {
    let golden_values = Golden::open(device);
    let dir = tempfile::tempdir().expect("a directory");
    for file in ["adapter_config.json", TENSORS] {
        fs::copy(golden("batch_norm").join(file), dir.path().join(file)).expect("copied");
    }
    let bytes = fs::read(golden("batch_norm").join(TENSORS)).expect("tensors");
    let sound = SafeTensors::deserialize(&bytes).expect("sound");
    let named = |end: &str| format!("base_model.model.bn.{end}");
    let (mean, var) = (named("running_mean"), named("running_var"));
    let narrow = sound
        .tensor("base_model.model.down.lora_A.weight")
        .expect("it is there");
    let tensors: Vec<_> = sound
        .tensors()
        .into_iter()
        .filter(|(key, _)| *key != mean)
        .map(|(key, view)| match key == var {
            true => (key, narrow.clone()),
            false => (key, view),
        })
        .collect();
    safetensors::serialize_to_file(tensors, None, &dir.path().join(TENSORS)).expect("written");
    let mut net = golden_values.base();
    let before = net.forward(golden_values.rows("x"));
    let adapter = AdapterDir::open(dir.path()).expect("its config is sound");
    let refused = adapter.attach(&mut net, "default", ForwardPath::Factored);
    let said = refused.expect_err("two are wrong").to_string();
    assert!(said.contains(&format!("missing `{mean}`")), "{said}");
    assert!(
        said.contains(&format!("`{var}` has shape [2, 4], expected [4]")),
        "{said}"
    );
    assert_same(&net.forward(golden_values.rows("x")), &before);
}
