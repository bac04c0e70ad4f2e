//! A request that is refused leaves the model as it was, and its message says what to do.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::Device;
use peft_core::{
    ForwardPath, LayerRange, Names, ParamSet, Patterns, PeftError, Placed, Targets, detach,
    freeze_all_but, rename, set_active,
};
use peft_ia3::Ia3Config;
use peft_lora::LoraConfig;

use super::{adapted, lora};
use crate::fixture::{Net, assert_same, params, slot_state};

peft_tests::cases!(
    refusals_leave_the_model_untouched,
    a_model_without_layers_is_refused,
    the_weight_path_says_what_it_cannot_carry,
);

type Request = fn(&mut Net) -> Result<(), PeftError>;

/// LoRA under the name `new`.
fn attach(model: &mut Net, edit: impl FnOnce(LoraConfig) -> LoraConfig) -> Result<(), PeftError> {
    edit(lora(ForwardPath::Factored))
        .attach(model, "new")
        .map(drop)
}

fn targets(model: &mut Net, targets: Targets) -> Result<(), PeftError> {
    attach(model, |lora| lora.with_targets(targets))
}

const REQUESTS: [(Request, &str); 30] = [
    (
        |model| targets(model, Targets::suffixes(["q_porj"])),
        "target `q_porj` matches nothing in this model, did you mean `q_proj`?; it has `embed`, `q_proj`, \
         `v_proj`, `down_proj`, `head`",
    ),
    (
        |model| targets(model, Targets::suffixes(["q_proj", "xyz"])),
        "target `xyz` matches nothing in this model; it has `embed`, `q_proj`, `v_proj`, `down_proj`, `head`",
    ),
    (
        |model| targets(model, Targets::regex("layers")),
        "lora cannot adapt `layers`, a container of modules; it adapts Linear and Embedding",
    ),
    (
        |model| targets(model, Targets::regex("(")),
        "target `(` is no regular expression: ",
    ),
    (
        |model| targets(model, Targets::suffixes(["norm"])),
        "lora cannot adapt `norm`, a LayerNorm; it adapts Linear and Embedding",
    ),
    (
        |model| targets(model, Targets::all_linear().excluding(["haed"])),
        "exclusion `haed` matches nothing in this model, did you mean `head`?; it has `embed`, `q_proj`, \
         `v_proj`, `down_proj`, `head`",
    ),
    (
        |model| targets(model, Targets::suffixes(["head"]).excluding(["head"])),
        "nothing is left to adapt: 1 layers match the targets, and none of them is among the chosen layers \
         outside the exclusions",
    ),
    (
        |model| {
            targets(
                model,
                Targets::all_linear().within(LayerRange::Indices(vec![1, 3])),
            )
        },
        "layer 3 does not exist: the model's layers are 0 to 2",
    ),
    (
        |model| targets(model, Targets::suffixes(["head"]).first(1)),
        "layers were chosen by index, but no target has a layer index in its path (`head` for example)",
    ),
    (
        |model| {
            attach(model, |lora| {
                lora.with_rank_pattern(Patterns::new([("0.q_porj", 2)]))
            })
        },
        "rank pattern `0.q_porj` matches nothing in this model, did you mean `0.q_proj`?; it has `layers.0.q_proj`, ",
    ),
    (
        |model| targets(model, Targets::suffixes(["layers.1.q_porj"])),
        "target `layers.1.q_porj` matches nothing in this model, did you mean `layers.1.q_proj`?; it has `embed`, ",
    ),
    (
        |model| {
            attach(model, |lora| {
                lora.with_alpha_pattern(Patterns::new([("[", 2.0)]))
            })
        },
        "alpha pattern `[` is no regular expression: ",
    ),
    (
        |model| {
            attach(model, |lora| {
                lora.with_rank_pattern(Patterns::new([("q_proj", 0)]))
            })
        },
        "rank of `q_proj` is 0, but must be at least 1",
    ),
    (
        |model| LoraConfig::new(0, 1.0).attach(model, "new").map(drop),
        "rank is 0, but must be at least 1",
    ),
    (
        |model| LoraConfig::new(1, f64::NAN).attach(model, "new").map(drop),
        "alpha is NaN, but must be finite",
    ),
    (
        |model| attach(model, |lora| lora.with_dropout(1.0)),
        "dropout is 1, but must be at least 0 and below 1",
    ),
    (
        |model| {
            attach(model, |lora| {
                lora.with_dropout(0.1).with_path(ForwardPath::Weight)
            })
        },
        "lora on `layers.0.q_proj` needs the factored path: dropout acts on the adapter's input, which no weight \
         can express; if the model calls peft_core::linear for its layers, say so with ForwardPath::Factored",
    ),
    (
        |model| attach(model, |lora| lora.with_whole_modules(["heads"])),
        "module to save `heads` matches nothing in this model, did you mean `head`?; it has `embed`, `layers`, \
         `layers.0`, ",
    ),
    (
        |model| attach(model, |lora| lora.with_whole_modules(["0.q_proj"])),
        "`layers.0.q_proj` is both a target and to be trained whole by adapter `new`; exclude it from one",
    ),
    (
        |model| {
            attach(model, |l| {
                l.with_targets(Targets::all_linear())
                    .with_whole_modules(["layers", "head"])
            })
        },
        "nothing is left to adapt: 10 layers match the targets",
    ),
    (
        |model| {
            lora(ForwardPath::Factored)
                .attach(model, "default")
                .map(drop)
        },
        "an adapter named `default` is attached already; choose another name or detach it first",
    ),
    (
        |model| lora(ForwardPath::Factored).attach(model, "a.b").map(drop),
        "`a.b` cannot name an adapter: use letters, digits, `-` and `_`",
    ),
    (
        |model| lora(ForwardPath::Factored).attach(model, "").map(drop),
        "`` cannot name an adapter",
    ),
    (
        |model| {
            Ia3Config::new(Targets::suffixes(["q_proj"]))
                .with_feedforward(Names::suffixes(["down_proj"]))
                .attach(model, "new")
                .map(drop)
        },
        "feed-forward target `down_proj` matches nothing in this model; it has `layers.0.q_proj`, ",
    ),
    (
        |model| set_active(model, &[("defualt", 1.0)]),
        "no adapter is named `defualt`, did you mean `default`?; attached: `default`",
    ),
    (
        |model| set_active(model, &[("default", f64::INFINITY)]),
        "the strength of adapter `default` is inf, but must be finite",
    ),
    (
        |model| set_active(model, &[("default", 1.0), ("default", 2.0)]),
        "adapter `default` is named twice, but must be named once",
    ),
    (
        |model| detach(model, "x"),
        "no adapter is named `x`; attached: `default`",
    ),
    (
        |model| rename(model, "default", "no good"),
        "`no good` cannot name an adapter",
    ),
    (
        |model| {
            let set = ParamSet::Names(Names::suffixes(["head.wieght"]));
            freeze_all_but(model, &set).map(drop)
        },
        "parameter `head.wieght` matches nothing in this model, did you mean `head.weight`?; it has \
         `embed.weight`, ",
    ),
];

fn refusals_leave_the_model_untouched(device: &Device) {
    let device = device.clone().autodiff();
    let mut model = adapted(&device, ForwardPath::Factored);
    let (state, before) = (slot_state(&model), params(&model));
    let output = model.output(ForwardPath::Factored);
    for (request, message) in REQUESTS {
        let error = request(&mut model).expect_err(message).to_string();
        println!("{error}");
        assert!(error.starts_with(message), "{error}\nexpected {message}");
        assert!(!error.ends_with('.'), "{error}");
        assert_eq!(slot_state(&model), state, "{error}");
        assert_eq!(params(&model), before, "{error}");
        assert_same(&model.output(ForwardPath::Factored), &output);
    }
}

/// No layer at all.
#[derive(Module, Debug)]
struct Norms {
    norm: LayerNorm,
}

fn a_model_without_layers_is_refused(device: &Device) {
    let mut model = Norms {
        norm: LayerNormConfig::new(4).init(device),
    };
    let error = LoraConfig::new(1, 1.0).attach(&mut model, "a");
    assert_eq!(error.map(drop), Err(PeftError::NoLayers));
}

fn the_weight_path_says_what_it_cannot_carry(device: &Device) {
    let mut model = Net::new(device);
    let ia3 = Ia3Config::new(Targets::suffixes(["v_proj", "q_proj"]));
    let error = ia3.attach(&mut model, "a").expect_err("a bias");
    assert_eq!(
        error.to_string(),
        "ia3 on `layers.0.q_proj` needs the factored path: it rescales the layer's bias too, which the weight does \
         not hold; if the model calls peft_core::linear for its layers, say so with ForwardPath::Factored"
    );
    assert!(slot_state(&model).is_empty());
    let ia3 = ia3.with_path(ForwardPath::Factored);
    ia3.attach(&mut model, "a").expect("it attaches");
    // Reading it in weight space after all is a fault of the model, found at once and not silently
    // wrong.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        model.output(ForwardPath::Weight)
    }));
    assert!(read.is_err());
    assert_eq!(model.output(ForwardPath::Factored).dims(), [2, 4, 5]);
}
