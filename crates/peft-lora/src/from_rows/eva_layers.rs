//! [`Layers`]: the principal directions of each layer's inputs, and the ranks that they take.

use std::collections::BTreeMap;

use super::pca::Pca;
use super::probe::Rows;

/// What has been found of each layer.
pub(super) struct Layers {
    /// How many directions are sought, on those that are looked at.
    sought: Vec<Option<usize>>,
    /// The first layer that reads the same.
    alike: Vec<usize>,
    pca: Vec<Option<Pca>>,
}

impl Layers {
    pub(super) fn new(sought: Vec<Option<usize>>) -> Self {
        Self {
            alike: (0..sought.len()).collect(),
            pca: sought.iter().map(|_| None).collect(),
            sought,
        }
    }

    /// Take in a batch; the layer whose inputs are not finite.
    pub(super) fn fit(&mut self, rows: BTreeMap<usize, Rows>) -> Result<(), usize> {
        if self.pca.iter().all(Option::is_none) {
            self.find_alike(&rows);
        }
        for (at, (width, values)) in rows {
            let Some(sought) = self.sought[at].filter(|_| self.alike[at] == at) else {
                continue;
            };
            if values.len() / width.max(1) < sought {
                continue;
            }
            let pca = self.pca[at].get_or_insert_with(|| Pca::new(width, sought));
            pca.fit(&values).ok_or(at)?;
        }
        Ok(())
    }

    /// Layers that read one input, as queries, keys and values do, have its directions.
    fn find_alike(&mut self, rows: &BTreeMap<usize, Rows>) {
        for (at, own) in rows {
            let mut before = rows.range(..at);
            let first = before.find(|(other, rows)| {
                self.sought[**other].is_some() && self.alike[**other] == **other && *rows == own
            });
            if let (Some((first, _)), Some(sought)) = (first, self.sought[*at]) {
                self.alike[*at] = *first;
                let known = self.sought[*first].get_or_insert(sought);
                *known = sought.max(*known);
            }
        }
    }

    /// The rank of each layer where all have so many together; none while a layer was not read.
    pub(super) fn ranks(&self, budget: usize) -> Option<Vec<Option<usize>>> {
        let mut all: Vec<(f64, usize)> = Vec::new();
        for at in 0..self.sought.len() {
            if self.sought[at].is_some() {
                let pca = self.pca[self.alike[at]].as_ref()?;
                all.extend(pca.explained().map(|part| (part, at)));
            }
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut ranks: Vec<Option<usize>> = self.sought.iter().map(|of| of.map(|_| 0)).collect();
        for (_, at) in all.iter().take(budget) {
            ranks[*at] = ranks[*at].map(|rank| rank + 1);
        }
        // The first of those that are alike has the most.
        for at in 0..ranks.len() {
            let first = self.alike[at];
            if ranks[first] < ranks[at] {
                ranks.swap(first, at);
            }
        }
        Some(ranks)
    }

    /// Whether the directions that these ranks take are as they were a batch before.
    pub(super) fn settled(&self, ranks: &[Option<usize>], cosine: f64) -> bool {
        (0..ranks.len()).all(|at| match (ranks[at], &self.pca[at]) {
            (Some(rank), Some(pca)) => pca.settled(rank, cosine),
            _ => true,
        })
    }

    /// The first directions of a layer, row by row.
    pub(super) fn directions(&self, at: usize, rank: usize) -> Vec<f32> {
        let pca = self.pca[self.alike[at]].as_ref();
        pca.map_or_else(Vec::new, |pca| pca.directions(rank))
    }
}
