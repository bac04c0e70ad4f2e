//! Gradients do not depend on whether activations are kept or computed again: nothing here keeps a method from Burn's gradient checkpointing.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use peft_core::{ForwardPath, Targets};
use peft_ia3::Ia3Config;
use peft_lora::LoraConfig;
use peft_models::DecoderForCausalLm;
use peft_prefix::{PrefixConfig, Prefixed};
use peft_ptuning::{PTuningConfig, PromptEncoderConfig, PromptTuningConfig, Prompted};
use peft_train::{Batch, target_nll};

use crate::fixture::filled;
use crate::models::{spread, tiny};
use crate::training::examples;

peft_tests::cases!(gradients_are_those_without_it);

const NAME: &str = "default";

type Model = Prompted<Prefixed<DecoderForCausalLm>>;

/// Attaches a method.
type Attach = fn(&mut Model);

/// The methods by name.
const METHODS: [(&str, Attach); 6] = [
    ("lora", |model| {
        let config = LoraConfig::new(2, 4.0)
            .with_targets(Targets::all_linear())
            .with_path(ForwardPath::Factored);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("ia3", |model| {
        let config = Ia3Config::new(Targets::suffixes(["k_proj", "v_proj"]));
        drop(
            config
                .with_path(ForwardPath::Factored)
                .attach(model, NAME)
                .expect("it attaches"),
        );
    }),
    ("prompt tuning", |model| {
        drop(
            PromptTuningConfig::new(3)
                .attach(model, NAME)
                .expect("it attaches"),
        );
    }),
    ("p-tuning", |model| {
        let config = PTuningConfig::new(3).with_encoder(PromptEncoderConfig::LSTM);
        drop(config.attach(model, NAME).expect("it attaches"));
    }),
    ("prefix tuning", |model| {
        let config = PrefixConfig::new(3);
        drop(config.attach(&mut model.model, NAME).expect("it attaches"));
    }),
    ("projected prefix", |model| {
        let config = PrefixConfig::new(3).with_projection(5);
        drop(config.attach(&mut model.model, NAME).expect("it attaches"));
    }),
];

fn gradients_are_those_without_it(device: &Device) {
    let kept = device.clone().autodiff();
    let again = kept.clone().gradient_checkpointing();
    for (name, attach) in METHODS {
        let of = |device: &Device| -> BTreeMap<String, TensorData> {
            let mut model: Model = Prompted::new(Prefixed::new(spread(&tiny(), device)));
            attach(&mut model);
            let model = filled(model);
            let rows = examples(4);
            let batch = Batch::new(&rows.iter().collect::<Vec<_>>(), device);
            gradients(&model, &target_nll(&model, &batch).sum())
        };
        let (kept, again) = (of(&kept), of(&again));
        assert!(!kept.is_empty(), "{name}");
        assert_eq!(again, kept, "{name}");
    }
}

/// The gradient of each parameter that has one, by path.
fn gradients(model: &Model, loss: &Tensor<1>) -> BTreeMap<String, TensorData> {
    struct Read {
        path: Vec<String>,
        of: GradientsParams,
        found: BTreeMap<String, TensorData>,
    }
    impl ModuleVisitor for Read {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.of.get::<D>(param.id) {
                self.found.insert(self.path.join("."), gradient.into_data());
            }
        }
    }
    let mut read = Read {
        path: Vec::new(),
        of: GradientsParams::from_grads(loss.backward(), model),
        found: BTreeMap::new(),
    };
    model.visit(&mut read);
    read.found
}
