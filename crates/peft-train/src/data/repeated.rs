//! Rows that are there more than once.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::{Dataset, Row};

/// Where rows are, by what they say.
struct Found<'a> {
    rows: &'a [Row],
    by_hash: HashMap<u64, Vec<u32>>,
}

impl<'a> Found<'a> {
    fn new(rows: &'a [Row]) -> Self {
        Self {
            rows,
            by_hash: HashMap::with_capacity(rows.len()),
        }
    }

    /// The first row like this one, if there is one.
    fn like(&self, row: &Row) -> Option<usize> {
        let of_hash = self.by_hash.get(&hash(row))?.iter();
        let mut of_hash = of_hash.map(|found| *found as usize);
        of_hash.find(|found| self.rows[*found] == *row)
    }

    fn add(&mut self, index: usize) {
        let of_hash = self.by_hash.entry(hash(&self.rows[index])).or_default();
        of_hash.push(index as u32);
    }
}

fn hash(row: &Row) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}

impl Dataset {
    /// The rows that are there already, each with the first like it, by their indices.
    pub fn repeated(&self) -> Vec<(usize, usize)> {
        let mut found = Found::new(self.rows());
        let mut repeated = Vec::new();
        for (index, row) in self.rows().iter().enumerate() {
            match found.like(row) {
                Some(first) => repeated.push((index, first)),
                None => found.add(index),
            }
        }
        repeated
    }

    /// The rows that another set has too, each with the first like it there, by their indices.
    pub fn shared_with(&self, other: &Self) -> Vec<(usize, usize)> {
        let mut found = Found::new(other.rows());
        (0..other.rows().len()).for_each(|index| found.add(index));
        let rows = self.rows().iter().enumerate();
        rows.filter_map(|(index, row)| Some((index, found.like(row)?)))
            .collect()
    }
}
