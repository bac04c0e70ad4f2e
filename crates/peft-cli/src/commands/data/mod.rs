//! `peft data check`.

mod checked;
mod findings;
mod lengths;
mod repeats;
mod shown;

use std::io::IsTerminal;

use peft_store::Checkpoint;
use peft_train::{Dataset, EncodeOptions, RowKind};
use serde_json::{Value, json};

use self::checked::Checked;
use self::findings::Findings;
pub(super) use self::repeats::say_repeats;
use self::shown::Painted;
use super::classifier::Task;
use super::print_line;
use super::tokenizer::tokenizer;
use crate::args::{CheckArgs, DataArgs, DataVerb};
use crate::error::CliError;

pub(crate) fn run(args: &DataArgs) -> Result<(), CliError> {
    match &args.verb {
        DataVerb::Check(args) => check(args),
    }
}

fn check(args: &CheckArgs) -> Result<(), CliError> {
    if args.max_length == 0 {
        return Err(CliError::Usage(
            "--max-length is 0, but must be at least 1".into(),
        ));
    }
    let train = super::read_rows(&args.files, &args.rows)?;
    let valid = match args.valid.as_slice() {
        [] => None,
        paths => Some(super::read_rows(paths, &args.rows)?),
    };
    let checkpoint = Checkpoint::open(&args.model)?;
    let (tokenizer, _) = tokenizer(&checkpoint, None, args.tokenizer.as_deref())?;
    let options = EncodeOptions {
        max_length: args.max_length.min(checkpoint.config().max_positions()),
        append_eos: !args.no_eos,
        vocab_size: checkpoint.config().vocab_size(),
    };
    let labelled = matches!(train.kind(), RowKind::Labelled | RowKind::Tagged);
    let mut about = Vec::new();
    if labelled {
        let files: Vec<&Dataset> = [&train].into_iter().chain(&valid).collect();
        let task = Task::of_run(&checkpoint, None, &files, args.new_head)?;
        about.push(task.describe());
        // What does not fit the labels is refused as a run refuses it.
        for rows in files {
            match train.kind() == RowKind::Tagged {
                true => {
                    drop(task.tags(rows, &tokenizer, options.max_length, options.vocab_size)?)
                }
                false => {
                    drop(task.texts(rows, &tokenizer, options.max_length, options.vocab_size)?);
                }
            }
        }
    } else {
        super::check_end(&train, &tokenizer, &options)?;
        if let Some(valid) = valid.as_ref().filter(|valid| valid.kind() != train.kind()) {
            about.push(format!(
                "the validation rows are {}, those of training {}",
                valid.kind().keys(),
                train.kind().keys()
            ));
        }
    }
    let checked = Checked::of(&train, &tokenizer, &options, args.show)?;
    let of_valid = valid
        .as_ref()
        .map(|valid| Checked::of(valid, &tokenizer, &options, 0))
        .transpose()?;
    let findings = Findings::of(
        (&train, &checked),
        valid.as_ref().zip(of_valid.as_ref()),
        &tokenizer,
    )?;
    let wrong = findings.is_wrong();
    if args.json {
        let mut report = checked.report(&train);
        if let (Some(valid), Some(checked)) = (&valid, &of_valid) {
            report["validation"] = checked.report(valid);
        }
        report["findings"] = findings.report();
        report["wrong"] = json!(wrong);
        print_line(&report)?;
    } else {
        let painted = match std::io::stdout().is_terminal() {
            true => Painted::Colours,
            false => Painted::Brackets,
        };
        about.iter().try_for_each(print_line)?;
        checked.print(&train, "training", painted)?;
        if let (Some(valid), Some(checked)) = (&valid, &of_valid) {
            checked.print(valid, "validation", painted)?;
        }
        findings.print()?;
    }
    match wrong {
        false => Ok(()),
        true => Err(CliError::Usage(format!(
            "a run on {} would be wrong",
            train.name()
        ))),
    }
}

/// A number of something, as a JSON value.
fn percent(part: usize, all: usize) -> Value {
    json!(part as f64 / all.max(1) as f64)
}
