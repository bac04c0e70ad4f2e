//! From the flags to an adapter.

use peft_core::{ForwardPath, Names, Targets, layers};
use peft_ia3::Ia3Config;
use peft_lora::{LoraConfig, LoraScaling};
use peft_models::LanguageModel;
use peft_store::AdapterConfig;

use crate::args::{Method, TrainArgs};

/// The output layer, which `all-linear` leaves out as PEFT does.
const OUTPUT_LAYER: &str = "lm_head";

/// The adapter that the flags ask for; none for full fine-tuning.
pub(super) fn adapter_config(args: &TrainArgs, model: &LanguageModel) -> Option<AdapterConfig> {
    let all_linear = args.targets == ["all-linear"];
    let mut exclude = args.exclude.clone();
    let mut targets = match all_linear {
        true => Targets::all_linear(),
        false => Targets::suffixes(args.targets.clone()),
    };
    if all_linear && layers(model).iter().any(|layer| layer.path == OUTPUT_LAYER) {
        exclude.push(OUTPUT_LAYER.into());
    }
    if !exclude.is_empty() {
        targets = targets.excluding(exclude);
    }
    if let Some(n) = args.last_layers {
        targets = targets.last(n);
    }
    match args.method {
        Method::Full => None,
        Method::Lora => {
            let alpha = args.alpha.unwrap_or(2.0 * args.rank as f64);
            let config = LoraConfig::new(args.rank, alpha)
                .with_targets(targets)
                .with_dropout(args.dropout)
                .with_scaling(if args.rslora {
                    LoraScaling::RankStabilised
                } else {
                    LoraScaling::Standard
                })
                .with_modules_to_save(args.modules_to_save.clone())
                .with_path(ForwardPath::Factored);
            Some(AdapterConfig::Lora(config))
        }
        Method::Ia3 => {
            let targets = match all_linear {
                true => Targets::suffixes(["k_proj", "v_proj", "down_proj"]),
                false => targets,
            };
            let config = Ia3Config::new(targets)
                .with_modules_to_save(args.modules_to_save.clone())
                .with_path(ForwardPath::Factored);
            let feedforward = all_linear || args.targets.iter().any(|name| name == "down_proj");
            Some(AdapterConfig::Ia3(match feedforward {
                true => config.with_feedforward(Names::suffixes(["down_proj"])),
                false => config,
            }))
        }
    }
}
