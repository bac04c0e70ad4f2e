//! `peft generate`.

use burn::module::Module;
use peft_store::GenerationDefaults;
use peft_train::{GenerateConfig, TextTokenizer, generate};

use super::{load, print_line};
use crate::args::GenerateArgs;
use crate::error::CliError;

/// Tokens at most, where neither the caller nor the model says.
const LIMIT: usize = 64;

pub(crate) fn run(args: &GenerateArgs) -> Result<(), CliError> {
    let (_, model, _) = load(&args.model, args.adapter.as_deref())?;
    let tokenizer = TextTokenizer::from_dir(&args.model.model)?;
    let prompt = tokenizer.encode(&args.prompt, true)?;
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
    print_line(tokenizer.decode(&ids)?)
}
