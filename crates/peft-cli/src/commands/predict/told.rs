//! [`ToldRows`]: labels, tags and vectors of rows.

use std::ops::Range;

use peft_train::{
    Dataset, Prediction, Questions, Row, RowKind, TextInput, told_of_texts, told_of_words,
};
use serde_json::{Map, Value, json};

use super::Predictor;
use super::output::SaidLines;
use crate::args::{PoolArg, PredictArgs};
use crate::commands::encoded::{Teller, Told};
use crate::commands::generate::is_finite;
use crate::commands::not_finite::not_finite;
use crate::error::CliError;
use crate::say::say;

/// Labels, tags and vectors of rows.
pub(super) struct ToldRows<'a> {
    args: &'a PredictArgs,
    teller: Teller,
    questions: &'a Questions,
    answered: Option<Dataset>,
}

impl<'a> ToldRows<'a> {
    pub(super) fn open(
        args: &'a PredictArgs,
        questions: &'a Questions,
        is_encoder: bool,
    ) -> Result<Self, CliError> {
        if !matches!(questions.kind(), RowKind::Labelled | RowKind::Tagged) {
            return Err(CliError::Usage(format!(
                "{} has {} rows, but what is told or embedded is {{\"text\"}} or {{\"tokens\"}}, with or without `label` and `tags`; --columns text=NAME names another column",
                questions.name(),
                questions.kind().keys()
            )));
        }
        if let Some(flag) = args.sampling.given().or(args.chat.then_some("chat")) {
            return Err(CliError::Usage(format!(
                "--{flag} is for answers that are generated, and here texts are told or embedded"
            )));
        }
        let pool = args.embed.then(|| PoolArg::pool(args.pool));
        let answered = questions.answered().filter(|_| !args.embed);
        let adapter = args.adapter.as_deref();
        let mut teller = Teller::open(&args.model, adapter, pool, answered.as_ref())?;
        teller.cut_at(args.max_length);
        if is_encoder && !args.embed && teller.task().is_none() {
            say!("the model has no head, so each text's vector is written, as with --embed");
        }
        Ok(Self {
            args,
            teller,
            questions,
            answered,
        })
    }
}

/// What is said of rows, which are of one kind.
fn tell(teller: &Teller, rows: &[Row]) -> Result<Vec<Told>, CliError> {
    let (mut texts, mut words) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Row::Labelled { text, pair, .. } => texts.push(TextInput {
                text: text.clone(),
                pair: pair.clone(),
            }),
            Row::Tagged { words: row, .. } => words.push(row.clone()),
            _ => {}
        }
    }
    match words.is_empty() {
        true => teller.texts(&texts),
        false if teller.task().is_none() => {
            let texts: Vec<TextInput> = words.iter().map(|words| words.join(" ").into()).collect();
            teller.texts(&texts)
        }
        false => teller.words(words),
    }
}

impl Predictor for ToldRows<'_> {
    fn settings(&self) -> Value {
        let pool = format!("{:?}", PoolArg::pool(self.args.pool));
        json!({
            "task": match self.teller.task() {
                Some(_) => "labels",
                None => "embedding",
            },
            "pool": pool,
            "max_length": self.args.max_length,
        })
    }

    fn predict(&mut self, rows: Range<usize>) -> Result<Vec<Map<String, Value>>, CliError> {
        let rows = rows.map(|row| self.questions.row(row));
        let rows = &rows.collect::<Result<Vec<_>, _>>()?;
        let told = tell(&self.teller, rows)?;
        // A word that was cut off has a null for its tag, and that is no number.
        let finite = |told: &Told| matches!(told, Told::Words { .. }) || is_finite(&told.shown());
        if !told.iter().all(finite) {
            let without = || {
                let pool = self.args.embed.then(|| PoolArg::pool(self.args.pool));
                let mut base = Teller::open(&self.args.model, None, pool, None)?;
                base.cut_at(self.args.max_length);
                Ok(tell(&base, rows)?.iter().all(finite))
            };
            let what = "what the model says of a text is no finite number";
            return Err(not_finite(what, self.args.adapter.as_deref(), without));
        }
        let lines = told.iter().zip(rows).map(|(told, row)| line(told, row));
        Ok(lines.collect())
    }

    fn measures(&self, lines: &mut SaidLines<'_>) -> Result<Map<String, Value>, CliError> {
        let (Some(task), Some(answered)) = (self.teller.task(), &self.answered) else {
            return Ok(Map::new());
        };
        let lines = lines.zip(self.questions.is_answered());
        let lines = lines.filter(|(_, answered)| **answered);
        let told = lines.map(|(line, _)| Ok(line?.remove("prediction").unwrap_or_default()));
        let report = match task.of_tokens {
            true => {
                let tags = |told: Result<_, CliError>| {
                    Ok::<_, CliError>(serde_json::from_value(told?).unwrap_or_default())
                };
                told_of_words(answered, task, told.map(tags))?
            }
            false => {
                let told = told.map(|told: Result<_, CliError>| Ok(prediction(&told?)));
                told_of_texts::<CliError>(answered, task, told)?
            }
        };
        match json!(report) {
            Value::Object(report) => Ok(report),
            _ => Ok(Map::new()),
        }
    }
}

/// What a line has beside the columns of its row.
fn line(told: &Told, row: &Row) -> Map<String, Value> {
    let mut line = Map::new();
    match told {
        Told::Text(Prediction::Class { label, .. }) => {
            line.insert("prediction".into(), json!(label));
        }
        Told::Text(Prediction::Classes { labels, .. }) => {
            line.insert("prediction".into(), json!(labels));
        }
        Told::Text(Prediction::Value { value }) => {
            line.insert("prediction".into(), json!(value));
        }
        Told::Words { words, tags } => {
            if !matches!(row, Row::Tagged { .. }) {
                line.insert("words".into(), json!(words));
            }
            line.insert("prediction".into(), json!(tags));
        }
        Told::Vector(values) => {
            // As short as they are told apart in f32.
            let short = |value: &f32| value.to_string().parse().unwrap_or(f64::from(*value));
            let values: Vec<f64> = values.iter().map(short).collect();
            line.insert("embedding".into(), json!(values));
        }
    }
    if let Value::Object(mut shown) = told.shown()
        && let Some(probabilities) = shown.remove("probabilities")
    {
        line.insert("probabilities".into(), probabilities);
    }
    line
}

/// What a line says.
fn prediction(told: &Value) -> Prediction {
    let probabilities = Vec::new();
    match told {
        Value::Array(labels) => Prediction::Classes {
            labels: labels
                .iter()
                .filter_map(|label| Some(label.as_str()?.to_owned()))
                .collect(),
            probabilities,
        },
        Value::Number(value) => Prediction::Value {
            value: value.as_f64().unwrap_or(f64::NAN),
        },
        label => Prediction::Class {
            label: label.as_str().unwrap_or_default().to_owned(),
            probabilities,
        },
    }
}
