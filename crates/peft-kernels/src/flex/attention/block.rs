//! What both passes do with a block of queries and a tile of keys.

use super::heads::Heads;
use super::product::LANES;
use super::rowwise::Cap;
use crate::attention::Dropout;
use crate::attention::HIDDEN;
use crate::attention::rule::{Rule, TILE, View};

/// Rows of queries in a block, as far as whole positions of a group of heads go.
const BLOCK: usize = 192;

/// What attention reads.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) q: Heads<'a>,
    pub(super) k: Heads<'a>,
    pub(super) v: Heads<'a>,
    pub(super) rule: &'a Rule,
    pub(super) softcap: Option<f64>,
    pub(super) dropout: Option<Dropout>,
}

/// Some positions of the queries of one group of heads. Its rows are all heads of the group at the
/// first position, then those at the next.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) batch: usize,
    pub(super) kv_head: usize,
    pub(super) first: usize,
    pub(super) positions: usize,
}

impl Inputs<'_> {
    pub(super) fn groups(&self) -> usize {
        self.q.dims[1] / self.k.dims[1]
    }

    /// Positions of a block.
    pub(super) fn block(&self) -> usize {
        (BLOCK / self.groups()).max(1)
    }

    pub(super) fn blocks(&self) -> usize {
        self.q.dims[2].div_ceil(self.block())
    }

    pub(super) fn get(&self, batch: usize, kv_head: usize, i: usize) -> Block {
        let first = i * self.block();
        let positions = self.block().min(self.q.dims[2] - first);
        Block {
            batch,
            kv_head,
            first,
            positions,
        }
    }

    /// The numbers of a head, and those with what is added so that they are whole vectors.
    pub(super) fn width(&self) -> (usize, usize) {
        let width = self.q.dims[3];
        (width, width.next_multiple_of(LANES))
    }

    pub(super) fn cap(&self) -> Option<Cap> {
        let at = self
            .softcap
            .map(|cap| (cap * std::f64::consts::LOG2_E) as f32);
        at.map(|at| Cap { at })
    }

    pub(super) fn tiles(&self) -> usize {
        self.rule.keys.div_ceil(TILE)
    }

    /// `factor · x` of a block's rows, each with zeros behind it up to a whole number of vectors.
    #[inline(always)]
    pub(super) fn rows(&self, x: &Heads<'_>, block: &Block, factor: f32) -> Vec<f32> {
        let ((width, padded), groups) = (self.width(), self.groups());
        let mut out = vec![0.0; block.positions * groups * padded];
        for (i, out) in out.chunks_exact_mut(padded).enumerate() {
            let (position, member) = (i / groups, i % groups);
            let head = block.kv_head * groups + member;
            let x = x.row(block.batch, head, block.first + position);
            for (out, x) in out[..width].iter_mut().zip(x) {
                *out = factor * x;
            }
        }
        out
    }

    /// What the dropout of a block's row is made of.
    pub(super) fn draws(&self, block: &Block, row: usize) -> Option<(Dropout, u64)> {
        let groups = self.groups();
        let head = block.kv_head * groups + row % groups;
        let [_, heads, read, _] = self.q.dims;
        let place = (block.batch * heads + head) * read + block.first + row / groups;
        self.dropout.map(|dropout| (dropout, dropout.row(place)))
    }
}

/// What the positions of a block see of a tile.
pub(super) struct Views {
    views: Vec<View>,
    biases: Vec<[f32; TILE]>,
}

impl Views {
    pub(super) fn new(block: &Block) -> Self {
        Self {
            views: vec![View::Nothing; block.positions],
            biases: vec![[0.0; TILE]; block.positions],
        }
    }

    /// Look at a tile; false where none of it is seen.
    pub(super) fn look(&mut self, rule: &Rule, block: &Block, tile: usize) -> bool {
        let mut any = false;
        for (i, view) in self.views.iter_mut().enumerate() {
            let key = rule.key_of(block.batch, block.first + i);
            *view = rule.view(block.batch, key, tile);
            any |= *view != View::Nothing;
            if *view == View::Some {
                rule.bias(block.batch, key, tile, &mut self.biases[i]);
            }
        }
        any
    }

    /// Whether none of the positions of these rows sees any of it.
    pub(super) fn hides(&self, first: usize, last: usize, groups: usize) -> bool {
        self.views[first / groups..=last / groups]
            .iter()
            .all(|view| *view == View::Nothing)
    }

    /// What is added to a row's scores.
    pub(super) fn bias(&self, row: usize, groups: usize) -> Option<&[f32; TILE]> {
        const NOTHING: [f32; TILE] = [HIDDEN; TILE];
        match self.views[row / groups] {
            View::Nothing => Some(const { &NOTHING }),
            View::Some => Some(&self.biases[row / groups]),
            View::All => None,
        }
    }
}

/// The rows of a tile, each with zeros behind it up to `padded`, and zeros for keys that are not
/// there.
#[inline(always)]
pub(super) fn tile_rows(x: &Heads<'_>, block: &Block, tile: usize, padded: usize, out: &mut [f32]) {
    let keys = x.dims[2];
    for (i, out) in out.chunks_exact_mut(padded).enumerate() {
        let key = tile * TILE + i;
        if key < keys {
            let x = x.row(block.batch, block.kv_head, key);
            out[..x.len()].copy_from_slice(x);
        } else {
            out.fill(0.0);
        }
    }
}

/// The same, feature by feature: `[width, TILE]`.
#[inline(always)]
pub(super) fn tile_columns(x: &Heads<'_>, block: &Block, tile: usize, out: &mut [f32]) {
    let keys = x.dims[2];
    for i in 0..TILE {
        let key = tile * TILE + i;
        if key < keys {
            let x = x.row(block.batch, block.kv_head, key);
            for (column, x) in out.chunks_exact_mut(TILE).zip(x) {
                column[i] = *x;
            }
        } else {
            for column in out.chunks_exact_mut(TILE) {
                column[i] = 0.0;
            }
        }
    }
}
