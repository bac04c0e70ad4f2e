//! Gradients do not depend on whether activations are kept or computed again: nothing here keeps a
//! method from Burn's gradient checkpointing.

use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use peft_conformance::{Invariant, with_gradient};
use peft_core::{ForwardPath, Names, ParamSet, Placed, Targets, freeze_all_but, train_whole};
use peft_ia3::Ia3Config;
use peft_lora::{
    AdaLoraConfig, DeloraConfig, GraloraConfig, HiraConfig, LoraConfig, MissConfig, ShiraConfig,
};
use peft_lycoris::{LoHaConfig, LoKrConfig};
use peft_models::DecoderForCausalLm;
use peft_oft::{Blocks, BoftConfig, HraConfig, OftConfig, RoadConfig};
use peft_prefix::{PrefixConfig, Prefixed};
use peft_ptuning::{PTuningConfig, PromptEncoderConfig, PromptTuningConfig, Prompted};
use peft_spectral::{C3aConfig, FourierFtConfig, WaveFtConfig};
use peft_train::{Batch, target_nll};
use peft_vera::{RandLoraConfig, VbloraConfig, VeraConfig};

use crate::fixture::filled;
use crate::models::{spread, tiny};
use crate::training::examples;

peft_tests::cases!(gradients_are_those_without_it);

const NAME: &str = "default";

pub(crate) type Model = Prompted<Prefixed<DecoderForCausalLm>>;

/// Attaches a method.
pub(crate) type Attach = fn(&mut Model);

/// The methods by name, and by the column of the table that they are in.
pub(crate) const METHODS: [(&str, &str, Attach); 27] = [
    ("lora", "lora", |model| {
        let config = LoraConfig::new(2, 4.0)
            .with_targets(Targets::all_linear())
            .with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("dora", "dora", |model| {
        let config = LoraConfig::new(2, 4.0)
            .with_dora(true)
            .with_targets(Targets::all_linear())
            .with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("adalora", "adalora", |model| {
        let config = AdaLoraConfig::new(3, 2, 4.0)
            .with_targets(Targets::all_linear())
            .with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("loha", "loha", |model| {
        let config = LoHaConfig::new(2, 4.0).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("lokr", "lokr", |model| {
        let config = LoKrConfig::new(1, 4.0).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("vera", "vera", |model| {
        let config = VeraConfig::new(3).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("randlora", "randlora", |model| {
        let config = RandLoraConfig::new(3, 6.0).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("vblora", "vblora", |model| {
        let config = VbloraConfig::new(2)
            .with_bank(7, 2)
            .with_targets(Targets::suffixes(["q_proj", "v_proj"]))
            .with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("oft", "oft", |model| {
        let config = OftConfig::new(Blocks::Size(4)).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("boft", "boft", |model| {
        let config = BoftConfig::new(Blocks::Number(1)).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("hra", "hra", |model| {
        let config = HraConfig::new(2).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("road", "road", |model| {
        let config = RoadConfig::new(2)
            .with_targets(Targets::suffixes(["q_proj", "down_proj"]))
            .with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("miss", "miss", |model| {
        let config = MissConfig::new(3).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("hira", "hira", |model| {
        let config = HiraConfig::new(2).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("delora", "delora", |model| {
        let config = DeloraConfig::new(2).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("gralora", "gralora", |model| {
        let config = GraloraConfig::new(2, 4.0)
            .with_targets(Targets::suffixes(["q_proj", "v_proj"]))
            .with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("shira", "shira", |model| {
        let config = ShiraConfig::new(1).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("fourierft", "fourierft", |model| {
        let config = FourierFtConfig::new(5, 40.0).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("c3a", "c3a", |model| {
        let config = C3aConfig::new(2)
            .with_targets(Targets::suffixes(["q_proj", "v_proj"]))
            .with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("waveft", "waveft", |model| {
        let config = WaveFtConfig::new(8, 3.0).with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("ia3", "ia3", |model| {
        let config = Ia3Config::new(Targets::suffixes(["k_proj", "v_proj"]));
        drop(
            config
                .with_path(ForwardPath::Factored)
                .attach(model, NAME)
                .expect("it attaches"),
        );
    }),
    ("prompt tuning", "prompt tuning", |model| {
        drop(
            PromptTuningConfig::new(3)
                .attach(model, NAME)
                .expect("it attaches"),
        );
    }),
    ("p-tuning", "p-tuning", |model| {
        let config = PTuningConfig::new(3).with_encoder(PromptEncoderConfig::LSTM);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("prefix tuning", "prefix tuning", |model| {
        let config = PrefixConfig::new(3);
        drop(config.attach(&mut model.model, NAME).expect("it attaches"));
    }),
    ("projected prefix", "prefix tuning", |model| {
        let config = PrefixConfig::new(3).with_projection(5);
        drop(config.attach(&mut model.model, NAME).expect("it attaches"));
    }),
    ("copies", "whole", |model| {
        let modules = ["norm", "q_proj"].map(str::to_owned);
        drop(train_whole(model, NAME, &modules).expect("they are there"));
    }),
    ("the top layers", "layer-wise", |model| {
        let above = Names::Regex(r"model\.layers\.1|model\.norm|lm_head".into());
        drop(freeze_all_but(model, &ParamSet::Names(above)).expect("they are there"));
    }),
];

fn gradients_are_those_without_it(device: &Device) {
    let kept = device.clone().autodiff();
    let again = kept.clone().gradient_checkpointing();
    for (name, method, attach) in METHODS {
        let of = |device: &Device| -> BTreeMap<String, TensorData> {
            let mut model: Model = Prompted::new(Prefixed::new(spread(&tiny(), device)));
            attach(&mut model);
            let model = filled(model);
            let rows = examples(4);
            let batch = Batch::new(&rows.iter().collect::<Vec<_>>(), device);
            with_gradient(&model, &target_nll(&model, &batch).sum())
        };
        let (kept, again) = (of(&kept), of(&again));
        assert!(!kept.is_empty(), "{name}");
        assert_eq!(again, kept, "{name}");
        Invariant::Checkpointing.verified(method, device);
    }
}
