//! `peft generate`.

use burn::module::Module;
use peft_models::Transformer;
use peft_store::{CheckpointConfig, GenerationDefaults, GenerationFlags, GenerationSettings};
use peft_train::{GenerateConfig, TextTokenizer, TokenRules, TrainError, generate};
use serde_json::{Value, json};

use super::not_finite::not_finite;
use super::prompt::Prompt;
use super::tokenizer::tokenizer;
use super::{eval::print, load, predict, print_line};
use crate::args::GenerateArgs;
use crate::error::CliError;
use crate::say::say;

/// Tokens at most, where neither the caller nor the model says.
const LIMIT: usize = 64;

pub(crate) fn run(args: &GenerateArgs) -> Result<(), CliError> {
    let checkpoint = super::opened(&args.model)?;
    if let CheckpointConfig::Encoder(_) = checkpoint.config() {
        return encode(args);
    }
    let (tokenizer, _) = tokenizer(
        &checkpoint,
        args.adapter.as_deref(),
        args.model.tokenizer.as_deref(),
    )?;
    let ends = tokenizer.check_end(checkpoint.config().vocab_size())?;
    let prompt = Prompt::of(args, &tokenizer)?;
    let settings = GenerationDefaults::read(checkpoint.folder())?.with(&GenerationFlags {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        max_new_tokens: args.max_new_tokens,
    })?;
    let (_, model, _) = load(&args.model, args.adapter.as_deref())?;
    for note in ends.iter().chain(&settings.notes).chain(&prompt.notes) {
        say!("{note}");
    }
    let (limit, said) = limit(&settings, prompt.ids.len());
    let config = config(&settings, limit, &tokenizer, args.seed);
    let positions = model.max_positions();
    let ids = match generate(&model.valid(), &prompt.ids, &config, |_| {}) {
        Err(error @ TrainError::NotFiniteLogits { .. }) => {
            let adapter = args.adapter.as_deref();
            let without = || {
                let (_, base, _) = load(&args.model, None)?;
                Ok(generate(&base.valid(), &prompt.ids, &config, |_| {}).is_ok())
            };
            return Err(not_finite(error.to_string(), adapter, without));
        }
        ids => ids?,
    };
    let text = tokenizer.decode(&ids)?;
    if text.trim().is_empty() {
        say!("{}", empty(&ids, limit, &prompt));
    } else if ids.len() == limit && !said {
        say!(
            "cut at {limit} new tokens, the limit where neither you nor the model says; --max-new-tokens sets another"
        );
    } else if prompt.ids.len() + ids.len() > positions {
        say!("cut at the {positions} tokens that the model takes");
    }
    match args.json {
        true => print_line(json!({ "text": text, "tokens": ids.len() })),
        false => print_line(text),
    }
}

fn config(
    settings: &GenerationSettings,
    max_new_tokens: usize,
    tokenizer: &TextTokenizer,
    seed: u64,
) -> GenerateConfig {
    GenerateConfig {
        max_new_tokens,
        temperature: settings.temperature,
        top_k: settings.top_k,
        top_p: settings.top_p,
        min_p: settings.min_p,
        repetition_penalty: settings.repetition_penalty,
        rules: TokenRules {
            no_repeat_ngram_size: settings.no_repeat_ngram_size,
            bad_words: settings.bad_words.clone(),
            suppressed: settings.suppressed.clone(),
            suppressed_first: settings.suppressed_first.clone(),
            min_length: settings.min_length,
            min_new_tokens: settings.min_new_tokens,
        },
        seed,
        eos: tokenizer.stops().to_vec(),
    }
}

/// How many tokens at most, and whether the caller or the model says so. A length of all that the
/// prompt has reached already says nothing.
fn limit(settings: &GenerationSettings, prompt: usize) -> (usize, bool) {
    let left = settings.max_length.map(|all| all.saturating_sub(prompt));
    let said = settings.max_new_tokens.or(left.filter(|left| *left > 0));
    (said.unwrap_or(LIMIT), said.is_some())
}

/// Why there is no text.
fn empty(ids: &[u32], limit: usize, prompt: &Prompt) -> String {
    match (ids.len(), limit, prompt.raw_of_chat) {
        (_, 0, _) => "no token was asked for".into(),
        (0, _, true) => "the model ended at once: it is an instruct model, whose turns are written by its chat template; without --raw the prompt is a user's turn".into(),
        (0, _, false) => "the model ended at once: the first token after the prompt is the end of the text".into(),
        (n, _, _) => format!("the model gave {n} tokens, all of them special or white space"),
    }
}

/// What an encoder gives for the text.
fn encode(args: &GenerateArgs) -> Result<(), CliError> {
    let of_decoders = [
        ("max-new-tokens", args.max_new_tokens.is_some()),
        ("temperature", args.temperature.is_some()),
        ("top-k", args.top_k.is_some()),
        ("top-p", args.top_p.is_some()),
        ("min-p", args.min_p.is_some()),
        ("system", args.system.is_some()),
        ("messages", args.messages.is_some()),
        ("raw", args.raw),
    ];
    if let Some((flag, _)) = of_decoders.iter().find(|(_, given)| *given) {
        return Err(CliError::Usage(format!(
            "--{flag} is for decoders; {} is an encoder, which gives a label or an embedding",
            args.model.model.display()
        )));
    }
    let found = predict::of(args)?;
    if is_finite(&found) {
        return print(&found, args.json);
    }
    let without = || {
        let base = GenerateArgs {
            adapter: None,
            ..args.clone()
        };
        Ok(is_finite(&predict::of(&base)?))
    };
    let what = "what the model says of the text is no finite number";
    Err(not_finite(what, args.adapter.as_deref(), without))
}

/// Whether all numbers are finite: JSON has null for others, and nothing else is null.
fn is_finite(found: &Value) -> bool {
    match found {
        Value::Null => false,
        Value::Array(list) => list.iter().all(is_finite),
        Value::Object(map) => map.values().all(is_finite),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
