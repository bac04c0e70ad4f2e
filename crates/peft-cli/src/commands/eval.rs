//! `peft eval`.

use std::collections::BTreeSet;

use burn::module::Module;
use peft_models::{CausalLm, Transformer};
use peft_train::{
    Dataset, EncodeOptions, Row, RowKind, TextTokenizer, TrainError, choose, encode, evaluate,
};
use serde_json::{Value, json};

use super::not_finite::not_finite;
use super::tokenizer::tokenizer;
use super::{check_end, load_all, print_line, read_rows};
use crate::args::{AdaptersArgs, EvalArgs};
use crate::error::CliError;
use crate::say::clean;

pub(crate) fn run(args: &EvalArgs) -> Result<(), CliError> {
    print(&report(args)?, args.json)
}

/// What the evaluation gives, as one object; an error where its loss is not finite.
pub(super) fn report(args: &EvalArgs) -> Result<Value, CliError> {
    // JSON has no such number.
    let is_finite = |report: &Value| !report["loss"].is_null();
    let report = measured(args)?;
    if is_finite(&report) {
        return Ok(report);
    }
    let without = || {
        let base = EvalArgs {
            adapters: AdaptersArgs::default(),
            choices: false,
            ..args.clone()
        };
        measured(&base).map(|report| is_finite(&report))
    };
    let first = args.data.first().map(|path| path.display().to_string());
    let what = format!(
        "the loss on {} is no finite number",
        first.unwrap_or_default()
    );
    Err(not_finite(what, args.adapters.first(), without))
}

fn measured(args: &EvalArgs) -> Result<Value, CliError> {
    if args.batch_size == 0 {
        return Err(CliError::Usage(
            "batch size is 0, but must be at least 1".into(),
        ));
    }
    if args.max_length == Some(0) {
        return Err(CliError::Usage(
            "--max-length is 0, but must be at least 1".into(),
        ));
    }
    let dataset = read_rows(&args.data, &args.rows)?;
    if matches!(dataset.kind(), RowKind::Labelled | RowKind::Tagged) {
        return super::classifier::report(args, &dataset);
    }
    let (checkpoint, model, _) = load_all(&args.model, &args.adapters)?;
    let (tokenizer, _) = tokenizer(
        &checkpoint,
        args.adapters.first(),
        args.model.tokenizer.as_deref(),
    )?;
    let model = model.valid();
    let longest = model.max_positions();
    let options = EncodeOptions {
        max_length: args.max_length.unwrap_or(longest).min(longest),
        append_eos: !args.no_eos,
        vocab_size: model.vocab_size(),
    };
    check_end(&dataset, &tokenizer, &options)?;
    let encoded = encode(&dataset, &tokenizer, &options)?;
    let report = evaluate(&model, &encoded.examples, args.batch_size)?;
    let mut out = json!(report);
    out["dropped"] = json!(encoded.dropped);
    out["truncated"] = json!(encoded.truncated);
    if args.choices {
        out["accuracy"] = json!(choice_accuracy(
            &model,
            &tokenizer,
            &dataset,
            args.batch_size
        )?);
    }
    Ok(out)
}

/// One line of JSON, or one line a field.
pub(super) fn print(report: &Value, json: bool) -> Result<(), CliError> {
    let fields = match report.as_object() {
        Some(fields) if !json => fields,
        _ => return print_line(report),
    };
    // A name of others is one line.
    let shown = |text: &str| clean(text).replace('\n', "\\n");
    for (field, value) in fields {
        let field = shown(field);
        match value {
            Value::Number(number) if number.is_f64() => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                print_line(format!("{field:>15}  {number:.4}"))?;
            }
            Value::String(text) => print_line(format!("{field:>15}  {}", shown(text)))?,
            Value::Object(_) => {
                print_line(format!("{field}:"))?;
                print(value, json)?;
            }
            _ => print_line(format!("{field:>15}  {}", shown(&value.to_string())))?,
        }
    }
    Ok(())
}

/// How often the likeliest of all completions in the file is a row's own.
fn choice_accuracy<M: CausalLm>(
    model: &M,
    tokenizer: &TextTokenizer,
    dataset: &Dataset,
    batch_size: usize,
) -> Result<f64, CliError> {
    if dataset.kind() != RowKind::Completion {
        return Err(CliError::Usage(
            "--choices takes {\"prompt\", \"completion\"} rows".into(),
        ));
    }
    // A prompt and its answer, of a row when it is its turn.
    let pairs = || {
        dataset.rows().map(|row| match row? {
            Row::Completion { prompt, completion } => Ok((prompt, completion)),
            _ => Ok(Default::default()),
        })
    };
    let options = pairs().map(|pair: Result<_, TrainError>| Ok(pair?.1));
    let options: BTreeSet<String> = options.collect::<Result<_, TrainError>>()?;
    let options: Vec<String> = options.into_iter().collect();
    let prompts = pairs().map(|pair| Ok(pair?.0));
    let chosen = choose(model, tokenizer, prompts, &options, batch_size)?;
    let mut right = 0usize;
    for (chosen, pair) in chosen.iter().zip(pairs()) {
        right += usize::from(options[*chosen] == pair?.1);
    }
    Ok(right as f64 / chosen.len() as f64)
}
