//! Soft prompts: what PEFT computes for them, what they do and leave alone, and their files.

mod acting;
mod configs;
mod files;
mod golden;
mod training;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use peft_models::DecoderForCausalLm;
use peft_ptuning::{PTuningConfig, PromptEncoderConfig, PromptTuningConfig, Prompted, SoftPrompt};

use crate::fixture::values;
use crate::models::{spread, tiny};

const NAME: &str = "default";
/// Virtual tokens.
const N: usize = 3;
const D_MODEL: usize = 12;
const VOCABULARY: usize = 23;

/// A decoder on an autodiff device without a prompt, the same at each call.
fn plain(device: &Device) -> Prompted<DecoderForCausalLm> {
    Prompted::new(spread(&tiny(), &device.clone().autodiff()))
}

/// With a prompt of prompt tuning.
fn prompted(device: &Device) -> Prompted<DecoderForCausalLm> {
    let mut model = plain(device);
    let config = PromptTuningConfig::new(N);
    config.attach(&mut model, NAME).expect("it attaches");
    filled_prompt(model)
}

/// With a prompt that an encoder makes.
fn encoded(encoder: PromptEncoderConfig, device: &Device) -> Prompted<DecoderForCausalLm> {
    let mut model = plain(device);
    let config = p_tuning(encoder);
    config.attach(&mut model, NAME).expect("it attaches");
    filled_prompt(model)
}

fn p_tuning(encoder: PromptEncoderConfig) -> PTuningConfig {
    PTuningConfig::new(N).with_encoder(encoder).with_hidden(5)
}

/// The parameters of the prompt given [`values`]: not drawn, since tests of other threads draw from
/// the same device.
fn filled_prompt<M: Module>(mut model: Prompted<M>) -> Prompted<M> {
    struct Fill(f32);
    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1.0;
            let seed = self.0;
            param.map(|tensor| {
                values(tensor.dims(), seed, &tensor.device())
                    .set_require_grad(tensor.is_require_grad())
            })
        }
    }
    model.input = model.input.map(|prompt| prompt.map(&mut Fill(20.0)));
    model
}

/// Vectors that matter, others for each seed.
fn vectors(n: usize, seed: f32, device: &Device) -> SoftPrompt {
    SoftPrompt::new(values([n, D_MODEL], seed, device))
}
