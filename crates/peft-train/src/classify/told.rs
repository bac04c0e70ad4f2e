//! [`told_of_texts`] and [`told_of_words`]: how good predictions are that were made before.

use std::collections::BTreeMap;

use serde::Serialize;

use super::entities::EntityCounts;
use super::measures::{Counts, add_each, pearson, spearman};
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

/// How good predictions for labelled texts are, one for each row. None of them is kept but values.
///
/// # Errors
///
/// A [`TrainError`]: rows of another kind, labels that the set does not have (named together); and
/// what a prediction is not had for.
pub fn told_of_texts<E: From<TrainError>>(
    rows: &Dataset,
    task: &ClassifierTask,
    predicted: impl IntoIterator<Item = Result<Prediction, E>>,
) -> Result<ToldReport, E> {
    let labels = &task.labels.settled(&[rows])?;
    let names = labels.names();
    let id = |name: &String| names.iter().position(|of| of == name);
    let mut pairs = BTreeMap::new();
    let (mut counts, mut right, mut lists) = (vec![Counts::default(); labels.len()], 0, 0);
    let (mut truths, mut values) = (Vec::new(), Vec::new());
    let mut wrong = Vec::new();
    for (i, (row, told)) in rows.rows().zip(predicted).enumerate() {
        let Row::Labelled { label, .. } = row? else {
            let expected = "{\"text\", \"label\"}";
            return Err(rows.wrong_task("a classifier of texts", expected).into());
        };
        let truth = match Target::new(&label, task.problem, labels) {
            Ok(truth) => truth,
            Err(reason) => {
                note(&mut wrong, i, reason);
                continue;
            }
        };
        match (truth, told?) {
            (Target::Class(truth), Prediction::Class { label, .. }) => {
                if let Some(told) = id(&label) {
                    *pairs.entry((truth, told)).or_default() += 1;
                }
            }
            (Target::Classes(truth), Prediction::Classes { labels: told, .. }) => {
                let told: Vec<bool> = names.iter().map(|name| told.contains(name)).collect();
                add_each(&mut counts, &truth, &told);
                right += usize::from(truth == told);
                lists += 1;
            }
            (Target::Value(truth), Prediction::Value { value }) => {
                truths.push(f64::from(truth));
                values.push(value);
            }
            // Of another task.
            _ => {}
        }
    }
    if !wrong.is_empty() {
        return Err(rows.refuse(wrong).into());
    }
    if !values.is_empty() {
        let errors = truths.iter().zip(&values).map(|(a, b)| (a - b).powi(2));
        return Ok(ToldReport::Values(ValueReport {
            squared_error: errors.sum::<f64>() / truths.len() as f64,
            pearson: pearson(&values, &truths),
            spearman: spearman(&values, &truths),
            examples: truths.len(),
        }));
    }
    let labels = match lists {
        0 => LabelReport::of_pairs(&pairs, names),
        lists => LabelReport::new(&counts, names, right, lists),
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
pub fn told_of_words<E: From<TrainError>>(
    rows: &Dataset,
    task: &ClassifierTask,
    predicted: impl IntoIterator<Item = Result<Vec<Option<String>>, E>>,
) -> Result<ToldReport, E> {
    let labels = &task.labels.settled(&[rows])?;
    let (mut pairs, mut entities) = (BTreeMap::new(), EntityCounts::new(labels.names()));
    let mut wrong = Vec::new();
    for (i, (row, told)) in rows.rows().zip(predicted).enumerate() {
        let Row::Tagged { tags, .. } = row? else {
            let expected = "{\"tokens\", \"tags\"}";
            return Err(rows.wrong_task("a tagger of words", expected).into());
        };
        let (mut run, mut told_run) = (Vec::new(), Vec::new());
        for (tag, told) in tags.iter().zip(told?) {
            let id = match labels.id(tag) {
                Ok(id) => id,
                Err(_) if tag.is_no_target() => continue,
                Err(unknown) => {
                    note(&mut wrong, i, WrongLabel::Unknown(unknown));
                    break;
                }
            };
            if let Some(told) = told.and_then(|told| labels.names().iter().position(|n| *n == told))
            {
                *pairs.entry((id, told)).or_default() += 1;
                run.push(labels.name(id));
                told_run.push(labels.name(told));
            }
        }
        if let Some(entities) = &mut entities {
            entities.add(&run, &told_run);
        }
    }
    if !wrong.is_empty() {
        return Err(rows.refuse(wrong).into());
    }
    Ok(ToldReport::Labels {
        labels: LabelReport::of_pairs(&pairs, labels.names()),
        entities: entities.map(|entities| entities.report()),
    })
}
