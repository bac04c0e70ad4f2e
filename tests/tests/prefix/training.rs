//! What trains: the prefix and the head beside it, in every layer, and nothing else.

use burn::module::Module;
use burn::tensor::{Device, Tensor, s};
use peft_model::{CausalLm, Transformer};
use peft_models::{BertForSequenceClassification, DecoderForCausalLm};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixShape, Prefixed};
use peft_tests::Unwatched;
use peft_train::{ClassExample, NextToken, SequenceClassification, Target, train};

use super::{N, prefix};
use crate::fixture::{trained, values};
use crate::models::encoders::{bert, spread as spread_any};
use crate::models::{ids, spread, tiny};
use crate::training::{Log, bits, config, examples};

peft_tests::cases!(
    gradients_reach_every_key_and_value,
    only_the_prefix_changes,
    the_loss_falls,
    only_the_projection_changes,
    a_head_trains_beside_it,
    equal_positions_stay_equal,
);

fn attached(config: &PrefixConfig, device: &Device) -> Prefixed<DecoderForCausalLm> {
    let mut model = Prefixed::new(spread(&tiny(), &device.clone().autodiff()));
    config.attach(&mut model, "default").expect("it attaches");
    model
}

/// As [`attached`], with values that matter and are the same at each call: tests of other threads
/// draw from the same device.
fn settled(device: &Device) -> Prefixed<DecoderForCausalLm> {
    let mut model = attached(&PrefixConfig::new(N), device);
    let shape = PrefixShape::of(&model.model);
    model.input = Some(prefix(shape, &device.clone().autodiff()));
    model
}

fn gradients_reach_every_key_and_value(device: &Device) {
    let model = settled(device);
    let ids = ids(2, 7, 23, &device.clone().autodiff());
    let hidden = model.hidden(ids, None, None);
    let wanted = values(hidden.dims(), 9.0, &hidden.device());
    let grads = (hidden * wanted).sum().backward();
    let embedding = &model.input.as_ref().expect("a prefix").embedding;
    let gradient = embedding.val().grad(&grads).expect("it trains");
    let gradient = gradient.reshape([3, 2, 2, 12]); // [n, layers, keys and values, width]
    for (layer, part) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let one = s![.., layer..layer + 1, part..part + 1, ..];
        let found: Vec<f32> = gradient.clone().slice(one).into_data().iter().collect();
        assert_eq!(found.len(), 36);
        assert!(
            found.iter().all(|g| g.abs() > 1e-6),
            "{layer} {part}: {found:?}"
        );
    }
    let others = trained(&model);
    assert_eq!(others, ["prefix.embedding"]);
}

/// Which parameters change in three steps.
fn changed<M: CausalLm>(model: Prefixed<M>) -> Vec<String> {
    let before = bits(&model);
    let rows = examples(8);
    let settings = config(4, 3);
    let mut log = Log::default();
    let after = train(model, &NextToken, &rows, None, &settings, None, &mut log);
    let after = bits(&after.expect("it trains"));
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    let differing = after
        .into_iter()
        .filter(|(path, data)| &before[path] != data);
    differing.map(|(path, _)| path).collect()
}

fn only_the_prefix_changes(device: &Device) {
    let model = settled(device);
    assert_eq!(changed(model), ["prefix.embedding"]);
    peft_tests::Invariant::Trains.verified("prefix tuning", device);
    peft_tests::Invariant::Frozen.verified("prefix tuning", device);
}

fn the_loss_falls(device: &Device) {
    let rows = examples(8);
    let mut log = Log::default();
    let settings = config(8, 20);
    let model = settled(device);
    train(model, &NextToken, &rows, None, &settings, None, &mut log).expect("it trains");
    let (first, last) = (log.steps[0].loss, log.steps[19].loss);
    assert!(last < first - 0.01, "{first} {last}");
}

fn only_the_projection_changes(device: &Device) {
    for init in [PrefixInit::Random, PrefixInit::Zero] {
        let zero = init == PrefixInit::Zero;
        let model = attached(
            &PrefixConfig::new(3).with_projection(5).with_init(init),
            device,
        );
        let prefix = model.input.as_ref().expect("a prefix");
        let largest = prefix.flat().abs().max().into_scalar::<f32>();
        assert_eq!(largest == 0.0, zero);
        let expected = [
            "prefix.embedding",
            "prefix.projection.down.bias",
            "prefix.projection.down.weight",
            "prefix.projection.up.bias",
            "prefix.projection.up.weight",
        ];
        assert_eq!(changed(model), expected);
    }
}

fn a_head_trains_beside_it(device: &Device) {
    let device = &device.clone().autodiff();
    let head = BertForSequenceClassification::new(&bert(), 3, device);
    let mut model = Prefixed::new(spread_any(head));
    let report = PrefixConfig::new(3)
        .with_whole_modules(["classifier"])
        .attach(&mut model, "default")
        .expect("it attaches");
    assert_eq!(
        report.trained_whole,
        ["classifier.weight", "classifier.bias"]
    );
    let flat = 3 * 2 * 2 * 12;
    assert_eq!(report.summary.trainable, flat + 12 * 3 + 3, "{report}");
    assert!(
        report
            .to_string()
            .starts_with("prefix `default`, 2 parameters"),
        "{report}"
    );
    let expected = [
        "classifier.bias.adapters.default.value",
        "classifier.weight.adapters.default.value",
        "prefix.embedding",
    ];
    assert_eq!(trained(&model), expected);
    let rows: Vec<ClassExample> = (0..6u32)
        .map(|i| ClassExample {
            types: Vec::new(),
            ids: (0..3 + i % 4)
                .map(|j| (i * 7 + j * j + 3 * j) % 23)
                .collect(),
            target: Target::Class(i as usize % 3),
        })
        .collect();
    let before = bits(&model);
    let objective = SequenceClassification::default();
    let after = train(
        model,
        &objective,
        &rows,
        None,
        &config(3, 3),
        None,
        &mut Unwatched,
    );
    let after = bits(&after.expect("it trains"));
    let differing = after.iter().filter(|(path, data)| &before[*path] != *data);
    assert_eq!(
        differing.map(|(path, _)| path).collect::<Vec<_>>(),
        expected
    );
    peft_tests::Invariant::Beside.verified("prefix tuning", device);
}

/// What the documentation warns of: positions that start equal get equal gradients.
fn equal_positions_stay_equal(device: &Device) {
    let model = attached(&PrefixConfig::new(3).with_init(PrefixInit::Zero), device);
    let rows = examples(8);
    let settings = config(4, 3);
    let mut log = Log::default();
    let after = train(model, &NextToken, &rows, None, &settings, None, &mut log);
    let flat = after
        .expect("it trains")
        .valid()
        .input
        .expect("a prefix")
        .flat();
    assert!(flat.clone().abs().min().into_scalar::<f32>() > 0.0);
    let first: Tensor<2> = flat.clone().slice(s![0..1]).expand([3, 48]);
    assert!((flat - first).abs().max().into_scalar::<f32>() < 1e-5);
}
