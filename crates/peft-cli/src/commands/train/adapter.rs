//! From the flags to an adapter.

use burn::module::Module;
use peft_core::{ForwardPath, Names, Targets, has_suffix, layers};
use peft_ia3::Ia3Config;
use peft_lora::{LoraConfig, LoraScaling};
use peft_store::{AdapterConfig, Checkpoint};

use crate::args::{Method, TrainArgs};
use crate::commands::OUTPUT_LAYER;

/// The adapter that the flags ask for, with `heads` trained whole; none for full fine-tuning.
pub(super) fn adapter_config<M: Module>(
    args: &TrainArgs,
    heads: &[String],
    checkpoint: &Checkpoint,
    model: &M,
) -> Option<AdapterConfig> {
    let paths: Vec<String> = layers(model).into_iter().map(|layer| layer.path).collect();
    let family = checkpoint.family_targets();
    let all_linear = args.targets == ["all-linear"];
    let mut exclude = args.exclude.clone();
    let mut targets = match (all_linear, args.method) {
        (true, Method::Ia3) => Targets::suffixes(family.ia3.iter().copied()),
        (true, _) => {
            if paths.iter().any(|path| path == OUTPUT_LAYER) {
                exclude.push(OUTPUT_LAYER.into());
            }
            Targets::all_linear()
        }
        (false, _) => Targets::suffixes(args.targets.clone()),
    };
    // A feed-forward layer that is a target at all is one by its input.
    let feedforward = paths.iter().any(|path| {
        let named = |entries: &[String]| entries.iter().any(|entry| has_suffix(path, entry));
        family
            .ia3_feedforward
            .iter()
            .any(|name| has_suffix(path, name))
            && (all_linear || named(&args.targets))
            && !named(&exclude)
    });
    let mut whole = args.modules_to_save.clone();
    whole.extend(
        heads
            .iter()
            .filter(|head| !args.modules_to_save.contains(head))
            .cloned(),
    );
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
                .with_modules_to_save(whole)
                .with_path(ForwardPath::Factored);
            Some(AdapterConfig::Lora(config))
        }
        Method::Ia3 => {
            let config = Ia3Config::new(targets)
                .with_modules_to_save(whole)
                .with_path(ForwardPath::Factored);
            Some(AdapterConfig::Ia3(match feedforward {
                true => {
                    config.with_feedforward(Names::suffixes(family.ia3_feedforward.iter().copied()))
                }
                false => config,
            }))
        }
    }
}
