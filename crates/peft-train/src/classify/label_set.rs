//! [`LabelSet`]: the names of classes, in the order of a model's outputs.

use std::collections::{BTreeSet, HashMap};

use super::unknown_label::{UnknownLabel, some_of};
use super::{ListReading, NumberReading};
use crate::{Dataset, LabelName, Row, RowKind, TrainError};

/// The names of classes, in the order of a model's outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    numbers: Option<NumberReading>,
    lists: Option<ListReading>,
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
            lists: None,
        })
    }

    /// With numbers read so, whatever the rows are.
    #[must_use]
    pub fn with_numbers(mut self, numbers: NumberReading) -> Self {
        self.numbers = Some(numbers);
        self
    }

    /// All classes in a file: numbers by their size, then names by the alphabet, `true` and `false`
    /// among them. A string that writes a number is that number where the file has numbers, and one
    /// that writes `true` or `false` in any case is that where it has such.
    ///
    /// Lists of 0 or 1 for each class name none: these are `LABEL_0` and so on, as transformers
    /// calls them.
    ///
    /// # Errors
    ///
    /// [`TrainError::WrongTask`] where the rows have no labels; [`TrainError::Rows`] where those
    /// name no class; [`TrainError::Setting`] where there is none.
    pub fn of(dataset: &Dataset) -> Result<Self, TrainError> {
        if let (ListReading::Each, classes) = ListReading::of(&[dataset], None)? {
            let names = (0..classes).map(|id| format!("LABEL_{id}")).collect();
            let set = Self::new(names)?;
            return Ok(Self {
                lists: Some(ListReading::Each),
                ..set
            });
        }
        let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
        let mut flags = BTreeSet::new();
        let mut wrong = Vec::new();
        let tagged = dataset.kind() == RowKind::Tagged;
        for (i, row) in labelled_rows(dataset)? {
            let row = row?;
            for label in labels_of(&row) {
                match (label, label.whole()) {
                    (_, Some(_)) if label.is_no_target() && tagged => {}
                    (_, Some(_)) if label.is_no_target() => wrong.push((i, NO_TARGET.into())),
                    (_, Some(number)) => drop(numbers.insert(number)),
                    (LabelName::Bool(flag), None) => drop(flags.insert(*flag)),
                    (_, None) => drop(names.insert(label.to_string())),
                }
            }
            if let Row::Labelled { label, .. } = &row
                && label.says_each()
            {
                wrong.push((i, EACH.into()));
            }
        }
        if !flags.is_empty() && !numbers.is_empty() {
            for (i, row) in labelled_rows(dataset)? {
                let flag = |label: &LabelName| matches!(label, LabelName::Bool(_));
                if labels_of(&row?).iter().any(flag) {
                    wrong.push((i, FLAG_OR_NUMBER.into()));
                }
            }
        }
        if !wrong.is_empty() {
            return Err(dataset.refuse(wrong));
        }
        for flag in flags {
            let written = flag.to_string();
            if !names.iter().any(|name| name.eq_ignore_ascii_case(&written)) {
                names.insert(written);
            }
        }
        // A name that writes a number is that number beside others.
        let with_numbers = !numbers.is_empty();
        names.retain(|name| match number_of(name) {
            Some(number) if with_numbers => {
                numbers.insert(number);
                false
            }
            _ => true,
        });
        let numbers = numbers.into_iter().map(|number| number.to_string());
        let set = Self::new(numbers.chain(names).collect())?.with_numbers(NumberReading::Names);
        set.check_spaces(dataset)?;
        Ok(Self {
            lists: Some(ListReading::Named),
            ..set
        })
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
            LabelName::Name(_) | LabelName::Number(_) | LabelName::Bool(_) => None,
        };
        let mut wrong = Vec::new();
        for (i, row) in labelled_rows(dataset)? {
            wrong.extend(labels_of(&row?).iter().find_map(slip).map(|why| (i, why)));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(dataset.refuse(wrong)),
        }
    }

    /// The set with one reading of numbers for all rows of these files, decided from all of them.
    ///
    /// Numbers are the ids of outputs, unless names are numerals, and all numbers are names and
    /// some no id, or strings beside them are such names.
    ///
    /// # Errors
    ///
    /// [`TrainError::WrongTask`] where the rows have no labels; [`TrainError::Rows`] where a file
    /// writes both numbers that can only be ids and strings that are names.
    pub fn settled(&self, files: &[&Dataset]) -> Result<Self, TrainError> {
        let mut set = self.clone();
        if set.lists.is_none() && !files.is_empty() {
            set.lists = Some(ListReading::of(files, Some(self.len()))?.0);
        }
        if self.numbers.is_some() || !self.has_numerals() || set.lists() == ListReading::Each {
            return Ok(set);
        }
        let (mut numbers, mut strings) = (BTreeSet::new(), false);
        for file in files {
            for (_, row) in labelled_rows(file)? {
                let row = row?;
                let labels = labels_of(&row).iter();
                for label in labels.filter(|label| !label.is_no_target()) {
                    match self.number(label) {
                        Some(number) => drop(numbers.insert(number)),
                        None => strings |= self.is_numeral(label),
                    }
                }
            }
        }
        let id = |number: &i64| u64::try_from(*number).is_ok_and(|id| id < self.len() as u64);
        let name = |number: &i64| self.by_name.contains_key(&number.to_string());
        let n_names = numbers.iter().filter(|number| name(number)).count();
        let n_ids = numbers.iter().filter(|number| id(number)).count();
        let reading = match (numbers.len(), strings) {
            (0, false) => return Ok(set),
            (n, true) if n_names == n => NumberReading::Names,
            (_, true) => {
                for file in files {
                    let reason = "the label is a string of digits, which is the name of a class, but other rows have numbers that are no names, only ids; write all one way";
                    let mut mixed = Vec::new();
                    for (i, row) in labelled_rows(file)? {
                        let name =
                            |label: &LabelName| label.whole().is_none() && self.is_numeral(label);
                        if labels_of(&row?).iter().any(name) {
                            mixed.push((i, reason.to_owned()));
                        }
                    }
                    if !mixed.is_empty() {
                        return Err(file.refuse(mixed));
                    }
                }
                NumberReading::Ids
            }
            (_, false) if n_names > n_ids => NumberReading::Names,
            (_, false) => NumberReading::Ids,
        };
        Ok(set.with_numbers(reading))
    }

    /// How numbers are read: as settled, or else as names where one is a numeral.
    pub fn numbers(&self) -> NumberReading {
        self.numbers.unwrap_or(match self.has_numerals() {
            true => NumberReading::Names,
            false => NumberReading::Ids,
        })
    }

    /// How numbers are read, where that is settled and a name is a numeral, so that it could be
    /// asked.
    pub fn settled_numbers(&self) -> Option<NumberReading> {
        self.numbers.filter(|_| self.has_numerals())
    }

    /// How lists are read: as settled, or else as the names of classes.
    pub fn lists(&self) -> ListReading {
        self.lists.unwrap_or_default()
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

    /// The output of a class: that of its name, or that of its number as [`numbers`](Self::numbers)
    /// are read.
    ///
    /// # Errors
    ///
    /// What is wrong, with the nearest name.
    pub fn id<'a>(&'a self, label: &'a LabelName) -> Result<usize, UnknownLabel<'a>> {
        let unknown = || UnknownLabel { label, set: self };
        let id = match (self.number(label), self.numbers()) {
            (Some(number), NumberReading::Ids) => usize::try_from(number).ok(),
            (Some(number), NumberReading::Names) => self.by_name.get(&number.to_string()).copied(),
            (None, _) => match label {
                LabelName::Bool(flag) => self.flag(*flag),
                LabelName::Name(_) | LabelName::Number(_) => {
                    self.by_name.get(&label.to_string()).copied()
                }
            },
        };
        id.filter(|id| *id < self.len()).ok_or_else(unknown)
    }

    /// The number that a label is. True is 1 and false is 0, as everywhere in the field, where
    /// there are two classes and none is called so.
    fn number(&self, label: &LabelName) -> Option<i64> {
        match label {
            LabelName::Bool(flag) => {
                let named = self.flag(true).or(self.flag(false)).is_some();
                (self.len() == 2 && !named).then(|| i64::from(*flag))
            }
            LabelName::Name(_) | LabelName::Number(_) => label.whole(),
        }
    }

    /// The class that is called `true` or `false`, as JSON writes it or else in any case.
    fn flag(&self, flag: bool) -> Option<usize> {
        let written = flag.to_string();
        let in_any_case = || {
            let mut names = self.names.iter();
            names.position(|name| name.eq_ignore_ascii_case(&written))
        };
        self.by_name.get(&written).copied().or_else(in_any_case)
    }
}

/// Why a list that says 0 or 1 of each class names none.
const EACH: &str = "the label is a list that says of each class whether it applies, so all rows are to have one of 0 and 1, or true and false, of the same length; or write the classes that apply, as [\"a\", \"b\"]";
/// Why true and false are no classes beside numbers.
const FLAG_OR_NUMBER: &str =
    "the label is true or false, but other rows have numbers; write all one way";

/// Why -100 is no class of a text.
pub(super) const NO_TARGET: &str =
    "the label is -100, which marks what is no target; leave the row out";

/// The whole number that a name writes.
pub(super) fn number_of(name: &str) -> Option<i64> {
    let number: i64 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}

/// The classes that a row names.
fn labels_of(row: &Row) -> &[LabelName] {
    match row {
        Row::Labelled { label, .. } => label.names(),
        Row::Tagged { tags, .. } => tags,
        Row::Text { .. }
        | Row::Completion { .. }
        | Row::Chat { .. }
        | Row::Dialogue { .. }
        | Row::Instruction(_) => &[],
    }
}

/// The rows of a file, which name classes, with their indices.
fn labelled_rows(
    dataset: &Dataset,
) -> Result<impl Iterator<Item = (usize, Result<Row, TrainError>)>, TrainError> {
    match dataset.kind() {
        RowKind::Labelled | RowKind::Tagged => Ok(dataset.rows().enumerate()),
        RowKind::Text
        | RowKind::Completion
        | RowKind::Chat
        | RowKind::Dialogue
        | RowKind::Instruction => Err(dataset.wrong_task(
            "a classifier",
            "{\"text\", \"label\"} or {\"tokens\", \"tags\"}",
        )),
    }
}
