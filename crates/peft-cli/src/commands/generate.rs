//! `peft generate`.

use burn::module::Module;
use peft_models::Transformer;
use peft_store::{CheckpointConfig, GenerationDefaults, GenerationSettings};
use peft_train::{ReadText, TrainError, generate};
use serde_json::{Value, json};

use super::answer::{Answer, Shown, answer, generate_config};
use super::not_finite::not_finite;
use super::prompt::Prompt;
use super::tokenizer::tokenizer;
use super::{encoded, eval::print, load, load_all, print_line};
use crate::args::{AdaptersArgs, GenerateArgs};
use crate::error::CliError;
use crate::say::say;

/// Tokens at most, where neither the caller nor the model says.
pub(super) const LIMIT: usize = 64;

pub(crate) fn run(args: &GenerateArgs) -> Result<(), CliError> {
    let flags = args.sampling.flags()?;
    let checkpoint = super::opened(&args.model)?;
    if let CheckpointConfig::Encoder(_) = checkpoint.config() {
        return encode(args);
    }
    let (tokenizer, _) = tokenizer(
        &checkpoint,
        args.adapters.first(),
        args.model.tokenizer.as_deref(),
    )?;
    let ends = tokenizer.check_end(checkpoint.config().vocab_size())?;
    let prompt = Prompt::of(args, &tokenizer)?;
    let settings = GenerationDefaults::read(checkpoint.folder())?.with(&flags)?;
    let (_, model, _) = load_all(&args.model, &args.adapters)?;
    for note in ends.iter().chain(&settings.notes).chain(&prompt.notes) {
        say!("{note}");
    }
    let (limit, said) = limit(&settings, prompt.ids.len());
    let config = generate_config(&settings, limit, &tokenizer, args.sampling.seed);
    let positions = model.max_positions();
    let mut shown = Shown::new(!args.json);
    let answered = answer(
        &model.valid(),
        &mut ReadText::default(),
        &prompt.ids,
        &config,
        &tokenizer,
        |piece| shown.put(piece),
    );
    let Answer { text, tokens, .. } = match answered {
        Err(CliError::Train(error @ TrainError::NotFiniteLogits { .. })) => {
            let adapter = args.adapters.first();
            let without = || {
                let (_, base, _) = load(&args.model, None)?;
                Ok(generate(&base.valid(), &prompt.ids, &config, |_| {}).is_ok())
            };
            return Err(not_finite(error.to_string(), adapter, without));
        }
        answered => answered?,
    };
    shown.end()?;
    if text.trim().is_empty() {
        say!("{}", empty(tokens, &prompt));
    } else if tokens == limit && !said {
        say!(
            "cut at {limit} new tokens, the limit where neither you nor the model says; --max-new-tokens sets another"
        );
    } else if prompt.ids.len() + tokens > positions {
        say!("cut at the {positions} tokens that the model takes");
    }
    match args.json {
        true => print_line(json!({ "text": text, "tokens": tokens })),
        false => Ok(()),
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
fn empty(tokens: usize, prompt: &Prompt) -> String {
    match (tokens, prompt.raw_of_chat) {
        (0, true) => "the model ended at once: it is an instruct model, whose turns are written by its chat template; without --raw the prompt is a user's turn".into(),
        (0, false) => "the model ended at once: the first token after the prompt is the end of the text".into(),
        (n, _) => format!("the model gave {n} tokens, all of them special or white space"),
    }
}

/// What an encoder gives for the text.
fn encode(args: &GenerateArgs) -> Result<(), CliError> {
    let of_decoders = [
        ("system", args.system.is_some()),
        ("messages", args.messages.is_some()),
        ("raw", args.raw),
    ];
    let others = of_decoders.iter().find(|(_, given)| *given);
    if let Some(flag) = args.sampling.given().or(others.map(|(flag, _)| *flag)) {
        return Err(CliError::Usage(format!(
            "--{flag} is for decoders; {} is an encoder, which gives a label or an embedding",
            args.model.model.display()
        )));
    }
    let found = encoded::of(args)?;
    if is_finite(&found) {
        return print(&found, args.json);
    }
    let without = || {
        let base = GenerateArgs {
            adapters: AdaptersArgs::default(),
            ..args.clone()
        };
        Ok(is_finite(&encoded::of(&base)?))
    };
    let what = "what the model says of the text is no finite number";
    Err(not_finite(what, args.adapters.first(), without))
}

/// Whether all numbers are finite: JSON has null for others, and nothing else is null.
pub(super) fn is_finite(found: &Value) -> bool {
    match found {
        Value::Null => false,
        Value::Array(list) => list.iter().all(is_finite),
        Value::Object(map) => map.values().all(is_finite),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
