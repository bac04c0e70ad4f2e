//! From the flags to an adapter.

use peft_core::{ForwardPath, Placed, TokenChoice, TokenRowsConfig, has_suffix, layers};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixShape, Transformer};
use peft_ptuning::{PTuningConfig, PromptEncoderConfig, PromptInit, PromptTuningConfig};
use peft_store::{AdapterConfig, Checkpoint};
use peft_train::{EncodeSpecial, TextTokenizer};

use super::weights::{target_names, weights};
use crate::args::{EncoderArg, InitArg, Method, MethodArgs, TrainArgs};
use crate::commands::{OUTPUT_LAYER, check_memory};
use crate::error::CliError;

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
        method if method.adapts_weights() => weights(args, whole, checkpoint, model)?,
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
        _ => return Ok(None),
    }))
}

/// Whether the flags of an adapter name the output layer, as one of the targets or as what trains
/// whole.
pub(crate) fn names_output_layer(args: &TrainArgs) -> bool {
    let of = &args.of_method;
    let among = |entries: &[String]| entries.iter().any(|name| has_suffix(OUTPUT_LAYER, name));
    let whole = among(&of.modules_to_save);
    let method = args.method();
    if method.is_layerwise() {
        return false;
    }
    let target = || target_names(of).is_some_and(|names| names.has(OUTPUT_LAYER));
    whole || (method.adapts_weights() && target() && !among(&of.exclude))
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
