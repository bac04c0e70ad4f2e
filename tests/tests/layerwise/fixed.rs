//! Strategies of one stage: exactly what they name changes, and all of it.

use burn::tensor::Device;
use peft_core::{ForwardPath, Placed, Targets};
use peft_layerwise::{
    AllTrainable, AmongTrainable, BitFit, FreezeBottom, Full, Head, Matching, Norms, PeftError,
    Strategy, TopLayers, Union,
};
use peft_lora::LoraConfig;
use peft_models::DecoderForCausalLm;
use peft_train::{NextToken, SequenceClassification};

use super::paths::{Paths, all, decoder as d, encoder as e, paths};
use super::{Run, changed, decoder, encoder, texts};
use crate::fixture::filled_adapters;
use crate::training::{bits, config, examples};

peft_tests::cases!(
    exactly_what_is_named_changes_in_a_decoder,
    exactly_what_is_named_changes_in_an_encoder,
    a_tied_head_is_input,
    strategies_join_adapters,
);

type Made = Result<Box<dyn Strategy>, PeftError>;

fn boxed<S: Strategy + 'static>(strategy: Result<S, PeftError>) -> Made {
    Ok(Box::new(strategy?))
}

fn decoder_changes(model: DecoderForCausalLm, strategy: &dyn Strategy) -> Paths {
    let before = bits(&model);
    let rows = examples(8);
    let run = Run {
        objective: NextToken,
        rows: &rows,
        config: config(4, 2),
        strategy,
        cache: None,
        state: None,
    };
    changed(&before, run.of(model).bits.last().expect("a step"))
}

fn exactly_what_is_named_changes_in_a_decoder(device: &Device) {
    let model = decoder(false, device);
    let mlp = r"model\.layers\.[02]\.mlp\.up_proj";
    let cases: [(Made, Paths); 9] = [
        (boxed(Ok(Full)), d::every()),
        (
            boxed(Head::new(&model, ["lm_head"])),
            paths(["lm_head.weight"]),
        ),
        (
            boxed(TopLayers::new(&model, 1)),
            all([d::block(2), d::above()]),
        ),
        (
            boxed(TopLayers::new(&model, 3)),
            all([d::block(0), d::block(1), d::block(2), d::above()]),
        ),
        (
            boxed(FreezeBottom::new(&model, 1)),
            all([d::block(1), d::block(2), d::above()]),
        ),
        (boxed(FreezeBottom::new(&model, 3)), d::above()),
        (boxed(BitFit::new(&model)), d::biases()),
        (boxed(Norms::new(&model)), d::norms()),
        (
            boxed(Matching::new(&model, mlp)),
            paths([
                "model.layers.0.mlp.up_proj.weight",
                "model.layers.0.mlp.up_proj.bias",
                "model.layers.2.mlp.up_proj.weight",
                "model.layers.2.mlp.up_proj.bias",
            ]),
        ),
    ];
    for (strategy, expected) in cases {
        let strategy = strategy.expect("it fits");
        let found = decoder_changes(decoder(false, device), &strategy);
        assert_eq!(found, expected, "{}", strategy.settings());
    }
}

fn exactly_what_is_named_changes_in_an_encoder(device: &Device) {
    let model = encoder(device);
    let rows = texts(9);
    let norm_weights = || {
        e::norms()
            .into_iter()
            .filter(|path| path.ends_with("weight"))
    };
    let with_head = BitFit::new(&model).expect("biases");
    let with_head = Union::new(
        with_head,
        Head::new(&model, ["classifier"]).expect("a head"),
    );
    let cases: [(Made, Paths); 8] = [
        (boxed(Ok(Full)), e::every()),
        (
            boxed(Head::new(&model, ["classifier", "bert.pooler"])),
            e::above(),
        ),
        (
            boxed(TopLayers::new(&model, 2)),
            all([e::block(1), e::block(2), e::above()]),
        ),
        (
            boxed(FreezeBottom::new(&model, 2)),
            all([e::block(2), e::above()]),
        ),
        (boxed(Ok(with_head)), all([e::biases(), e::head()])),
        (boxed(Norms::new(&model)), e::norms()),
        (boxed(Norms::weights(&model)), norm_weights().collect()),
        (
            boxed(Matching::new(&model, r"bert\.embeddings\..*")),
            e::below(),
        ),
    ];
    for (strategy, expected) in cases {
        let strategy = strategy.expect("it fits");
        let model = encoder(device);
        let before = bits(&model);
        let run = Run {
            objective: SequenceClassification::default(),
            rows: &rows,
            config: config(3, 3),
            strategy: &strategy,
            cache: None,
            state: None,
        };
        let found = changed(&before, run.of(model).bits.last().expect("a step"));
        assert_eq!(found, expected, "{}", strategy.settings());
    }
    peft_tests::Invariant::Trains.verified("layer-wise", device);
    peft_tests::Invariant::Frozen.verified("layer-wise", device);
    peft_tests::Invariant::Selection.verified("layer-wise", device);
}

fn a_tied_head_is_input(device: &Device) {
    let model = decoder(true, device);
    let strategy = TopLayers::new(&model, 1).expect("it fits");
    let found = decoder_changes(model, &strategy);
    assert_eq!(found, all([d::block(2), paths(["model.norm.weight"])]));
}

fn strategies_join_adapters(device: &Device) {
    let adapted = || {
        let mut model = decoder(false, device);
        LoraConfig::new(3, 6.0)
            .with_targets(Targets::suffixes(["v_proj", "embed_tokens"]))
            .with_path(ForwardPath::Factored)
            .attach(&mut model, "0")
            .expect("it attaches");
        filled_adapters(model)
    };
    // The adapter's name is a number too: it is no layer's index.
    let on = |layer: &str, ends: [&str; 2]| {
        paths(ends.map(|end| format!("model.{layer}.weight.adapters.0.{end}")))
    };
    let lora = |i: usize| {
        on(
            &format!("layers.{i}.self_attn.v_proj"),
            ["lora_a", "lora_b"],
        )
    };
    let embedding = on("embed_tokens", ["lora_a", "lora_b"]);
    let model = adapted();
    let norms = Norms::new(&model).expect("it fits");
    let top = TopLayers::new(&model, 2).expect("it fits");
    let own = all([d::block(1), d::block(2), d::above()]);
    let adapters = all([lora(0), lora(1), lora(2), embedding]);
    let cases: [(Made, Paths); 4] = [
        (boxed(Ok(AllTrainable)), adapters.clone()),
        (
            boxed(Ok(Union::new(norms, AllTrainable))),
            all([d::norms(), adapters]),
        ),
        (
            boxed(Ok(AmongTrainable(top.clone()))),
            all([lora(1), lora(2)]),
        ),
        (boxed(Ok(top)), all([own, lora(1), lora(2)])),
    ];
    for (strategy, expected) in cases {
        let strategy = strategy.expect("it fits");
        let found = decoder_changes(adapted(), &strategy);
        assert_eq!(found, expected, "{}", strategy.settings());
    }
}
