//! Adapters of methods that are not of this workspace: saved, read, and refused where they do not
//! fit.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use peft_core::{
    Adapter, AttachReport, ForwardPath, FrozenWeight, Layer, LayerKind, PeftError, Placement,
    Targets, attach, train_whole,
};
use peft_model::{InputAdapter, Transformer, WithInput};
use peft_models::LanguageModel;
use peft_store::{AdapterDir, AdapterFileError, AdapterInfo, OwnDir, TensorProblem, save_own};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::{base, logits};
use crate::fixture::{
    Normed, assert_differs, assert_same, filled, filled_adapters, ids, params, values,
};

peft_tests::cases!(
    a_method_is_saved_and_read,
    a_prompt_is_saved_and_read,
    statistics_go_with_it,
    what_does_not_fit_is_named,
);

/// `W' = W ∘ g`: a gain of each output.
#[derive(Module, Debug)]
struct Gain {
    /// `[d_out]`.
    gain: Param<Tensor<1>>,
}

impl Adapter for Gain {
    const NAME: &'static str = "gain";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let mut dims = [1; D];
        dims[D - 1] = self.gain.lazy_shape()[0];
        let gain = self.gain.val().reshape(dims);
        base.dense_in(gain.dtype()) * gain
    }
}

/// What attaches it again.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct GainConfig {
    on: Vec<String>,
    whole: Vec<String>,
    start: f32,
}

impl GainConfig {
    pub(super) fn new() -> Self {
        Self {
            on: vec!["q_proj".into(), "down_proj".into()],
            whole: vec!["norm".into()],
            start: 1.5,
        }
    }

    pub(super) fn attach<M: Module>(
        &self,
        model: &mut M,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        let mut placement = Placement::new(Targets::suffixes(self.on.clone()));
        placement.path = ForwardPath::Factored;
        placement.whole_modules = self.whole.clone();
        let fresh = |layer: &Layer| {
            let gain = Tensor::ones([layer.shape[1]], (&layer.device, DType::F32));
            Gain {
                gain: Param::from_tensor(gain * self.start),
            }
        };
        attach(model, name, &placement, &[LayerKind::Linear], |layers| {
            Ok(layers.iter().map(fresh).collect::<Vec<Gain>>())
        })
    }
}

fn trained(device: &Device) -> LanguageModel {
    let mut model = base("gqa", device);
    GainConfig::new()
        .attach(&mut model, "first")
        .expect("it attaches");
    filled_adapters(model)
}

fn saved<M: Module>(model: &M, settings: &impl Serialize) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let about = AdapterInfo::new().with_base("gqa");
    save_own(model, "first", "gain", settings, &about, dir.path()).expect("it saves");
    dir
}

fn a_method_is_saved_and_read(device: &Device) {
    let model = trained(device);
    let dir = saved(&model, &GainConfig::new());
    let own = OwnDir::open(dir.path()).expect("it opens");
    assert_eq!(own.method(), "gain");
    let config: GainConfig = own.settings().expect("settings");
    assert_eq!(config, GainConfig::new());
    // The name is no part of what is saved.
    let mut again = base("gqa", device);
    config.attach(&mut again, "second").expect("it attaches");
    assert_differs(&logits(&again), &logits(&model));
    let warning = own.load(&mut again, "second").expect("it is read");
    assert_eq!(warning, None);
    assert_same(&logits(&again), &logits(&model));

    let mut other = filled(base("gqa", device));
    config.attach(&mut other, "second").expect("it attaches");
    let warning = own.load(&mut other, "second").expect("it is read");
    assert!(warning.is_some_and(|text| text.contains("another base")));

    let error = AdapterDir::open(dir.path()).expect_err("not PEFT's");
    assert!(error.to_string().contains("`OwnDir`"), "{error}");
    let nothing = save_own(
        &base("gqa", device),
        "first",
        "gain",
        &(),
        &AdapterInfo::new(),
        dir.path(),
    );
    let nothing = nothing.expect_err("there is none");
    assert!(matches!(
        nothing,
        AdapterFileError::Attach(PeftError::NoAdapter)
    ));
}

/// The mean of what a text has read is added to each position.
#[derive(Module, Debug)]
struct Shift {
    by: Param<Tensor<1>>,
}

impl InputAdapter for Shift {
    const NAME: &'static str = "shift";

    fn n_virtual_tokens(&self) -> usize {
        0
    }

    fn begin(&self, embeds: Tensor<3>) -> Tensor<3> {
        embeds + self.by.val().unsqueeze::<3>()
    }
}

fn a_prompt_is_saved_and_read(device: &Device) {
    let shifted = |seed: f32| {
        let mut model = WithInput::new(base("gqa", device));
        let width = peft_model::Transformer::d_model(&base("gqa", device));
        let by = values([width], seed, device);
        model.input = Some(Shift {
            by: Param::from_tensor(by),
        });
        train_whole(&mut model.model, "first", &["model.norm".into()]).expect("it is there");
        model
    };
    let model = filled_adapters(shifted(1.0));
    let dir = saved(&model, &());
    let mut again = shifted(2.0);
    let read = |model: &WithInput<LanguageModel, Shift>| model.hidden(ids(device), None, None);
    assert_differs(&read(&again), &read(&model));
    let own = OwnDir::open(dir.path()).expect("it opens");
    assert_eq!(own.load(&mut again, "first").expect("it is read"), None);
    assert_same(&read(&again), &read(&model));
}

fn statistics_go_with_it(device: &Device) {
    let fresh = || {
        let mut net = Normed {
            up: burn::nn::LinearConfig::new(3, 4).init(device),
            bn: burn::nn::BatchNormConfig::new(4).init(device),
            down: burn::nn::LinearConfig::new(4, 2).init(device),
        };
        net = filled(net);
        let config = GainConfig {
            on: vec!["up".into()],
            whole: vec!["bn".into()],
            start: 1.5,
        };
        config.attach(&mut net, "first").expect("it attaches");
        net
    };
    let net = fresh();
    let paths = peft_core::statistics(&net, "first");
    let moved: std::collections::BTreeMap<_, _> = paths
        .into_iter()
        .map(|(path, data)| {
            let tensor = Tensor::<1>::from_data(data, device) + 0.25;
            (path, tensor.into_data())
        })
        .collect();
    assert!(!moved.is_empty());
    let mut net = filled_adapters(net);
    peft_core::set_statistics(&mut net, "first", &moved).expect("they fit");
    let dir = saved(&net, &());
    let mut again = fresh();
    let own = OwnDir::open(dir.path()).expect("it opens");
    own.load(&mut again, "first").expect("it is read");
    let x = values([5, 3], 3.0, device);
    assert_same(&again.forward(x.clone()), &net.forward(x));
}

fn what_does_not_fit_is_named(device: &Device) {
    let dir = saved(&trained(device), &GainConfig::new());
    let own = OwnDir::open(dir.path()).expect("it opens");
    let mut other = base("gqa", device);
    let config = GainConfig {
        on: vec!["q_proj".into(), "k_proj".into()],
        whole: Vec::new(),
        start: 1.0,
    };
    config.attach(&mut other, "first").expect("it attaches");
    let before = params(&other);
    let error = own.load(&mut other, "first").expect_err("other layers");
    let AdapterFileError::Tensors { problems, .. } = &error else {
        panic!("{error}");
    };
    let missing = |problem: &TensorProblem| matches!(problem, TensorProblem::Missing { key, .. } if key.contains("k_proj"));
    let unexpected = |problem: &TensorProblem| matches!(problem, TensorProblem::Unexpected { key } if key.contains("down_proj"));
    assert!(
        problems.iter().any(missing) && problems.iter().any(unexpected),
        "{error}"
    );
    assert_eq!(params(&other), before);
    assert!(own.settings::<Vec<u8>>().is_err());
    let peft = OwnDir::open(super::golden("adapters/lora_attn"));
    let peft = peft.expect_err("PEFT's").to_string();
    assert!(peft.contains("`AdapterDir`"), "{peft}");
}
