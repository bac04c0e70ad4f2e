//! LoRA: what it starts from, its scale, its dropout, its biases.

use burn::module::Module;
use burn::nn::{EmbeddingConfig, LinearConfig};
use burn::tensor::{Device, Tensor, s};
use peft_core::{
    Adapter, ForwardPath, FrozenLinear, PeftError, Placed, Targets, TrainBias, embedding, linear,
    merge, slots,
};
use peft_lora::{Lora, LoraConfig, LoraInit, LoraScaling};
use peft_models::{BertForSequenceClassification, SequenceClassifier};
use peft_tests::tolerance::PATHS;

use crate::fixture::{
    Net, adapter_paths, assert_close, assert_differs, assert_same, filled, filled_adapters, ids,
    params, steps, trained, values, with_gradient,
};

use crate::models::{encoders, ids as tokens, padding};

peft_tests::cases!(
    kaiming_uniform_fills_its_bounds,
    gaussian_has_its_deviation,
    an_embedding_starts_from_a_zero_a,
    scales,
    the_output_is_the_formula,
    an_embedding_is_the_formula,
    dropout_drops_the_input_and_keeps_the_mean,
    biases,
    a_bias_of_b_is_scaled_and_merged,
    a_bias_without_a_place_is_not_merged,
    a_frozen_a_has_no_gradient,
    an_orthogonal_start_is_zero_and_learns_in_both,
    it_learns,
    a_config_survives_serde,
    padding_does_not_change_a_row,
);

/// The LoRA on the only layer of a model.
fn only<M: Module>(model: &M) -> Lora {
    let (_, slot) = slots(model).remove(0);
    slot.get::<Lora>("a").expect("a LoRA").clone()
}

fn on_linear(device: &Device, config: &LoraConfig) -> Lora {
    let mut model = LinearConfig::new(400, 50).init(device);
    config.attach(&mut model, "a").expect("it attaches");
    only(&model)
}

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    let data = tensor.to_data().try_to_vec::<f32>().expect("f32");
    data.into_iter().map(f64::from).collect()
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

fn kaiming_uniform_fills_its_bounds(device: &Device) {
    let lora = on_linear(device, &LoraConfig::new(16, 8.0));
    assert_eq!(lora.lora_a.dims(), [400, 16]);
    assert_eq!(lora.lora_b.dims(), [16, 50]);
    let a = numbers(&lora.lora_a.val());
    let bound = 1.0 / 400f64.sqrt();
    let largest = a.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(
        largest <= bound * (1.0 + 1e-6) && largest > 0.99 * bound,
        "{largest}"
    );
    let (mean, deviation) = moments(&a);
    assert!(mean.abs() < 0.05 * bound, "{mean}");
    assert!(
        (deviation / (bound / 3f64.sqrt()) - 1.0).abs() < 0.03,
        "{deviation}"
    );
    assert!(numbers(&lora.lora_b.val()).iter().all(|v| *v == 0.0));
}

fn gaussian_has_its_deviation(device: &Device) {
    let lora = on_linear(
        device,
        &LoraConfig::new(16, 8.0).with_init(LoraInit::Gaussian),
    );
    let (mean, deviation) = moments(&numbers(&lora.lora_a.val()));
    assert!(mean.abs() < 0.005, "{mean}");
    assert!((deviation * 16.0 - 1.0).abs() < 0.05, "{deviation}");
    assert!(numbers(&lora.lora_b.val()).iter().all(|v| *v == 0.0));
}

fn an_embedding_starts_from_a_zero_a(device: &Device) {
    let mut model = EmbeddingConfig::new(30, 200).init(device);
    LoraConfig::new(8, 8.0)
        .with_targets(Targets::regex(""))
        .attach(&mut model, "a")
        .expect("it attaches");
    let lora = only(&model);
    assert_eq!(lora.lora_a.dims(), [30, 8]);
    assert!(numbers(&lora.lora_a.val()).iter().all(|v| *v == 0.0));
    let (mean, deviation) = moments(&numbers(&lora.lora_b.val()));
    assert!(
        mean.abs() < 0.1 && (deviation - 1.0).abs() < 0.1,
        "{mean} {deviation}"
    );
}

fn scales(device: &Device) {
    let standard = LoraConfig::new(4, 6.0);
    assert_eq!(on_linear(device, &standard).scale(), 1.5);
    let stabilised = standard.with_scaling(LoraScaling::RankStabilised);
    assert_eq!(on_linear(device, &stabilised).scale(), 3.0);
    assert_eq!(on_linear(device, &stabilised).rank(), 4);
}

fn the_output_is_the_formula(device: &Device) {
    let base = filled(LinearConfig::new(6, 10).init(device));
    let mut model = base.clone();
    LoraConfig::new(4, 6.0)
        .with_scaling(LoraScaling::RankStabilised)
        .attach(&mut model, "a")
        .expect("it attaches");
    let model = filled_adapters(model);
    let lora = only(&model);
    let x = values([2, 3, 6], 1.0, device);
    let product = x
        .clone()
        .matmul(lora.lora_a.val().unsqueeze())
        .matmul(lora.lora_b.val().unsqueeze());
    let expected = base.forward(x.clone()) + product.mul_scalar(3.0);
    assert_differs(&expected, &base.forward(x.clone()));
    assert_close(&linear(&model, x.clone()), &expected, PATHS);
    assert_close(&model.forward(x), &expected, PATHS);
}

fn an_embedding_is_the_formula(device: &Device) {
    let base = filled(EmbeddingConfig::new(11, 6).init(device));
    let mut model = base.clone();
    LoraConfig::new(4, 6.0)
        .with_targets(Targets::regex(""))
        .attach(&mut model, "a")
        .expect("it attaches");
    let model = filled_adapters(model);
    let lora = only(&model);
    let delta = lora.lora_a.val().matmul(lora.lora_b.val()).mul_scalar(1.5);
    let table = base.weight.val() + delta;
    let expected = burn::tensor::module::embedding(table, ids(device));
    assert_differs(&expected, &base.forward(ids(device)));
    assert_close(&embedding(&model, ids(device)), &expected, PATHS);
    assert_close(&model.forward(ids(device)), &expected, PATHS);
}

fn dropout_drops_the_input_and_keeps_the_mean(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = LinearConfig::new(6, 10).init(&device);
    LoraConfig::new(2, 3.0)
        .with_dropout(0.25)
        .with_path(ForwardPath::Factored)
        .attach(&mut model, "a")
        .expect("it attaches");
    let mut model = filled_adapters(model);
    assert_eq!(only(&model).dropout(), 0.25);
    let x = values::<3>([1, 1, 6], 1.0, &device).expand([4, 2000, 6]);
    let mean = linear(&model, x.clone()).mean_dim(1).mean_dim(0).inner();
    let without = linear(&model.valid(), x.clone().inner()).slice([0..1, 0..1]);
    assert_close(&mean, &without, 0.05);
    // The base sees the whole input: switched off, nothing is random.
    peft_core::set_disabled(&mut model, true).expect("slots only");
    assert_same(&linear(&model, x.clone()), &linear(&model, x));
}

fn biases(device: &Device) {
    let device = device.clone().autodiff();
    let cases: [(TrainBias, &[&str]); 3] = [
        (TrainBias::None, &[]),
        (
            TrainBias::Adapted,
            &["layers.0.q_proj", "layers.1.q_proj", "layers.2.q_proj"],
        ),
        (
            TrainBias::All,
            &[
                "head",
                "layers.0.down_proj",
                "layers.0.q_proj",
                "layers.1.down_proj",
                "layers.1.q_proj",
                "layers.2.down_proj",
                "layers.2.q_proj",
            ],
        ),
    ];
    for (bias, layers) in cases {
        let mut model = Net::new(&device);
        LoraConfig::new(2, 3.0)
            .with_targets(Targets::suffixes(["q_proj", "v_proj"]))
            .with_train_bias(bias)
            .attach(&mut model, "a")
            .expect("it attaches");
        let copies: Vec<String> = trained(&model)
            .into_iter()
            .filter(|path| path.ends_with(".value"))
            .collect();
        let expected: Vec<String> = layers
            .iter()
            .map(|layer| format!("{layer}.bias.adapters.a.value"))
            .collect();
        assert_eq!(copies, expected);
        assert_eq!(trained(&model), adapter_paths(&model));
    }
}

/// `y = x W + b + s (x A B + b')`, merged too.
fn a_bias_of_b_is_scaled_and_merged(device: &Device) {
    let base = filled(LinearConfig::new(6, 10).init(device));
    let config = LoraConfig::new(4, 6.0)
        .with_lora_bias(true)
        .with_path(ForwardPath::Factored);
    let mut model = base.clone();
    config.attach(&mut model, "a").expect("it attaches");
    let x = values([2, 3, 6], 1.0, device);
    assert_same(&linear(&model, x.clone()), &base.forward(x.clone()));
    let mut model = filled_adapters(model);
    let lora = only(&model);
    let bias = lora.bias.as_ref().expect("it has one").val();
    let product = x.clone().matmul(lora.delta().unsqueeze());
    let expected = base.forward(x.clone()) + product + bias.mul_scalar(1.5).unsqueeze();
    let found = linear(&model, x.clone());
    assert_close(&found, &expected, PATHS);
    drop(merge(&mut model).expect("there is a bias"));
    assert_close(&model.forward(x), &expected, PATHS);
}

fn a_bias_without_a_place_is_not_merged(device: &Device) {
    let config = LoraConfig::new(2, 3.0).with_lora_bias(true);
    let on = |targets: &str, path| {
        let mut model = Net::new(device);
        let config = config
            .clone()
            .with_targets(Targets::suffixes([targets]))
            .with_path(path);
        config.attach(&mut model, "a").map(|_| model)
    };
    let weight = on("q_proj", ForwardPath::Weight).map(|_| ());
    assert!(matches!(weight, Err(PeftError::NeedsFactoredPath { .. })));
    let embedding = on("embed", ForwardPath::Factored).map(|_| ());
    let embedding = embedding.expect_err("it takes none").to_string();
    assert!(embedding.contains("bias of B on `embed`"), "{embedding}");
    let mut model = on("v_proj", ForwardPath::Factored).expect("it attaches");
    let acting = filled_adapters(model.clone()).output(ForwardPath::Factored);
    assert_differs(&acting, &model.output(ForwardPath::Factored));
    let refused = merge(&mut model).expect_err("there is no bias");
    let said = "lora on `layers.0.v_proj.weight` cannot be merged: it adds a bias, for which the layer has no place";
    assert_eq!(refused.to_string(), said);
    assert_eq!(slots(&model).len(), 3);
    for wrong in [
        config.clone().with_dora(true),
        config.clone().with_init(LoraInit::Gaussian),
    ] {
        let refused = wrong.attach(&mut Net::new(device), "a");
        assert!(matches!(refused, Err(PeftError::InvalidSetting { .. })));
    }
}

/// `B`'s gradient is what it is where both train.
fn a_frozen_a_has_no_gradient(device: &Device) {
    let device = device.clone().autodiff();
    let [both, alone] = [false, true].map(|frozen| {
        let mut model = Net::new(&device);
        LoraConfig::new(2, 3.0)
            .with_freeze_a(frozen)
            .with_path(ForwardPath::Factored)
            .attach(&mut model, "a")
            .expect("it attaches");
        let model = filled_adapters(model);
        with_gradient(&model, &model.loss(ForwardPath::Factored))
    });
    assert!(both.keys().any(|path| path.ends_with("lora_a")));
    let of_b = both.keys().filter(|path| path.ends_with("lora_b"));
    let of_b: Vec<&String> = of_b.collect();
    assert!(alone.keys().eq(of_b.iter().copied()));
    for path in of_b {
        assert_eq!(alone[path], both[path], "{path}");
    }
}

fn an_orthogonal_start_is_zero_and_learns_in_both(device: &Device) {
    let device = device.clone().autodiff();
    let config = LoraConfig::new(4, 6.0).with_init(LoraInit::Orthogonal);
    let lora = on_linear(&device, &config);
    let (a, b) = (numbers(&lora.lora_a.val()), numbers(&lora.lora_b.val()));
    for (values, deviation) in [(&a, moments(&a).1), (&b, moments(&b).1)] {
        // Half of a unit row for each column, a tenth of it.
        assert!(
            (deviation - 0.1 * 0.5f64.sqrt()).abs() < 0.02,
            "{deviation}"
        );
        assert!(values.iter().all(|value| *value != 0.0));
    }
    assert!(
        numbers(&lora.delta())
            .iter()
            .all(|value| value.abs() < 1e-7)
    );
    let x = values([3, 400], 1.0, &device);
    let base = FrozenLinear::new(Tensor::zeros([400, 50], &device), None);
    let grads = lora.linear(x.into(), &base).sum().backward();
    for factor in [&lora.lora_a, &lora.lora_b] {
        let grad = factor.val().grad(&grads).expect("it trains");
        assert!(grad.abs().max().into_scalar::<f32>() > 1e-3);
    }
    let odd = LoraConfig::new(3, 6.0).with_init(LoraInit::Orthogonal);
    let odd = odd.attach(&mut Net::new(&device), "a");
    let odd = odd.expect_err("an odd rank").to_string();
    assert!(odd.contains("is 3, but must be even"), "{odd}");
}

fn it_learns(device: &Device) {
    let device = device.clone().autodiff();
    for dropout in [0.0, 0.1] {
        let mut model = Net::new(&device);
        LoraConfig::new(4, 8.0)
            .with_dropout(dropout)
            .with_path(ForwardPath::Factored)
            .attach(&mut model, "a")
            .expect("it attaches");
        let before = params(&model);
        let first = model.valid().loss(ForwardPath::Factored);
        let (model, _) = steps(model, 30, |model| model.loss(ForwardPath::Factored));
        let last = model.valid().loss(ForwardPath::Factored);
        let (first, last) = (first.into_scalar::<f32>(), last.into_scalar::<f32>());
        assert!(last < 0.7 * first, "{first} {last}");
        for path in adapter_paths(&model) {
            assert_ne!(params(&model)[&path].data, before[&path].data, "{path}");
        }
    }
}

fn a_config_survives_serde(_device: &Device) {
    let config = LoraConfig::new(4, 8.0)
        .with_scaling(LoraScaling::RankStabilised)
        .with_init(LoraInit::Gaussian)
        .with_targets(Targets::suffixes(["q_proj"]).excluding(["head"]).last(2))
        .with_rank_pattern(peft_core::Patterns::new([("q_proj", 3)]))
        .with_train_bias(TrainBias::Adapted)
        .with_whole_modules(["norm"]);
    let text = serde_json::to_string(&config).expect("it can be written");
    let read: LoraConfig = serde_json::from_str(&text).expect("it can be read");
    assert_eq!(read, config);
}

/// In a model that reads in both directions: behind a causal mask nothing sees the padding on its
/// right anyway.
fn padding_does_not_change_a_row(device: &Device) {
    let base = BertForSequenceClassification::new(&encoders::bert(), 3, device);
    let base = encoders::spread(base);
    let mut model = base.clone();
    LoraConfig::new(2, 3.0)
        .with_path(ForwardPath::Factored)
        .attach(&mut model, "a")
        .expect("it attaches");
    let model = filled_adapters(model);
    let (ids, lengths) = (tokens(3, 7, 23, device), [4, 7, 1]);
    let together = model.classify(ids.clone(), Some(padding(&lengths, 7, device)));
    assert_differs(&together, &model.classify(ids.clone(), None));
    assert_differs(
        &together,
        &base.classify(ids.clone(), Some(padding(&lengths, 7, device))),
    );
    for (row, length) in lengths.into_iter().enumerate() {
        let alone = model.classify(ids.clone().slice(s![row..row + 1, 0..length]), None);
        assert_close(&together.clone().slice(s![row..row + 1]), &alone, PATHS);
    }
    peft_tests::Invariant::Padding.verified("lora", device);
}
