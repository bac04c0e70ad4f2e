//! [`told_of_texts`] and [`told_of_words`]: how good predictions are that were made before.

use serde::Serialize;

use super::measures::{count, count_each, pearson, spearman};
use super::wrong_label::{WrongLabel, note};
use super::{ClassifierTask, EntityReport, LabelReport, Prediction, Target};
use crate::{Dataset, Row, TrainError};

/// How good predictions are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ToldReport {
    /// Of labels.
    Labels {
        /// Label by label.
        #[serde(flatten)]
        labels: LabelReport,
        /// Of entities, where words are tagged as such.
        #[serde(skip_serializing_if = "Option::is_none")]
        entities: Option<EntityReport>,
    },
    /// Of values.
    Values(ValueReport),
}

/// How well values are told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ValueReport {
    /// The mean squared error.
    pub squared_error: f64,
    /// Pearson's correlation of the values with the true ones.
    pub pearson: f64,
    /// Spearman's: that of their ranks.
    pub spearman: f64,
    /// Texts.
    pub examples: usize,
}

/// How good predictions for labelled texts are, one for each row.
///
/// # Errors
///
/// A [`TrainError`]: rows of another kind, labels that the set does not have (named together).
pub fn told_of_texts(
    rows: &Dataset,
    task: &ClassifierTask,
    predicted: &[Prediction],
) -> Result<ToldReport, TrainError> {
    let labels = &task.labels.settled(&[rows])?;
    let (mut truth, mut wrong) = (Vec::new(), Vec::new());
    for (i, row) in rows.rows().enumerate() {
        let Row::Labelled { label, .. } = row? else {
            return Err(rows.wrong_task("a classifier of texts", "{\"text\", \"label\"}"));
        };
        match Target::new(&label, task.problem, labels) {
            Ok(target) => truth.push(target),
            Err(reason) => note(&mut wrong, i, reason),
        }
    }
    if !wrong.is_empty() {
        return Err(rows.refuse(wrong));
    }
    let id = |name: &String| labels.names().iter().position(|of| of == name);
    let (mut classes, mut lists, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for pair in truth.into_iter().zip(predicted) {
        match pair {
            (Target::Class(truth), Prediction::Class { label, .. }) => {
                classes.extend(id(label).map(|id| (truth, id)));
            }
            (Target::Classes(truth), Prediction::Classes { labels: told, .. }) => {
                let told = labels.names().iter().map(|name| told.contains(name));
                lists.push((truth, told.collect::<Vec<bool>>()));
            }
            (Target::Value(truth), Prediction::Value { value }) => {
                values.push((f64::from(truth), *value));
            }
            // Of another task.
            _ => {}
        }
    }
    let n = labels.len();
    if !values.is_empty() {
        let (truth, found): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
        let errors = truth.iter().zip(&found).map(|(a, b)| (a - b).powi(2));
        return Ok(ToldReport::Values(ValueReport {
            squared_error: errors.sum::<f64>() / truth.len() as f64,
            pearson: pearson(&found, &truth),
            spearman: spearman(&found, &truth),
            examples: truth.len(),
        }));
    }
    let labels = match lists.is_empty() {
        true => {
            let (truth, found): (Vec<usize>, Vec<usize>) = classes.into_iter().unzip();
            of_one(&truth, &found, labels.names())
        }
        false => {
            let (truth, found): (Vec<_>, Vec<_>) = lists.into_iter().unzip();
            let right = truth.iter().zip(&found).filter(|(a, b)| a == b).count();
            let counts = count_each(&truth, &found, n);
            LabelReport::new(&counts, labels.names(), right, truth.len())
        }
    };
    let entities = None;
    Ok(ToldReport::Labels { labels, entities })
}

/// How good predictions for tagged words are, one for each word of each row. Words without a tag,
/// and those that were told none, are left out.
///
/// # Errors
///
/// As [`told_of_texts`].
pub fn told_of_words(
    rows: &Dataset,
    task: &ClassifierTask,
    predicted: &[Vec<Option<String>>],
) -> Result<ToldReport, TrainError> {
    let labels = &task.labels.settled(&[rows])?;
    let (mut truth, mut found) = (Vec::new(), Vec::new());
    let (mut runs, mut told_runs) = (Vec::new(), Vec::new());
    let mut wrong = Vec::new();
    for (i, (row, told)) in rows.rows().zip(predicted).enumerate() {
        let Row::Tagged { tags, .. } = row? else {
            return Err(rows.wrong_task("a tagger of words", "{\"tokens\", \"tags\"}"));
        };
        let (mut run, mut told_run) = (Vec::new(), Vec::new());
        for (tag, told) in tags.iter().zip(told) {
            let id = match labels.id(tag) {
                Ok(id) => id,
                Err(_) if tag.is_no_target() => continue,
                Err(unknown) => {
                    note(&mut wrong, i, WrongLabel::Unknown(unknown));
                    break;
                }
            };
            let told = told.as_ref();
            if let Some(told) = told.and_then(|told| labels.names().iter().position(|n| n == told))
            {
                truth.push(id);
                found.push(told);
                run.push(labels.name(id));
                told_run.push(labels.name(told));
            }
        }
        runs.push(run);
        told_runs.push(told_run);
    }
    if !wrong.is_empty() {
        return Err(rows.refuse(wrong));
    }
    Ok(ToldReport::Labels {
        labels: of_one(&truth, &found, labels.names()),
        entities: EntityReport::of(labels.names(), &runs, &told_runs),
    })
}

fn of_one(truth: &[usize], found: &[usize], names: &[String]) -> LabelReport {
    let right = truth.iter().zip(found).filter(|(a, b)| a == b).count();
    let counts = count(truth, found, names.len());
    LabelReport::new(&counts, names, right, truth.len()).confused(truth, found, names)
}
