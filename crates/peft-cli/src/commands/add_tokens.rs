//! `peft add-tokens`: a model with a larger vocabulary, and its tokenizer.

use std::path::Path;

use burn::tensor::DType;
use peft_files::NewDir;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{Checkpoint, write_checkpoint};
use peft_train::{EncodeSpecial, TextTokenizer, with_tokens};
use serde_json::{Map, Value, json};

use super::merge::probe::{Logits, Probe};
use super::tokenizer::tokenizer;
use super::train::end_without_traces;
use super::{print_line, say_left_alone};
use crate::args::AddTokensArgs;
use crate::device::device;
use crate::error::CliError;
use crate::say::say;

/// All is computed in f32, whatever is stored.
const RUN: DType = DType::F32;
/// The largest file of tokens, and the largest tokenizer.
const LARGEST: u64 = 64 << 20;
const LARGEST_TOKENIZER: u64 = 512 << 20;
const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";

pub(crate) fn run(args: &AddTokensArgs) -> Result<(), CliError> {
    let device = device(&args.device)?;
    end_without_traces()?;
    let place = NewDir::beside(&args.out)?;
    let wanted = wanted(&args.tokens)?;
    let checkpoint = Checkpoint::open(&args.model)?.with_any_size(args.any_size);
    checkpoint.language_model_config()?;
    say_left_alone(&checkpoint, &device)?;
    let (read, companions) = tokenizer(&checkpoint, None, None)?;
    companions.check(true)?;
    let probe = Probe::of(None, &checkpoint, Some(&read))?;
    let folder = companions.tokenizer();
    let read_file = |name: &str| {
        folder
            .read_text(name, LARGEST_TOKENIZER)
            .map_err(|source| CliError::Io {
                action: "read",
                path: folder.file(name),
                source,
            })
    };
    let tokens: Vec<String> = wanted.iter().map(|(token, _)| token.clone()).collect();
    let wrong = |error: &dyn std::fmt::Display| {
        CliError::Usage(format!("{}: {error}", args.tokens.display()))
    };
    let (grown, ids) =
        with_tokens(&read_file(TOKENIZER)?, &tokens).map_err(|error| wrong(&error))?;
    let first = ids.first().map_or(0, |id| *id as usize);
    let held = checkpoint.config().vocab_size();
    if first > held {
        return Err(CliError::Usage(format!(
            "the tokenizer has {first} tokens, and the model rows for {held}: they do not belong together"
        )));
    }
    let mut of = Vec::with_capacity(wanted.len());
    for (token, text) in &wanted {
        let text = text.as_deref().unwrap_or_default();
        let ids = read.encode(text, EncodeSpecial::None)?;
        if text.is_empty() != ids.is_empty() {
            return Err(wrong(&format!("the text of `{token}` has no token")));
        }
        of.push(ids);
    }

    let model = checkpoint.load(&device, RUN)?;
    let scores = |model: &LanguageModel| {
        probe.read(&device, |ids| {
            let logits = model.logits(model.hidden(ids, None, None));
            Logits::of(logits.narrow(2, 0, first))
        })
    };
    let before = scores(&model);
    let model = model.with_tokens(first, &of);
    let size = model.config().vocab_size();
    let mut fields = checkpoint.fields_of(&model);
    fields.insert("vocab_size".into(), size.into());
    let precision = checkpoint.precision(false)?;
    let dir = place.path();
    write_checkpoint(&model, &fields, Some(&companions), precision, dir)?;
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        peft_files::replace(&path, text.as_bytes()).map_err(|source| CliError::Io {
            action: "write",
            path: path.clone(),
            source,
        })
    };
    put(TOKENIZER, &grown)?;
    if folder.has(CONFIG)
        && let Some(config) = with_decoder(&read_file(CONFIG)?, &tokens, &ids)
    {
        put(CONFIG, &config)?;
    }
    drop(model);
    let written = Checkpoint::open(dir)?.with_any_size(args.any_size);
    let same = scores(&written.load(&device, RUN)?);
    let alike = |(a, b): (&Logits, &Logits)| a.is_same(b);
    if !before.iter().zip(&same).all(alike) {
        return Err(CliError::Usage(
            "the model that was written gives known tokens other scores; nothing was kept".into(),
        ));
    }
    let again = TextTokenizer::from_dir(dir)?;
    for (token, id) in tokens.iter().zip(&ids) {
        if again.encode(token, EncodeSpecial::None)? != [*id] {
            return Err(CliError::Usage(format!(
                "the tokenizer does not find the token `{token}` in a text: what it does to a text before it looks for tokens changes it"
            )));
        }
    }
    for (token, id) in tokens.iter().zip(&ids) {
        print_line(format!("{id:>8}  {}", crate::say::clean(token)))?;
    }
    let out = place.keep()?;
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    say!(
        "wrote {}, of {size} rows; what is to train of them: --token-ids {}",
        out.display(),
        list.join(",")
    );
    Ok(())
}

/// The tokens of a file, with the texts that stand behind a tab.
fn wanted(path: &Path) -> Result<Vec<(String, Option<String>)>, CliError> {
    let text = peft_files::read_text(path, LARGEST).map_err(|source| CliError::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    let lines = text.lines().filter(|line| !line.is_empty());
    let tokens: Vec<(String, Option<String>)> = lines
        .map(|line| match line.split_once('\t') {
            Some((token, text)) => (token.into(), Some(text.into())),
            None => (line.into(), None),
        })
        .collect();
    match tokens.is_empty() {
        true => Err(CliError::Usage(format!(
            "{} has no token: write one a line",
            path.display()
        ))),
        false => Ok(tokens),
    }
}

/// A `tokenizer_config.json` that knows them, where it has a list of such.
fn with_decoder(config: &str, tokens: &[String], ids: &[u32]) -> Option<String> {
    let mut config: Map<String, Value> = serde_json::from_str(config).ok()?;
    let known = config.get_mut("added_tokens_decoder")?.as_object_mut()?;
    for (token, id) in tokens.iter().zip(ids) {
        let entry = json!({
            "content": token,
            "lstrip": false,
            "normalized": true,
            "rstrip": false,
            "single_word": false,
            "special": false,
        });
        known.insert(id.to_string(), entry);
    }
    serde_json::to_string_pretty(&config).ok()
}
