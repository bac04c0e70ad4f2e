//! LoRA on Burn's convolutions, in a model of a user's own.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::{PaddingConfig1d, PaddingConfig2d};
use burn::tensor::module::{conv1d, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use peft_core::{ForwardPath, LayerKind, Placed, Targets, layers, merge, slots};
use peft_lora::{Lora, LoraConfig, LoraInit};
use peft_tests::tolerance::PATHS;

use crate::fixture::{
    adapter_paths, assert_close, assert_differs, assert_same, filled, filled_adapters, is_adapter,
    params, steps, values,
};

peft_tests::cases!(
    it_is_two_convolutions,
    it_trains_and_merges,
    what_cannot_be_is_refused,
);

const NAME: &str = "default";
const SCALE: f64 = 1.5;

/// Unlike sides, strides, paddings and dilations; and groups.
#[derive(Module, Debug)]
struct Image {
    line: Conv1d,
    first: Conv2d,
    grouped: Conv2d,
}

impl Image {
    fn new(device: &Device) -> Self {
        let line = Conv1dConfig::new(3, 4, 3)
            .with_stride(2)
            .with_padding(PaddingConfig1d::Explicit(1, 1));
        let first = Conv2dConfig::new([2, 6], [3, 2])
            .with_stride([1, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 0, 1, 0))
            .with_bias(false);
        let grouped = Conv2dConfig::new([6, 4], [2, 2])
            .with_dilation([1, 2])
            .with_groups(2);
        filled(Self {
            line: line.init(device),
            first: first.init(device),
            grouped: grouped.init(device),
        })
    }

    fn output(&self) -> Tensor<1> {
        let device = &self.line.weight.device();
        let line = self.line.forward(values([2, 3, 9], 1.0, device));
        let image = self.first.forward(values([2, 2, 6, 9], 2.0, device));
        let image = self.grouped.forward(image);
        Tensor::cat(vec![line.flatten(0, 2), image.flatten(0, 3)], 0)
    }
}

fn config() -> LoraConfig {
    LoraConfig::new(2, 2.0 * SCALE).with_targets(Targets::suffixes(["line", "first", "grouped"]))
}

fn adapted(device: &Device, config: &LoraConfig) -> Image {
    let mut model = Image::new(device);
    let report = config.attach(&mut model, NAME).expect("it attaches");
    assert_eq!(report.layers.len(), 3, "{report}");
    model
}

fn lora(model: &Image, layer: &str) -> Lora {
    let mut slots = slots(model).into_iter();
    let found = slots.find(|(path, _)| *path == format!("{layer}.weight"));
    let (_, slot) = found.expect("an adapted layer");
    slot.get::<Lora>(NAME).expect("a LoRA").clone()
}

/// `conv(x) + s · point(conv_A(x))`, with `A` as a kernel to the channels of the rank: PEFT's.
fn it_is_two_convolutions(device: &Device) {
    let model = filled_adapters(adapted(device, &config()));
    let base = Image::new(device);

    let x = values([2, 3, 9], 1.0, device);
    let of = lora(&model, "line");
    let kernel = of.lora_a.val().transpose().reshape([2, 3, 3]);
    let hidden = conv1d(x.clone(), kernel, None, ConvOptions::new([2], [1], [1], 1));
    let point = of.lora_b.val().transpose().reshape([4, 2, 1]);
    let more = conv1d(hidden, point, None, ConvOptions::new([1], [0], [1], 1));
    let expected = base.line.forward(x.clone()) + more * SCALE;
    assert_close(&model.line.forward(x.clone()), &expected, PATHS);
    assert_differs(&expected, &base.line.forward(x));

    let x = values([2, 2, 6, 9], 2.0, device);
    let of = lora(&model, "first");
    let kernel = of.lora_a.val().transpose().reshape([2, 2, 3, 2]);
    let options = ConvOptions::new([1, 2], [1, 0], [1, 1], 1);
    let hidden = conv2d(x.clone(), kernel, None, options);
    let point = of.lora_b.val().transpose().reshape([6, 2, 1, 1]);
    let more = conv2d(
        hidden,
        point,
        None,
        ConvOptions::new([1, 1], [0, 0], [1, 1], 1),
    );
    let expected = base.first.forward(x.clone()) + more * SCALE;
    assert_close(&model.first.forward(x.clone()), &expected, PATHS);
    assert_differs(&expected, &base.first.forward(x));
}

fn it_trains_and_merges(device: &Device) {
    let device = device.clone().autodiff();
    let elsewhere = config().with_init(LoraInit::Olora);
    let mut magnitude = config();
    magnitude.dora = true;
    for config in [config(), elsewhere, magnitude] {
        let base = Image::new(&device);
        let shapes: Vec<[usize; 2]> = layers(&base).iter().map(|layer| layer.shape).collect();
        assert_eq!(shapes, [[9, 4], [12, 6], [12, 4]]);
        let model = adapted(&device, &config);
        assert_close(&model.output(), &base.output(), PATHS);
        let model = filled_adapters(model);
        let before = params(&model);
        let (model, losses) = steps(model, 8, |model| {
            let y = model.output();
            let target = values(y.dims(), 5.0, &y.device());
            (y - target).powi_scalar(2).mean()
        });
        assert!(losses[7] < 0.95 * losses[0], "{losses:?}");
        for (name, after) in params(&model) {
            let changed = after.data != before[&name].data;
            assert!(is_adapter(&name) || !changed, "{name}");
        }
        assert!(adapter_paths(&model).len() >= 6);
        let mut merged = model.clone();
        let unmerged = merge(&mut merged).expect("it merges");
        assert_eq!(merged.num_params(), base.num_params());
        assert_close(&merged.output(), &model.output(), PATHS);
        assert_differs(&merged.output(), &base.output());
        unmerged.restore(&mut merged);
        assert_same(&merged.output(), &model.output());
    }
}

fn what_cannot_be_is_refused(device: &Device) {
    let mut model = Image::new(device);
    assert!(
        layers(&model)
            .iter()
            .all(|layer| layer.kind == LayerKind::Conv)
    );
    let dropping = config().with_dropout(0.5).with_path(ForwardPath::Factored);
    let refused = dropping
        .attach(&mut model, NAME)
        .expect_err("no input is dropped");
    assert!(refused.to_string().contains("drop"), "{refused}");
    let refused = peft_ia3::Ia3Config::new(Targets::suffixes(["line"]))
        .attach(&mut model, NAME)
        .expect_err("no method but LoRA is on convolutions");
    assert!(refused.to_string().contains("line"), "{refused}");
}
