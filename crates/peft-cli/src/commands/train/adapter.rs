//! From the flags to an adapter.

use std::collections::BTreeSet;

use burn::module::Module;
use peft_core::{
    Choice, ForwardPath, LayerKind, Names, Targets, TokenChoice, TokenRowsConfig, has_suffix,
    layer_names, layers, parameters,
};
use peft_ia3::Ia3Config;
use peft_lora::{AdaLoraConfig, LoraConfig, LoraInit, LoraScaling};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixShape, Transformer};
use peft_ptuning::{PTuningConfig, PromptEncoderConfig, PromptInit, PromptTuningConfig};
use peft_store::{AdapterConfig, Checkpoint};
use peft_train::{EncodeSpecial, TextTokenizer};

use crate::args::{EncoderArg, InitArg, Method, MethodArgs, TrainArgs};
use crate::commands::{OUTPUT_LAYER, check_memory};
use crate::error::CliError;

/// What tells a regular expression over whole paths from suffixes.
const REGEX: &str = "regex:";

/// The adapter that the flags ask for, with `heads` trained whole; none for a method that trains
/// the model's own parameters.
pub(super) fn adapter_config<M: Transformer>(
    args: &TrainArgs,
    heads: &[String],
    checkpoint: &Checkpoint,
    tokenizer: &TextTokenizer,
    model: &M,
) -> Result<Option<AdapterConfig>, CliError> {
    let of = &args.of_method;
    let mut whole = of.modules_to_save.clone();
    whole.extend(
        heads
            .iter()
            .filter(|head| !of.modules_to_save.contains(head))
            .cloned(),
    );
    let n = of.n_virtual_tokens(args.method());
    // With what the tokenizer puts around a text, as PEFT has it.
    let tokens = |text: &str| tokenizer.encode(text, EncodeSpecial::Both);
    check_inputs(args, model)?;
    Ok(Some(match args.method() {
        Method::Lora | Method::Adalora | Method::Ia3 => weights(args, whole, checkpoint, model)?,
        Method::TrainableTokens => {
            let choice = token_choice(of).ok_or_else(|| {
                let what = "--method trainable-tokens trains rows of the embedding; give their numbers, --token-ids 5,17";
                CliError::Usage(what.into())
            })?;
            let layers = layers(model);
            let path = choice.layer(&layers)?.path.clone();
            let config = TokenRowsConfig::new(choice.tokens, path).with_whole_modules(whole);
            AdapterConfig::TokenRows(config.with_path(ForwardPath::Factored))
        }
        Method::PromptTuning => {
            let init = match &of.prompt_init {
                None | Some(InitArg::Vocab) => PromptInit::Vocabulary,
                Some(InitArg::Random) => PromptInit::Random,
                Some(InitArg::Text(text)) => PromptInit::Tokens(tokens(text)?),
            };
            let config = PromptTuningConfig::new(n).with_init(init);
            AdapterConfig::PromptTuning(config.with_whole_modules(whole))
        }
        Method::PTuning => {
            let encoder = match of.encoder {
                Some(EncoderArg::Lstm) => PromptEncoderConfig::LSTM,
                Some(EncoderArg::Mlp) | None => PromptEncoderConfig::Mlp,
            };
            let config = PTuningConfig::new(n).with_encoder(encoder);
            let config = match of.encoder_hidden {
                Some(hidden) => config.with_hidden(hidden),
                None => config,
            };
            AdapterConfig::PTuning(config.with_whole_modules(whole))
        }
        Method::PrefixTuning => {
            let init = match &of.prompt_init {
                None | Some(InitArg::Random) => PrefixInit::Random,
                Some(InitArg::Vocab) => {
                    return Err(CliError::Usage(
                        "--prompt-init vocab is for prompt-tuning; a prefix starts from `random` or from `text:` and a text".into(),
                    ));
                }
                Some(InitArg::Text(text)) => PrefixInit::Tokens(tokens(text)?),
            };
            let config = PrefixConfig::new(n).with_init(init);
            let config = match of.prefix_projection {
                true => {
                    let width = PrefixShape::of(model).width();
                    config.with_projection(of.encoder_hidden.unwrap_or(width))
                }
                false => config,
            };
            AdapterConfig::Prefix(config.with_whole_modules(whole))
        }
        Method::Full
        | Method::Head
        | Method::TopLayers
        | Method::FreezeBottom
        | Method::Bitfit
        | Method::Norms
        | Method::Matching
        | Method::Gradual
        | Method::Lisa
        | Method::Badam => return Ok(None),
    }))
}

/// Whether the flags of an adapter name the output layer, as one of the targets or as what trains
/// whole.
pub(crate) fn names_output_layer(args: &TrainArgs) -> bool {
    let of = &args.of_method;
    let among = |entries: &[String]| entries.iter().any(|name| has_suffix(OUTPUT_LAYER, name));
    let whole = among(&of.modules_to_save);
    match args.method() {
        Method::Lora | Method::Adalora | Method::Ia3 => {
            let target = target_names(of).is_some_and(|names| names.has(OUTPUT_LAYER));
            whole || (target && !among(&of.exclude))
        }
        Method::TrainableTokens | Method::PromptTuning | Method::PTuning | Method::PrefixTuning => {
            whole
        }
        Method::Full
        | Method::Head
        | Method::TopLayers
        | Method::FreezeBottom
        | Method::Bitfit
        | Method::Norms
        | Method::Matching
        | Method::Gradual
        | Method::Lisa
        | Method::Badam => false,
    }
}

/// The names by which the flags choose layers; none for all linear ones.
fn target_names(of: &MethodArgs) -> Option<Names> {
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
    if args.method() == Method::Ia3 {
        let config = Ia3Config::new(targets)
            .with_whole_modules(whole)
            .with_path(ForwardPath::Factored);
        let inputs = || Names::suffixes(family.ia3_feedforward.iter().copied());
        return Ok(AdapterConfig::Ia3(match feedforward {
            true => config.with_feedforward(inputs()),
            false => config,
        }));
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
    if args.method() == Method::Adalora {
        let config = AdaLoraConfig::new(rank, last, alpha)
            .with_targets(targets)
            .with_dropout(of.dropout.unwrap_or(0.0))
            .with_orthogonal_weight(of.orthogonal_weight.unwrap_or(0.5))
            .with_whole_modules(whole)
            .with_path(ForwardPath::Factored);
        return Ok(AdapterConfig::AdaLora(config));
    }
    let mut config = LoraConfig::new(rank, alpha)
        .with_targets(targets)
        .with_dropout(of.dropout.unwrap_or(0.0))
        .with_scaling(match of.rslora {
            true => LoraScaling::RankStabilised,
            false => LoraScaling::Standard,
        })
        .with_dora(of.dora)
        .with_lora_bias(of.lora_bias)
        .with_freeze_a(of.lora_fa)
        .with_init(of.lora_init.map_or_else(LoraInit::default, |init| init.0))
        .with_whole_modules(whole)
        .with_path(ForwardPath::Factored);
    config.placement.token_rows = token_choice(&of);
    Ok(AdapterConfig::Lora(config))
}

/// The rows of the embedding that the flags name.
pub(crate) fn token_choice(of: &MethodArgs) -> Option<TokenChoice> {
    // One that is larger is beyond every vocabulary.
    let tokens = of.token_ids.iter();
    let tokens = tokens.map(|token| u32::try_from(*token).unwrap_or(u32::MAX));
    (!of.token_ids.is_empty()).then(|| TokenChoice::new(tokens))
}

/// Whether the machine holds the encoder of a prompt or a prefix.
fn check_inputs<M: Transformer>(args: &TrainArgs, model: &M) -> Result<(), CliError> {
    let of = &args.of_method;
    let Some(hidden) = of.encoder_hidden else {
        return Ok(());
    };
    let shapes = if args.method() == Method::PTuning {
        let width = model.d_model();
        let mut shapes = vec![vec![width, hidden], vec![hidden, width]];
        match of.encoder {
            // Two layers in both directions, of four gates each.
            Some(EncoderArg::Lstm) => {
                shapes.extend([vec![8, width, hidden], vec![40, hidden, hidden]]);
            }
            Some(EncoderArg::Mlp) | None => shapes.push(vec![hidden, hidden]),
        }
        shapes
    } else {
        let shape = PrefixShape::of(model);
        vec![
            vec![shape.width(), hidden],
            vec![hidden, shape.flat_width()],
        ]
    };
    let what = format!("--encoder-hidden {hidden}, with its gradients and moments,");
    check_memory(&args.model, &what, &shapes)
}
