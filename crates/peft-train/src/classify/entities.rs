//! [`EntityReport`]: how well whole entities are told, from the tags of their words.
//!
//! An entity is a run of words of one kind, as CoNLL-2003's `conlleval` and the `seqeval` package
//! (by default) find them: it begins at `B-` or `S-`, where the kind changes, and after `O` or
//! what ends one (`E-`, `S-`), so that a run of `I-` alone is one too.

use std::collections::BTreeSet;

use serde::Serialize;

/// How well whole entities are told: right is one with its kind, its beginning and its end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EntityReport {
    /// The fraction that is right of those that were told.
    pub precision: f64,
    /// The fraction that was told of those that there are.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// How many there are.
    pub entities: usize,
}

/// Entities, counted row by row.
#[derive(Default)]
pub(super) struct EntityCounts {
    right: usize,
    told: usize,
    there: usize,
}

impl EntityCounts {
    /// None where tags of these names are not those of entities.
    pub(super) fn new(names: &[String]) -> Option<Self> {
        let is_entities = |name: &String| name == "O" || parts(name).is_some();
        let begins = |name: &String| name.starts_with("B-") || name.starts_with("I-");
        (names.iter().all(is_entities) && names.iter().any(begins)).then(Self::default)
    }

    /// One row more, by the tags of its words.
    pub(super) fn add(&mut self, truth: &[&str], told: &[&str]) {
        let (truth, told) = (entities(truth), entities(told));
        self.right += truth.intersection(&told).count();
        self.told += told.len();
        self.there += truth.len();
    }

    pub(super) fn report(&self) -> EntityReport {
        let part = |of: usize| self.right as f64 / of.max(1) as f64;
        EntityReport {
            precision: part(self.told),
            recall: part(self.there),
            f1: 2.0 * self.right as f64 / (self.told + self.there).max(1) as f64,
            entities: self.there,
        }
    }
}

/// What a tag says of its word's place, and the kind.
fn parts(tag: &str) -> Option<(&str, &str)> {
    let (place, kind) = tag.split_once('-')?;
    ["B", "I", "E", "S"]
        .contains(&place)
        .then_some((place, kind))
}

/// Kind, first word, and the word behind the last.
fn entities<'a>(tags: &[&'a str]) -> BTreeSet<(&'a str, usize, usize)> {
    let mut found = BTreeSet::new();
    let mut open: Option<(&str, usize)> = None;
    let mut ended = false;
    for (i, tag) in tags.iter().copied().chain(["O"]).enumerate() {
        let here = parts(tag);
        let goes_on = match (here, open) {
            (Some((place, kind)), Some((of, _))) => {
                kind == of && !ended && place != "B" && place != "S"
            }
            _ => false,
        };
        if !goes_on {
            if let Some((kind, first)) = open {
                found.insert((kind, first, i));
            }
            open = here.map(|(_, kind)| (kind, i));
        }
        ended = here.is_some_and(|(place, _)| place == "E" || place == "S");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_runs_of_a_kind() {
        for (tags, expected) in [
            ("B-P I-P O B-L", vec![("L", 3, 4), ("P", 0, 2)]),
            ("I-P I-P B-P", vec![("P", 0, 2), ("P", 2, 3)]),
            ("B-P I-L O", vec![("L", 1, 2), ("P", 0, 1)]),
            (
                "S-P I-P E-P I-P",
                vec![("P", 0, 1), ("P", 1, 3), ("P", 3, 4)],
            ),
            ("O O", vec![]),
        ] {
            let tags: Vec<&str> = tags.split(' ').collect();
            let found: Vec<_> = entities(&tags).into_iter().collect();
            assert_eq!(found, expected, "{tags:?}");
        }
    }

    #[test]
    fn an_entity_is_right_as_a_whole() {
        let names = ["O", "B-P", "I-P"].map(str::to_owned);
        let mut counts = EntityCounts::new(&names).expect("entities");
        counts.add(&["B-P", "I-P", "O"], &["B-P", "O", "O"]);
        counts.add(&["B-P"], &["B-P"]);
        let report = counts.report();
        assert_eq!(
            (report.precision, report.recall, report.f1),
            (0.5, 0.5, 0.5)
        );
        let others = ["size", "hue"].map(str::to_owned);
        assert!(EntityCounts::new(&others).is_none());
    }
}
