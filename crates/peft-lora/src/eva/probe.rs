//! [`InputProbe`]: an adapter that changes nothing and keeps what its layer reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use peft_core::{Adapter, FrozenLinear, FrozenWeight, LayerInput};

use super::pca::Pca;

/// Rows of a layer's input: their width and their values.
pub(super) type Rows = (usize, Vec<f32>);

/// What the probes of a model have read since it was last taken, layer by layer.
#[derive(Debug, Clone, Default)]
pub struct InputReader(Arc<Mutex<Read>>);

#[derive(Debug, Default)]
struct Read {
    counting: Vec<i32>,
    layers: BTreeMap<usize, Rows>,
}

impl InputReader {
    /// These rows of the text that runs next count, by their positions; the others are passed over.
    pub fn count(&self, positions: impl IntoIterator<Item = usize>) {
        let positions = positions.into_iter();
        let positions = positions.filter_map(|at| i32::try_from(at).ok());
        self.lock(|read| read.counting = positions.collect());
    }

    pub(super) fn take(&self) -> BTreeMap<usize, Rows> {
        self.lock(|read| std::mem::take(&mut read.layers))
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Read) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Stands on a layer whose inputs are looked at.
#[derive(Module, Debug)]
pub(super) struct InputProbe {
    #[module(skip)]
    at: usize,
    #[module(skip)]
    reader: InputReader,
}

impl InputProbe {
    pub(super) fn new(at: usize, reader: InputReader) -> Self {
        Self { at, reader }
    }
}

impl Adapter for InputProbe {
    const NAME: &'static str = "input-probe";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        base.dense()
    }

    fn needs_factored_path(&self, _training: bool) -> Option<&'static str> {
        Some("it looks at the layer's input")
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let rows = x.rows().without_autodiff();
        let [n, width] = rows.dims();
        let counting = self.reader.lock(|read| read.counting.clone());
        let counting: Vec<i32> = counting
            .into_iter()
            .filter(|at| (*at as usize) < n)
            .collect();
        if !counting.is_empty() {
            let count = counting.len();
            let counting = TensorData::new(counting, [count]);
            let counting = Tensor::<1, Int>::from_data(counting, &rows.device());
            let values = rows.select(0, counting).into_data();
            self.reader.lock(|read| {
                let known = read
                    .layers
                    .entry(self.at)
                    .or_insert_with(|| (width, Vec::new()));
                known.1.extend(values.iter::<f32>());
            });
        }
        base.forward(x)
    }
}

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
