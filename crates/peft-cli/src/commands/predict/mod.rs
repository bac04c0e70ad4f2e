//! `peft predict`: what a model says to the rows of files, a line of JSON each.

mod generated;
mod output;
mod told;

use peft_store::CheckpointConfig;
use peft_train::Questions;
use serde_json::{Map, Value, json};

use self::generated::Generated;
use self::output::{Output, SaidLines, Settings};
use self::told::ToldRows;
use super::eval::print;
use super::opened;
use crate::args::PredictArgs;
use crate::error::CliError;
use crate::progress::RowsDone;
use crate::say::say;

/// The keys that a line has beside the columns of its row.
const KEYS: [&str; 6] = [
    "row",
    "prediction",
    "probabilities",
    "words",
    "embedding",
    "finish_reason",
];

/// What makes the lines of rows.
trait Predictor {
    /// What it depends on beside the model and the rows.
    fn settings(&self) -> Value;

    /// What is said to the rows of these indices.
    fn predict(
        &mut self,
        rows: std::ops::Range<usize>,
    ) -> Result<Vec<Map<String, Value>>, CliError>;

    /// How good all that was said is, for rows that have their answers.
    fn measures(&self, lines: &mut SaidLines<'_>) -> Result<Map<String, Value>, CliError>;
}

pub(crate) fn run(args: &PredictArgs) -> Result<(), CliError> {
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
    let flags = args.sampling.flags()?;
    let questions = Questions::read_all(&args.data, &args.rows.options()?, args.chat)?;
    for row in 0..questions.len() {
        let columns = questions.columns(row)?;
        if let Some(key) = KEYS.iter().find(|key| columns.contains_key(**key)) {
            return Err(CliError::Usage(format!(
                "{} has a column `{key}`, which is a key of what is written beside the columns; give it another name",
                questions.name()
            )));
        }
    }
    let checkpoint = opened(&args.model)?;
    let is_encoder = matches!(checkpoint.config(), CheckpointConfig::Encoder(_));
    drop(checkpoint);
    let mut predictor: Box<dyn Predictor> = match is_encoder || args.embed {
        true => Box::new(ToldRows::open(args, &questions, is_encoder)?),
        false => Box::new(Generated::open(args, &flags, &questions)?),
    };
    let settings = Settings::of(args, &questions, predictor.settings())?;
    let mut output = Output::open(&args.out, &settings, questions.len())?;
    let (total, before) = (questions.len(), output.len());
    if before == total {
        say!("{} has all {total} rows already", args.out.display());
    } else if before > 0 {
        say!(
            "{} has {before} of {total} rows; going on",
            args.out.display()
        );
    }
    let progress = RowsDone::new(total, before);
    for first in (before..total).step_by(args.batch_size) {
        let rows = first..total.min(first + args.batch_size);
        let n = rows.len();
        let mut lines = Vec::with_capacity(n);
        for (row, told) in rows.clone().zip(predictor.predict(rows)?) {
            let mut line = questions.columns(row)?;
            line.insert("row".into(), (row + 1).into());
            line.extend(told);
            lines.push(line);
        }
        output.write(&lines)?;
        progress.advance(n);
    }
    progress.end();
    let mut report = Map::new();
    report.insert("out".into(), json!(args.out));
    report.insert("rows".into(), total.into());
    report.extend(predictor.measures(&mut output.lines()?)?);
    print(&report.into(), args.json)
}
