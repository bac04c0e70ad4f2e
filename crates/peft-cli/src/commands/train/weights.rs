//! From the flags to an adapter of weights.

use std::collections::BTreeSet;

use burn::module::Module;
use peft_core::{
    Choice, ForwardPath, LayerKind, Names, Targets, has_suffix, layer_names, parameters,
};
use peft_ia3::Ia3Config;
use peft_lora::{
    AdaLoraConfig, DeloraConfig, GraloraConfig, HiraConfig, LoraConfig, LoraInit, LoraScaling,
    MissConfig, ShiraConfig,
};
use peft_lycoris::{LoHaConfig, LoKrConfig, LycorisSettings};
use peft_oft::{Blocks, BoftConfig, Cayley, HraConfig, OftConfig, RoadConfig, RoadVariant};
use peft_spectral::{C3aConfig, FourierFtConfig, SpectrumSettings, WaveFtConfig};
use peft_store::{AdapterConfig, Checkpoint};
use peft_vera::{RandLoraConfig, VbloraConfig, VeraConfig};

use super::adapter::token_choice;
use crate::args::{Method, MethodArgs, TrainArgs, VariantArg};
use crate::commands::{OUTPUT_LAYER, check_memory};
use crate::error::CliError;

/// What tells a regular expression over whole paths from suffixes.
const REGEX: &str = "regex:";

/// The names by which the flags choose layers; none for all linear ones.
pub(super) fn target_names(of: &MethodArgs) -> Option<Names> {
    // One expression, put together again where it has a comma; PEFT takes a string for one too.
    let joined = of.targets.join(",");
    match joined.strip_prefix(REGEX) {
        Some(pattern) => Some(Names::Regex(pattern.into())),
        None if of.targets.is_empty() || of.targets == ["all-linear"] => None,
        None => Some(Names::suffixes(of.targets.clone())),
    }
}

/// An adapter of weights.
pub(crate) fn weights<M: Module>(
    args: &TrainArgs,
    whole: Vec<String>,
    checkpoint: &Checkpoint,
    model: &M,
) -> Result<AdapterConfig, CliError> {
    let of = &args.of_method;
    // The model may be lazy, and stays so.
    let all = layer_names(model);
    let paths: Vec<String> = all.iter().map(|(path, _)| path.clone()).collect();
    let family = checkpoint.family_targets();
    let names = target_names(of);
    let mut exclude = of.exclude.clone();
    let mut targets = match (&names, args.method()) {
        (None, Method::Ia3) => Targets::suffixes(family.ia3.iter().copied()),
        (None, _) => {
            if paths.iter().any(|path| path == OUTPUT_LAYER) {
                exclude.push(OUTPUT_LAYER.into());
            }
            Targets::all_linear()
        }
        (Some(names), _) => Targets::new(Choice::Names(names.clone())),
    };
    // A feed-forward layer that is a target at all is one by its input.
    let feedforward = paths.iter().any(|path| {
        family
            .ia3_feedforward
            .iter()
            .any(|name| has_suffix(path, name))
            && names.as_ref().is_none_or(|names| names.has(path))
            && !exclude.iter().any(|entry| has_suffix(path, entry))
    });
    if !exclude.is_empty() {
        targets = targets.excluding(exclude);
    }
    if let Some(n) = of.last_layers {
        targets = targets.last(n);
    }
    let mut of = of.clone();
    of.complete(args.method());
    let (last, alpha) = (of.rank.unwrap_or_default(), of.alpha.unwrap_or_default());
    let rank = of.init_rank.unwrap_or(last);
    let adapted = all.iter().filter(|(path, kind)| match &names {
        Some(names) => names.has(path),
        None => *kind == LayerKind::Linear,
    });
    let adapted: BTreeSet<String> = adapted.map(|(path, _)| format!("{path}.weight")).collect();
    let shapes: Vec<Vec<usize>> = parameters(model)
        .into_iter()
        .filter(|param| adapted.contains(&param.path))
        .flat_map(|param| param.shape)
        .map(|side| vec![side, rank])
        .collect();
    check_memory(
        &args.model,
        &format!("--rank {rank}, with its gradients and moments,"),
        &shapes,
    )?;
    let dropout = of.dropout.unwrap_or(0.0);
    let mut config: AdapterConfig = match args.method() {
        Method::Ia3 => {
            let config = Ia3Config::new(targets.clone());
            let inputs = || Names::suffixes(family.ia3_feedforward.iter().copied());
            match feedforward {
                true => config.with_feedforward(inputs()).into(),
                false => config.into(),
            }
        }
        Method::Adalora => AdaLoraConfig::new(rank, last, alpha)
            .with_dropout(dropout)
            .with_orthogonal_weight(of.orthogonal_weight.unwrap_or(0.5))
            .into(),
        Method::Loha => LoHaConfig {
            settings: lycoris(&of, rank, alpha),
        }
        .into(),
        Method::Lokr => {
            let mut config = LoKrConfig::new(rank, alpha)
                .with_factor(of.sibling.factor)
                .with_decompose_both(of.sibling.decompose_both);
            config.settings = lycoris(&of, rank, alpha);
            config.into()
        }
        Method::Vera => VeraConfig {
            saves_projection: !of.sibling.no_save_projection,
            ..VeraConfig::new(rank)
        }
        .with_dropout(dropout)
        .with_seed(of.sibling.projection_seed.unwrap_or(0))
        .into(),
        Method::Randlora => RandLoraConfig::new(rank, alpha)
            .with_dropout(dropout)
            .with_seed(of.sibling.projection_seed.unwrap_or(0))
            .into(),
        Method::Vblora => {
            let of = &of.sibling;
            let largest = || largest_block(shapes.iter().map(|shape| shape[0]));
            let length = of.vector_length.unwrap_or_else(largest);
            VbloraConfig::new(rank)
                .with_bank(of.vectors.unwrap_or(256), length)
                .with_top_k(of.top_k.unwrap_or(2))
                .with_saves_top_k(of.save_only_top_k)
                .with_dropout(dropout)
                .into()
        }
        Method::Oft => OftConfig::new(Blocks::Size(of.sibling.block_size.unwrap_or(32)))
            .with_share(of.sibling.share_blocks)
            .with_cayley(match of.sibling.exact {
                true => Cayley::Exact,
                false => Cayley::Series(5),
            })
            .into(),
        Method::Boft => BoftConfig::new(Blocks::Size(of.sibling.block_size.unwrap_or(4)))
            .with_factors(of.sibling.butterfly_factors.unwrap_or(1))
            .into(),
        Method::Hra => HraConfig::new(rank).into(),
        Method::Road => RoadConfig::new(of.sibling.group_size.unwrap_or(64))
            .with_variant(match of.sibling.variant {
                Some(VariantArg::Pair) | None => RoadVariant::Pair,
                Some(VariantArg::Output) => RoadVariant::Output,
                Some(VariantArg::Both) => RoadVariant::Both,
            })
            .into(),
        Method::Miss => MissConfig::new(rank)
            .with_columns(of.sibling.block_columns)
            .with_dropout(dropout)
            .into(),
        Method::Hira => HiraConfig::new(rank).with_dropout(dropout).into(),
        Method::Delora => DeloraConfig::new(rank)
            .with_lambda(of.sibling.lambda.unwrap_or(15.0))
            .with_dropout(dropout)
            .into(),
        Method::Gralora => GraloraConfig::new(rank, alpha)
            .with_blocks(of.sibling.blocks.unwrap_or(2))
            .with_hybrid_rank(of.sibling.hybrid_rank.unwrap_or(0))
            .with_dropout(dropout)
            .into(),
        Method::Shira => ShiraConfig::new(rank)
            .with_seed(of.sibling.projection_seed)
            .into(),
        Method::Fourierft => FourierFtConfig {
            settings: spectrum(&of, (1000, 150.0)),
        }
        .into(),
        Method::C3a => {
            let largest = || largest_block(shapes.iter().map(|shape| shape[0]));
            C3aConfig::new(of.sibling.block_size.unwrap_or_else(largest)).into()
        }
        Method::Waveft => {
            let settings = spectrum(&of, (2592, 25.0));
            let wave = WaveFtConfig {
                settings,
                ..WaveFtConfig::new(1, 1.0)
            };
            let basis = of.sibling.wavelet.unwrap_or(wave.basis);
            wave.with_basis(basis)
                .with_proportional(of.sibling.proportional)
                .into()
        }
        _ => LoraConfig::new(rank, alpha)
            .with_dropout(dropout)
            .with_scaling(match of.rslora {
                true => LoraScaling::RankStabilised,
                false => LoraScaling::Standard,
            })
            .with_dora(of.dora)
            .with_lora_bias(of.lora_bias)
            .with_freeze_a(of.lora_fa)
            .with_init(of.lora_init.map_or_else(LoraInit::default, |init| init.0))
            .into(),
    };
    if let Some(placement) = config.placement_mut() {
        placement.targets = targets;
        placement.whole_modules = whole;
        placement.path = ForwardPath::Factored;
        placement.token_rows = token_choice(&of);
    }
    Ok(config)
}

fn lycoris(of: &MethodArgs, rank: usize, alpha: f64) -> LycorisSettings {
    LycorisSettings {
        rank_dropout: of.sibling.rank_dropout.unwrap_or(0.0),
        module_dropout: of.sibling.module_dropout.unwrap_or(0.0),
        ..LycorisSettings::new(rank, alpha)
    }
}

fn spectrum(of: &MethodArgs, (coefficients, scaling): (usize, f64)) -> SpectrumSettings {
    let coefficients = of.sibling.coefficients.unwrap_or(coefficients);
    let mut settings = SpectrumSettings::new(coefficients, of.sibling.scaling.unwrap_or(scaling));
    if let Some(seed) = of.sibling.projection_seed {
        settings.seed = seed;
    }
    settings
}

/// The largest side of a block up to 256 that divides all of these.
fn largest_block(mut sides: impl Iterator<Item = usize> + Clone) -> usize {
    let first = sides.next().unwrap_or(1).max(1);
    let divides = |block: &usize| {
        let mut sides = sides.clone();
        first.is_multiple_of(*block) && sides.all(|side| side.is_multiple_of(*block))
    };
    (1..=256).rev().find(divides).unwrap_or(1)
}
