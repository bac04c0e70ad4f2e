//! `peft generate`.

use burn::module::Module;
use peft_train::{GenerateConfig, TextTokenizer, generate};

use super::{load, print_line};
use crate::args::GenerateArgs;
use crate::error::CliError;

pub(crate) fn run(args: &GenerateArgs) -> Result<(), CliError> {
    let (_, model, _) = load(&args.model, args.adapter.as_deref())?;
    let tokenizer = TextTokenizer::from_dir(&args.model.model)?;
    let prompt = tokenizer.encode(&args.prompt, true)?;
    let config = GenerateConfig {
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        seed: args.seed,
        eos: tokenizer.eos().into_iter().collect(),
        ..GenerateConfig::default()
    };
    let ids = generate(&model.valid(), &prompt, &config, |_| {})?;
    print_line(tokenizer.decode(&ids)?)
}
