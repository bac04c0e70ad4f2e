//! The factored path, the weight path and the merged model give the same output.

use burn::module::Module;
use burn::nn::{LinearConfig, LinearLayout};
use burn::tensor::Device;
use peft_core::{ForwardPath, Names, Placed, Targets, TrainBias, linear, merge, set_active, slots};
use peft_ia3::Ia3Config;
use peft_lora::{Lora, LoraConfig, LoraScaling};
use peft_tests::tolerance::PATHS;

use super::{adapted, lora};
use crate::fixture::{
    Net, assert_close, assert_differs, assert_same, filled_adapters, ids, values,
};

peft_tests::cases!(
    without_a_slot_it_is_burns_forward,
    paths_agree,
    biased_outputs_agree_factored_and_merged,
    loras_sum,
    any_rank_of_input,
    a_bare_layer_is_a_model,
    a_column_layout_has_the_same_shape,
);

fn without_a_slot_it_is_burns_forward(device: &Device) {
    let model = Net::new(device);
    let layer = &model.layers[0].q_proj;
    let x1 = values([6], 1.0, device);
    assert_same(&linear(layer, x1.clone()), &layer.forward(x1));
    let x2 = values([3, 6], 2.0, device);
    assert_same(&linear(layer, x2.clone()), &layer.forward(x2));
    let x4 = values([2, 3, 4, 6], 3.0, device);
    assert_same(&linear(layer, x4.clone()), &layer.forward(x4));
    let rows = peft_core::embedding(&model.embed, ids(device));
    assert_same(&rows, &model.embed.forward(ids(device)));
    assert_same(
        &model.output(ForwardPath::Factored),
        &model.output(ForwardPath::Weight),
    );
}

fn on_both(targets: Targets) -> LoraConfig {
    LoraConfig::new(3, 2.0)
        .with_scaling(LoraScaling::RankStabilised)
        .with_targets(targets)
}

/// IA3 on what weight space can carry: an output without a bias, inputs with one.
fn ia3() -> Ia3Config {
    Ia3Config::new(Targets::suffixes(["v_proj", "down_proj"]))
        .with_feedforward(Names::suffixes(["down_proj"]))
}

type Adapt = fn(&mut Net) -> Result<(), peft_core::PeftError>;

fn paths_agree(device: &Device) {
    let cases: [(&str, Adapt); 9] = [
        ("linear layers with and without bias", |model| {
            on_both(Targets::all_linear()).attach(model, "a").map(drop)
        }),
        ("an embedding", |model| {
            let targets = Targets::suffixes(["embed", "q_proj"]);
            on_both(targets).attach(model, "a").map(drop)
        }),
        ("a head and a norm trained whole", |model| {
            on_both(Targets::suffixes(["q_proj"]))
                .with_whole_modules(["head", "norm"])
                .attach(model, "a")
                .map(drop)
        }),
        ("every bias trained", |model| {
            on_both(Targets::all_linear())
                .with_train_bias(TrainBias::All)
                .attach(model, "a")
                .map(drop)
        }),
        ("ia3 on an output and an input", |model| {
            ia3().attach(model, "a").map(drop)
        }),
        ("lora, then ia3", |model| {
            on_both(Targets::suffixes(["v_proj", "down_proj"])).attach(model, "a")?;
            ia3().attach(model, "b")?;
            set_active(model, &[("a", 1.0), ("b", 1.0)])
        }),
        ("ia3, then lora", |model| {
            on_both(Targets::suffixes(["v_proj", "down_proj"])).attach(model, "a")?;
            ia3().attach(model, "b")?;
            set_active(model, &[("b", 1.0), ("a", 1.0)])
        }),
        ("strengths other than one", |model| {
            on_both(Targets::suffixes(["v_proj", "embed"])).attach(model, "a")?;
            ia3().attach(model, "b")?;
            set_active(model, &[("a", 0.7), ("b", -1.3)])
        }),
        ("three adapters, a strength of zero", |model| {
            on_both(Targets::all_linear()).attach(model, "a")?;
            lora(ForwardPath::Weight).attach(model, "b")?;
            ia3().attach(model, "c")?;
            set_active(model, &[("c", 0.5), ("b", 0.0), ("a", 2.0)])
        }),
    ];
    for (name, adapt) in cases {
        println!("{name}");
        let base = Net::new(device);
        let mut model = base.clone();
        adapt(&mut model).expect("it attaches");
        let mut model = filled_adapters(model);
        let factored = model.output(ForwardPath::Factored);
        assert_differs(&factored, &base.output(ForwardPath::Weight));
        assert_close(&model.output(ForwardPath::Weight), &factored, PATHS);
        drop(merge(&mut model).expect("it merges"));
        assert_eq!(model.num_params(), base.num_params());
        assert_close(&model.output(ForwardPath::Weight), &factored, PATHS);
    }
}

fn biased_outputs_agree_factored_and_merged(device: &Device) {
    for strength in [1.0, 0.4] {
        let mut model = Net::new(device);
        // The bias of `q_proj` is trained by the LoRA and rescaled by the IA3.
        lora(ForwardPath::Factored)
            .with_train_bias(TrainBias::Adapted)
            .attach(&mut model, "a")
            .expect("it attaches");
        Ia3Config::new(Targets::suffixes(["q_proj", "head"]))
            .with_path(ForwardPath::Factored)
            .attach(&mut model, "b")
            .expect("it attaches");
        set_active(&mut model, &[("a", 1.0), ("b", strength)]).expect("both exist");
        let mut model = filled_adapters(model);
        let factored = model.output(ForwardPath::Factored);
        drop(merge(&mut model).expect("it merges"));
        assert_close(&model.output(ForwardPath::Weight), &factored, PATHS);
    }
}

fn loras_sum(device: &Device) {
    let mut model = Net::new(device);
    for name in ["a", "b", "c"] {
        lora(ForwardPath::Factored)
            .attach(&mut model, name)
            .expect("it attaches");
    }
    let mut model = filled_adapters(model);
    let strengths = [("b", 0.5), ("c", 1.0), ("a", -2.0)];
    set_active(&mut model, &strengths).expect("all exist");
    let layer = &model.layers[1].q_proj;
    let (_, slot) = slots(&model)
        .into_iter()
        .find(|(path, _)| path == "layers.1.q_proj.weight")
        .expect("a slot");
    let sum = strengths
        .iter()
        .fold(layer.weight.base(), |sum, (name, w)| {
            let lora: &Lora = slot.get(name).expect("a LoRA");
            assert_eq!(lora.scale(), 1.5);
            sum + lora
                .lora_a
                .val()
                .matmul(lora.lora_b.val())
                .mul_scalar(1.5 * w)
        });
    assert_close(&layer.weight.val(), &sum, PATHS);
    let x = values([2, 3, 6], 4.0, device);
    let bias = layer.bias.as_ref().expect("a bias").val();
    let expected = x.clone().matmul(sum.unsqueeze()) + bias.unsqueeze();
    assert_close(&linear(layer, x), &expected, PATHS);
}

fn any_rank_of_input(device: &Device) {
    let model = adapted(device, ForwardPath::Factored);
    let layer = &model.layers[0].q_proj;
    let x = values([2, 3, 4, 6], 1.0, device);
    let y = layer.forward(x.clone());
    assert_close(&linear(layer, x.clone()), &y, PATHS);
    let flat = linear(layer, x.clone().reshape([24, 6]));
    assert_close(&flat, &y.clone().reshape([24, 10]), PATHS);
    let one = linear(layer, x.slice([1..2, 2..3, 3..4, 0..6]).reshape([6]));
    assert_close(
        &one,
        &y.slice([1..2, 2..3, 3..4, 0..10]).reshape([10]),
        PATHS,
    );
}

fn a_bare_layer_is_a_model(device: &Device) {
    let base = crate::fixture::filled(LinearConfig::new(6, 10).init(device));
    let mut model = base.clone();
    let report = LoraConfig::new(2, 3.0)
        .with_train_bias(TrainBias::Adapted)
        .attach(&mut model, "a")
        .expect("it attaches");
    assert_eq!(report.trained_whole, ["bias"]);
    assert_eq!(report.summary.trainable, 2 * 6 + 2 * 10 + 10);
    let model = filled_adapters(model);
    let x = values([2, 6], 1.0, device);
    let y = linear(&model, x.clone());
    assert_differs(&y, &base.forward(x.clone()));
    assert_close(&model.forward(x.clone()), &y, PATHS);
    let mut merged = model;
    drop(merge(&mut merged).expect("it merges"));
    assert_close(&merged.forward(x), &y, PATHS);
}

fn a_column_layout_has_the_same_shape(device: &Device) {
    let mut model = LinearConfig::new(6, 10)
        .with_layout(LinearLayout::Col)
        .init(device);
    let report = LoraConfig::new(2, 3.0)
        .attach(&mut model, "a")
        .expect("it attaches");
    assert_eq!(report.layers[0].shape, [6, 10]);
    let model = filled_adapters(model);
    let x = values([2, 6], 1.0, device);
    assert_close(&model.forward(x.clone()), &linear(&model, x), PATHS);
}
