//! [`pack`]: several sequences in a row.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Example;
use crate::{ExampleStore, TrainError};

/// Put examples together into rows of at most `max_length` tokens, so that less of a batch is
/// padding. Longer ones stay alone.
///
/// The sequences of a row do not see each other, so the loss and its gradients are those of the
/// examples apart. Best fit, longest first: each goes to the row that it leaves the least room in.
pub fn pack<E: Borrow<Example>>(examples: &[E], max_length: usize) -> Vec<Example> {
    let of = |index: usize| examples[index].borrow();
    let lengths: Vec<usize> = (0..examples.len()).map(|i| of(i).ids.len()).collect();
    let rows = packing(&lengths, max_length).into_iter();
    rows.map(|row| joined(row.into_iter().map(|index| of(index).clone())))
        .collect()
}

impl ExampleStore<Example> {
    /// The same, [packed](pack).
    ///
    /// # Errors
    ///
    /// As [`Examples::get`](crate::Examples::get), and [`TrainError::Io`] of another temporary
    /// file.
    pub fn packed(&self, max_length: usize) -> Result<Self, TrainError> {
        let mut packed = Self::default();
        for row in packing(&self.examples().lengths(), max_length) {
            let examples = self.examples().at(&row)?;
            packed.push(&joined(examples.into_iter().map(|of| of.into_owned())))?;
        }
        Ok(packed)
    }
}

/// Which examples of these lengths go into a row together, by their indices.
fn packing(lengths: &[usize], max_length: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|index| Reverse(lengths[*index]));
    let mut rows: Vec<(Vec<usize>, usize)> = Vec::new();
    // Rows by the room that is left in them.
    let mut rooms: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in order {
        let n = lengths[index];
        let best = rooms.range(n..).next().map(|(room, _)| *room);
        let row = best.and_then(|room| {
            let with_room = rooms.get_mut(&room)?;
            let row = with_room.pop();
            if with_room.is_empty() {
                rooms.remove(&room);
            }
            row
        });
        let row = match row {
            Some(row) => {
                rows[row].0.push(index);
                rows[row].1 += n;
                row
            }
            None => {
                rows.push((vec![index], n));
                rows.len() - 1
            }
        };
        let room = max_length.saturating_sub(rows[row].1);
        if room > 0 {
            rooms.entry(room).or_default().push(row);
        }
    }
    rows.into_iter().map(|(row, _)| row).collect()
}

/// Examples behind each other.
fn joined(examples: impl Iterator<Item = Example>) -> Example {
    let mut row = Example {
        ids: Vec::new(),
        targets: Vec::new(),
        starts: Vec::new(),
    };
    for example in examples {
        let offset = row.ids.len();
        let starts = example.starts.iter().map(|start| start + offset);
        row.starts.extend(starts);
        row.ids.extend(example.ids);
        row.targets.extend(example.targets);
    }
    row
}
