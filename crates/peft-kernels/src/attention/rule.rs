//! [`Rule`]: which keys each query sees, on the host.

use super::sight::{EVERY_SEQUENCE, HIDDEN, Sight};

/// Keys of a tile.
pub(crate) const TILE: usize = 64;

/// Which keys each query of a batch sees, with what tells of a whole tile of keys that all or none
/// are seen.
#[derive(Debug)]
pub(crate) struct Rule {
    sight: Sight,
    cached: usize,
    pub(crate) keys: usize,
    /// Queries of a row.
    read: usize,
    /// The key of each query, `[batch, read]`; none where they are those after the cached ones.
    queries: Option<Vec<usize>>,
    /// `[batch, keys]`.
    segments: Option<Vec<i64>>,
    /// `[batch, keys]`; none where each key's is its index.
    places: Option<Vec<i64>>,
    /// Of each tile of each row, or of all rows where there is nothing that tells them apart.
    spans: Vec<Span>,
}

/// What lies in a tile.
#[derive(Debug)]
struct Span {
    /// The least and the largest place.
    places: (i64, i64),
    /// The least and the largest segment but [`EVERY_SEQUENCE`].
    segments: Option<(i64, i64)>,
    /// Whether there are keys of [`EVERY_SEQUENCE`].
    shared: bool,
}

/// What a query sees of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Nothing,
    Some,
    All,
}

impl Rule {
    pub(crate) fn new(
        sight: Sight,
        (cached, keys, read): (usize, usize, usize),
        queries: Option<Vec<usize>>,
        segments: Option<Vec<i64>>,
        places: Option<Vec<i64>>,
    ) -> Self {
        let rows = [&segments, &places]
            .iter()
            .find_map(|of| of.as_ref().map(|of| of.len() / keys.max(1)))
            .unwrap_or(1);
        let span = |row: usize, start: usize| {
            let end = keys.min(start + TILE);
            let within = row * keys + start..row * keys + end;
            let range = |of: &[i64]| {
                let all = || of.iter().filter(|value| **value != EVERY_SEQUENCE);
                Some((*all().min()?, *all().max()?))
            };
            let own = segments.as_ref().map(|of| &of[within.clone()]);
            let placed = places.as_ref().map(|of| &of[within]);
            Span {
                places: placed.map_or((start as i64, end as i64 - 1), |of| {
                    let all = || of.iter().copied();
                    (all().min().unwrap_or(0), all().max().unwrap_or(0))
                }),
                segments: own.and_then(range),
                shared: own.is_some_and(|of| of.contains(&EVERY_SEQUENCE)),
            }
        };
        let tiles = || (0..keys).step_by(TILE);
        let spans = (0..rows)
            .flat_map(|row| tiles().map(move |start| (row, start)))
            .map(|(row, start)| span(row, start))
            .collect();
        Self {
            sight,
            cached,
            keys,
            read,
            queries,
            segments,
            places,
            spans,
        }
    }

    /// The key of a query.
    pub(crate) fn key_of(&self, row: usize, query: usize) -> usize {
        match &self.queries {
            Some(keys) => keys[row * self.read + query],
            None => self.cached + query,
        }
    }

    fn place(&self, row: usize, key: usize) -> i64 {
        match &self.places {
            Some(places) => places[row * self.keys + key],
            None => key as i64,
        }
    }

    fn segment(&self, row: usize, key: usize) -> Option<i64> {
        self.segments.as_ref().map(|of| of[row * self.keys + key])
    }

    /// Whether all of the keys before a text are seen whatever their place.
    fn prefix(&self) -> usize {
        if self.sight.causal { 0 } else { self.cached }
    }

    /// Whether the query whose key is `query` sees `key`.
    pub(crate) fn sees(&self, row: usize, query: usize, key: usize) -> bool {
        let (from, to) = (self.place(row, query), self.place(row, key));
        let by_place = key < self.prefix()
            || (!self.sight.causal || to <= from)
                && self
                    .sight
                    .reach
                    .is_none_or(|reach| from.abs_diff(to) <= reach as u64);
        by_place
            && self.segment(row, key).is_none_or(|of_key| {
                of_key == EVERY_SEQUENCE || Some(of_key) == self.segment(row, query)
            })
    }

    /// What the query whose key is `query` sees of a tile.
    pub(crate) fn view(&self, row: usize, query: usize, tile: usize) -> View {
        let tiles = self.keys.div_ceil(TILE);
        let row_of_spans = if self.spans.len() == tiles { 0 } else { row };
        let span = &self.spans[row_of_spans * tiles + tile];
        let (start, end) = (tile * TILE, (tile + 1) * TILE);
        let place = self.place(row, query);
        let reach = self.sight.reach.map_or(i64::MAX / 2, |reach| reach as i64);
        let until = if self.sight.causal {
            place
        } else {
            place.saturating_add(reach)
        };
        let from = place.saturating_sub(reach);
        let (least, largest) = span.places;
        let mut all = end <= self.prefix() || from <= least && largest <= until;
        let mut none = start >= self.prefix() && (largest < from || until < least);
        if let Some(own) = self.segment(row, query) {
            all &= span.segments.is_none_or(|range| range == (own, own));
            none |= !span.shared
                && span
                    .segments
                    .is_none_or(|(least, largest)| own < least || largest < own);
        }
        match (none, all && end <= self.keys) {
            (true, _) => View::Nothing,
            (false, true) => View::All,
            (false, false) => View::Some,
        }
    }

    /// What is added to the scores of a tile's keys.
    pub(crate) fn bias(&self, row: usize, query: usize, tile: usize, out: &mut [f32; TILE]) {
        for (i, out) in out.iter_mut().enumerate() {
            let key = tile * TILE + i;
            let seen = key < self.keys && self.sees(row, query, key);
            *out = if seen { 0.0 } else { HIDDEN };
        }
    }
}
