//! `peft generate`.

use burn::module::Module;
use peft_store::{Checkpoint, CheckpointConfig, GenerationDefaults};
use peft_train::{EncodeSpecial, GenerateConfig, TextTokenizer, generate};
use serde_json::json;

use super::{eval::print, load, predict, print_line};
use crate::args::GenerateArgs;
use crate::error::CliError;

/// Tokens at most, where neither the caller nor the model says.
const LIMIT: usize = 64;

pub(crate) fn run(args: &GenerateArgs) -> Result<(), CliError> {
    if let CheckpointConfig::Encoder(_) = Checkpoint::open(&args.model.model)?.config() {
        return encode(args);
    }
    let (_, model, _) = load(&args.model, args.adapter.as_deref())?;
    let tokenizer = TextTokenizer::from_dir(&args.model.model)?;
    let prompt = tokenizer.encode(&args.prompt, EncodeSpecial::Begin)?;
    let defaults = GenerationDefaults::read(&args.model.model)?;
    let by_length = defaults.max_length.map(|n| n.saturating_sub(prompt.len()));
    let limit = args
        .max_new_tokens
        .or(defaults.max_new_tokens)
        .or(by_length);
    let config = GenerateConfig {
        max_new_tokens: limit.unwrap_or(LIMIT),
        temperature: args.temperature.unwrap_or(defaults.temperature),
        top_k: args.top_k.or(defaults.top_k),
        top_p: args.top_p.or(defaults.top_p),
        seed: args.seed,
        eos: tokenizer.eos().into_iter().chain(defaults.eos).collect(),
        repetition_penalty: defaults.repetition_penalty,
    };
    let ids = generate(&model.valid(), &prompt, &config, |_| {})?;
    let text = tokenizer.decode(&ids)?;
    match args.json {
        true => print_line(json!({ "text": text, "tokens": ids.len() })),
        false => print_line(text),
    }
}

/// What an encoder gives for the text.
fn encode(args: &GenerateArgs) -> Result<(), CliError> {
    let drawn = [
        ("max-new-tokens", args.max_new_tokens.is_some()),
        ("temperature", args.temperature.is_some()),
        ("top-k", args.top_k.is_some()),
        ("top-p", args.top_p.is_some()),
    ];
    if let Some((flag, _)) = drawn.iter().find(|(_, given)| *given) {
        return Err(CliError::Usage(format!(
            "--{flag} is for decoders; {} is an encoder, which gives a label or an embedding",
            args.model.model.display()
        )));
    }
    print(&predict::of(args)?, args.json)
}
