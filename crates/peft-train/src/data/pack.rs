//! [`pack`]: several sequences in a row.

use std::collections::BTreeMap;

use super::Example;

/// Put examples together into rows of at most `max_length` tokens, so that less of a batch is
/// padding. Longer ones stay alone.
///
/// The sequences of a row do not see each other, so the loss and its gradients are those of the
/// examples apart. Best fit, longest first: each goes to the row that it leaves the least room in.
pub fn pack(mut examples: Vec<Example>, max_length: usize) -> Vec<Example> {
    examples.sort_by_key(|example| std::cmp::Reverse(example.ids.len()));
    let mut rows: Vec<Example> = Vec::new();
    // Rows by the room that is left in them.
    let mut rooms: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for example in examples {
        let n = example.ids.len();
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
                append(&mut rows[row], example);
                row
            }
            None => {
                rows.push(example);
                rows.len() - 1
            }
        };
        let room = max_length.saturating_sub(rows[row].ids.len());
        if room > 0 {
            rooms.entry(room).or_default().push(row);
        }
    }
    rows
}

fn append(row: &mut Example, example: Example) {
    let offset = row.ids.len();
    row.starts
        .extend(example.starts.iter().map(|start| start + offset));
    row.ids.extend(example.ids);
    row.targets.extend(example.targets);
}
