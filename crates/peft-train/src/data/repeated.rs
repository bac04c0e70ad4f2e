//! Rows that are there more than once.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Dataset, Row};
use crate::TrainError;

/// Where rows are, by what they say: their hashes, in order, with their indices.
struct Found<'a> {
    rows: &'a Dataset,
    by_hash: Vec<(u64, usize)>,
}

impl<'a> Found<'a> {
    fn new(rows: &'a Dataset) -> Result<Self, TrainError> {
        let mut by_hash = Vec::with_capacity(rows.len());
        for (index, row) in rows.rows().enumerate() {
            by_hash.push((hash(&row?), index));
        }
        by_hash.sort_unstable();
        Ok(Self { rows, by_hash })
    }

    /// The first row before this index that is like this one, if there is one.
    fn like(&self, row: &Row, before: usize) -> Result<Option<usize>, TrainError> {
        let hash = hash(row);
        let from = self.by_hash.partition_point(|(of, _)| *of < hash);
        for (of, index) in &self.by_hash[from..] {
            if *of != hash || *index >= before {
                break;
            }
            if self.rows.row(*index)? == *row {
                return Ok(Some(*index));
            }
        }
        Ok(None)
    }
}

fn hash(row: &Row) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}

impl Dataset {
    /// The rows that are there already, each with the first like it, by their indices.
    ///
    /// # Errors
    ///
    /// As [`row`](Self::row).
    pub fn repeated(&self) -> Result<Vec<(usize, usize)>, TrainError> {
        self.in_found(&Found::new(self)?, true)
    }

    /// The rows that another set has too, each with the first like it there, by their indices.
    ///
    /// # Errors
    ///
    /// As [`row`](Self::row).
    pub fn shared_with(&self, other: &Self) -> Result<Vec<(usize, usize)>, TrainError> {
        self.in_found(&Found::new(other)?, false)
    }

    fn in_found(&self, found: &Found<'_>, before: bool) -> Result<Vec<(usize, usize)>, TrainError> {
        let mut pairs = Vec::new();
        for (index, row) in self.rows().enumerate() {
            let end = if before { index } else { usize::MAX };
            if let Some(first) = found.like(&row?, end)? {
                pairs.push((index, first));
            }
        }
        Ok(pairs)
    }
}
