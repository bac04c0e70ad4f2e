//! [`LabelSet`]: the names of classes, in the order of a model's outputs.

use std::collections::{BTreeSet, HashMap};

use super::NumberReading;
use super::unknown_label::{UnknownLabel, some_of};
use crate::{Dataset, LabelName, Row, TrainError};

/// The names of classes, in the order of a model's outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    numbers: Option<NumberReading>,
}

impl LabelSet {
    /// A set of these names, in this order.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] where there is none, or one twice.
    pub fn new(names: Vec<String>) -> Result<Self, TrainError> {
        let ids = names.iter().cloned().enumerate();
        let by_name: HashMap<String, usize> = ids.map(|(id, name)| (name, id)).collect();
        if names.is_empty() || by_name.len() < names.len() {
            let twice = names.iter().enumerate();
            let twice = twice.filter(|(id, name)| by_name[*name] != *id);
            let twice: Vec<&String> = twice.map(|(_, name)| name).take(8).collect();
            return Err(TrainError::Setting {
                field: "set of labels",
                value: match twice.is_empty() {
                    true => "empty".into(),
                    false => format!("one with {twice:?} twice"),
                },
                expected: "at least one name, and none twice",
            });
        }
        Ok(Self {
            names,
            by_name,
            numbers: None,
        })
    }

    /// With numbers read so, whatever the rows are.
    #[must_use]
    pub fn with_numbers(mut self, numbers: NumberReading) -> Self {
        self.numbers = Some(numbers);
        self
    }

    /// All classes in a file: numbers by their size, then names by the alphabet. A number is the class of that name, and so is a string that writes it.
    ///
    /// # Errors
    ///
    /// [`TrainError::WrongTask`] where the rows have no labels; [`TrainError::Rows`] where those name no class; [`TrainError::Setting`] where there is none.
    pub fn of(dataset: &Dataset) -> Result<Self, TrainError> {
        let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
        let mut wrong = Vec::new();
        for (i, labels) in labels_of(dataset)? {
            for label in labels {
                match label.whole() {
                    Some(_) if label.is_no_target() && dataset.rows()[i].is_tagged() => {}
                    Some(_) if label.is_no_target() => wrong.push((i, NO_TARGET.into())),
                    Some(number) => drop(numbers.insert(number)),
                    None => drop(names.insert(label.to_string())),
                }
            }
            if let Row::Labelled { label, .. } = &dataset.rows()[i]
                && label.has_decimals()
            {
                wrong.push((i, "the label is a list of decimals, which names no class: write the classes that apply, as [\"a\", \"b\"]".into()));
            }
        }
        if !wrong.is_empty() {
            return Err(dataset.refuse(wrong));
        }
        // A name that is the number of another row is one class with it.
        names.retain(|name| !number_of(name).is_some_and(|number| numbers.contains(&number)));
        let numbers = numbers.into_iter().map(|number| number.to_string());
        let set = Self::new(numbers.chain(names).collect())?.with_numbers(NumberReading::Names);
        set.check_spaces(dataset)?;
        Ok(set)
    }

    /// A name that is another one with spaces around it is a slip.
    fn check_spaces(&self, dataset: &Dataset) -> Result<(), TrainError> {
        let slip = |label: &LabelName| match label {
            LabelName::Name(name) if name.trim() != name => {
                let meant = name.trim();
                self.by_name.contains_key(meant).then(|| {
                    format!("the label `{name}` is `{meant}` with spaces around it; take them away")
                })
            }
            _ => None,
        };
        let wrong = labels_of(dataset)?;
        let wrong = wrong.filter_map(|(i, labels)| Some((i, labels.iter().find_map(slip)?)));
        match wrong.collect::<Vec<_>>() {
            wrong if wrong.is_empty() => Ok(()),
            wrong => Err(dataset.refuse(wrong)),
        }
    }

    /// The set with one reading of numbers for all rows of these files, decided from all of them.
    ///
    /// Numbers are the ids of outputs, unless names are numerals, and all numbers are names and some no id, or strings beside them are such names.
    ///
    /// # Errors
    ///
    /// [`TrainError::WrongTask`] where the rows have no labels; [`TrainError::Rows`] where a file writes both numbers that can only be ids and strings that are names.
    pub fn settled(&self, files: &[&Dataset]) -> Result<Self, TrainError> {
        if self.numbers.is_some() || !self.has_numerals() {
            return Ok(self.clone());
        }
        let (mut numbers, mut strings) = (BTreeSet::new(), false);
        for file in files {
            let labels = labels_of(file)?.flat_map(|(_, labels)| labels);
            for label in labels.filter(|label| !label.is_no_target()) {
                match label.whole() {
                    Some(number) => drop(numbers.insert(number)),
                    None => strings |= self.is_numeral(label),
                }
            }
        }
        let id = |number: &i64| u64::try_from(*number).is_ok_and(|id| id < self.len() as u64);
        let name = |number: &i64| self.by_name.contains_key(&number.to_string());
        let n_names = numbers.iter().filter(|number| name(number)).count();
        let n_ids = numbers.iter().filter(|number| id(number)).count();
        let reading = match (numbers.len(), strings) {
            (0, false) => return Ok(self.clone()),
            (n, true) if n_names == n => NumberReading::Names,
            (_, true) => {
                for file in files {
                    let mixed = labels_of(file)?.filter(|(_, labels)| {
                        labels
                            .iter()
                            .any(|label| label.whole().is_none() && self.is_numeral(label))
                    });
                    let reason = "the label is a string of digits, which is the name of a class, but other rows have numbers that are no names, only ids; write all one way";
                    let mixed: Vec<_> = mixed.map(|(i, _)| (i, reason.to_owned())).collect();
                    if !mixed.is_empty() {
                        return Err(file.refuse(mixed));
                    }
                }
                NumberReading::Ids
            }
            (_, false) if n_names > n_ids => NumberReading::Names,
            (_, false) => NumberReading::Ids,
        };
        Ok(self.clone().with_numbers(reading))
    }

    /// How numbers are read: as settled, or else as names where one is a numeral.
    pub fn numbers(&self) -> NumberReading {
        self.numbers.unwrap_or(match self.has_numerals() {
            true => NumberReading::Names,
            false => NumberReading::Ids,
        })
    }

    /// How numbers are read, where that is settled and a name is a numeral, so that it could be asked.
    pub fn settled_numbers(&self) -> Option<NumberReading> {
        self.numbers.filter(|_| self.has_numerals())
    }

    fn has_numerals(&self) -> bool {
        self.names.iter().any(|name| number_of(name).is_some())
    }

    fn is_numeral(&self, label: &LabelName) -> bool {
        let name = label.to_string();
        number_of(&name).is_some() && self.by_name.contains_key(&name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: a set has a name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The first names, to be shown.
    pub fn shown(&self) -> String {
        some_of(&self.names)
    }

    /// The name of an output.
    ///
    /// # Panics
    ///
    /// If there is no such output.
    pub fn name(&self, id: usize) -> &str {
        &self.names[id]
    }

    /// The output of a class: that of its name, or that of its number as [`numbers`](Self::numbers) are read.
    ///
    /// # Errors
    ///
    /// What is wrong, with the nearest name.
    pub fn id<'a>(&'a self, label: &'a LabelName) -> Result<usize, UnknownLabel<'a>> {
        let unknown = || UnknownLabel { label, set: self };
        match (label.whole(), self.numbers()) {
            (Some(number), NumberReading::Ids) => {
                let id = usize::try_from(number).ok().filter(|id| *id < self.len());
                id.ok_or_else(unknown)
            }
            (Some(number), NumberReading::Names) => {
                let id = self.by_name.get(&number.to_string()).copied();
                id.ok_or_else(unknown)
            }
            (None, _) => {
                let id = self.by_name.get(&label.to_string()).copied();
                id.ok_or_else(unknown)
            }
        }
    }
}

/// Why -100 is no class of a text.
pub(super) const NO_TARGET: &str =
    "the label is -100, which marks what is no target; leave the row out";

/// The whole number that a name writes.
pub(super) fn number_of(name: &str) -> Option<i64> {
    let number: i64 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}

/// The classes that each row of a file names, by the row's index.
fn labels_of(dataset: &Dataset) -> Result<impl Iterator<Item = (usize, &[LabelName])>, TrainError> {
    fn of(row: &Row) -> Option<&[LabelName]> {
        match row {
            Row::Labelled { label, .. } => Some(label.names()),
            Row::Tagged { tags, .. } => Some(tags),
            Row::Text { .. } | Row::Completion { .. } | Row::Chat { .. } | Row::Dialogue { .. } => {
                None
            }
        }
    }
    if dataset.rows().iter().any(|row| of(row).is_none()) {
        return Err(dataset.wrong_task(
            "a classifier",
            "{\"text\", \"label\"} or {\"tokens\", \"tags\"}",
        ));
    }
    Ok(dataset.rows().iter().filter_map(of).enumerate())
}
