//! [`LabelReport`]: how well each label is told.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::measures::{Counts, macro_f1, micro_f1};

/// How well a label is told, as scikit-learn's `precision_recall_fscore_support` has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LabelMeasures {
    /// The fraction that is right of those that were told to have it; 0 where there are none.
    pub precision: f64,
    /// The fraction that was told of those that have it; 0 where there are none.
    pub recall: f64,
    /// The harmonic mean of both; 0 where the label occurs nowhere.
    pub f1: f64,
    /// How many have it.
    pub support: usize,
}

/// How well labels are told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelReport {
    /// The fraction that is right; where several may apply, of rows whose labels are all right.
    pub accuracy: f64,
    /// The mean F1 of the labels that occur in truth or prediction.
    pub macro_f1: f64,
    /// The F1 of all decisions together.
    pub micro_f1: f64,
    /// Texts, or words.
    pub examples: usize,
    /// Of each label that occurs, by its name.
    pub by_label: Map<String, Value>,
    /// How often what has the first label was told to have the second; where each has one.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub confusion: Map<String, Value>,
}

impl LabelReport {
    pub(super) fn new(counts: &[Counts], names: &[String], right: usize, examples: usize) -> Self {
        let occurring = names.iter().zip(counts);
        let occurring = occurring.filter_map(|(name, counts)| {
            let measures = counts.measures()?;
            Some((name.clone(), json!(measures)))
        });
        Self {
            accuracy: right as f64 / examples.max(1) as f64,
            macro_f1: macro_f1(counts),
            micro_f1: micro_f1(counts),
            examples,
            by_label: occurring.collect(),
            confusion: Map::new(),
        }
    }

    /// Where each has one: how often the second label was told for the first.
    pub(super) fn of_pairs(pairs: &BTreeMap<(usize, usize), usize>, names: &[String]) -> Self {
        let mut counts = vec![Counts::default(); names.len()];
        let (mut right, mut confusion) = (0, Map::new());
        for (&(truth, told), &n) in pairs {
            if truth == told {
                counts[truth].hits += n;
                right += n;
            } else {
                counts[truth].misses += n;
                counts[told].false_alarms += n;
            }
            let row = confusion.entry(&names[truth]);
            let row = row.or_insert_with(|| Value::Object(Map::new()));
            row[&names[told]] = n.into();
        }
        Self {
            confusion,
            ..Self::new(&counts, names, right, pairs.values().sum())
        }
    }
}

impl Counts {
    /// None where the class occurs neither in truth nor in prediction.
    fn measures(self) -> Option<LabelMeasures> {
        let part = |of: usize| match of {
            0 => 0.0,
            of => self.hits as f64 / of as f64,
        };
        Some(LabelMeasures {
            f1: self.f1()?,
            precision: part(self.hits + self.false_alarms),
            recall: part(self.hits + self.misses),
            support: self.hits + self.misses,
        })
    }
}
