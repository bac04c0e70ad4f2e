//! [`Visibility`]: what each query of a pass sees.

use std::sync::{Arc, OnceLock};

use burn::tensor::{Bool, DType, Device, Int, Tensor};

#[cfg(feature = "flex")]
use super::rule::Rule;
use super::sight::{EVERY_SEQUENCE, HIDDEN, Sight};

/// Which keys each query of a pass sees: those in its sight that are of its own segment. A handle;
/// what is computed of it is computed when it is first asked for, and once.
///
/// Every query sees itself. What is cached before a text that is read in both directions is a
/// prefix, which all of it sees.
#[derive(Debug, Clone)]
pub struct Visibility {
    spec: VisibilitySpec,
    forms: Arc<VisibilityForms>,
}

#[derive(Debug, Clone)]
struct VisibilitySpec {
    sight: Sight,
    cached: usize,
    positions: usize,
    segments: Option<Tensor<2, Int>>,
    queries: Option<Tensor<2, Int>>,
    places: Option<Tensor<2, Int>>,
}

#[derive(Debug, Default)]
struct VisibilityForms {
    /// `[1 or batch, 1, 1, queries, keys]`; none where every query sees every key.
    bias: OnceLock<Option<Tensor<5>>>,
    #[cfg(feature = "flex")]
    rule: OnceLock<Arc<Rule>>,
}

impl Visibility {
    /// `positions` new ones behind `cached` ones: each of the new ones is a query, all are keys.
    pub fn new(sight: Sight, cached: usize, positions: usize) -> Self {
        let spec = VisibilitySpec {
            sight,
            cached,
            positions,
            segments: None,
            queries: None,
            places: None,
        };
        Self::of(spec)
    }

    fn of(spec: VisibilitySpec) -> Self {
        Self {
            spec,
            forms: Arc::default(),
        }
    }

    /// The segment of each key, `[batch, keys]`: a query sees those of its own key's and of
    /// [`EVERY_SEQUENCE`].
    #[must_use]
    pub fn with_segments(self, segments: Option<Tensor<2, Int>>) -> Self {
        Self::of(VisibilitySpec {
            segments: wide(segments),
            ..self.spec
        })
    }

    /// The new positions that are queries, `[batch, queries]`, counted without the cached ones.
    #[must_use]
    pub fn with_queries(self, queries: Option<Tensor<2, Int>>) -> Self {
        Self::of(VisibilitySpec {
            queries: wide(queries),
            ..self.spec
        })
    }

    /// The place of each key in its row, `[batch, keys]`, where rows are of different lengths: what
    /// is in sight is told by these, and not by the order of keys.
    #[must_use]
    pub fn with_places(self, places: Option<Tensor<2, Int>>) -> Self {
        Self::of(VisibilitySpec {
            places: wide(places),
            ..self.spec
        })
    }

    /// The new positions that are queries, where not all are.
    pub fn queries(&self) -> Option<&Tensor<2, Int>> {
        self.spec.queries.as_ref()
    }

    /// How many keys there are in a row.
    pub(super) fn keys(&self) -> usize {
        self.spec.cached + self.spec.positions
    }

    /// How many queries there are in a row.
    pub(super) fn queried(&self) -> usize {
        let queries = self.spec.queries.as_ref();
        queries.map_or(self.spec.positions, |queries| queries.dims()[1])
    }

    /// The scores, with [`HIDDEN`] added to those of keys that are not seen.
    ///
    /// # Shapes
    ///
    /// `scores` is `[batch, kv_heads, groups · queries, keys]`.
    pub(super) fn hide(&self, scores: Tensor<4>) -> Tensor<4> {
        let device = scores.device();
        let Some(bias) = self.forms.bias.get_or_init(|| self.spec.bias(&device)) else {
            return scores;
        };
        let [batch, heads, rows, keys] = scores.dims();
        let queries = self.queried();
        let grouped = scores.reshape([batch, heads, rows / queries, queries, keys]);
        (grouped + bias.clone()).reshape([batch, heads, rows, keys])
    }

    /// The same on the host.
    #[cfg(feature = "flex")]
    pub(crate) fn rule(&self) -> Arc<Rule> {
        self.forms
            .rule
            .get_or_init(|| Arc::new(self.spec.rule()))
            .clone()
    }
}

/// In one type, whatever the device's own is: no operation takes two.
fn wide(ints: Option<Tensor<2, Int>>) -> Option<Tensor<2, Int>> {
    ints.map(|ints| ints.cast(DType::I64))
}

impl VisibilitySpec {
    /// Whether places hide no key from any query.
    fn places_hide_nothing(&self) -> bool {
        let farthest = self.cached + self.positions - 1;
        let by_order = !self.sight.causal || self.positions == 1;
        self.places.is_none() && by_order && self.sight.reach.is_none_or(|reach| reach >= farthest)
    }

    fn bias(&self, device: &Device) -> Option<Tensor<5>> {
        if self.segments.is_none() && self.places_hide_nothing() {
            return None;
        }
        let (cached, keys) = (self.cached, self.cached + self.positions);
        let indices = Tensor::<1, Int>::arange(0..keys as i64, (device, DType::I64));
        let of_keys: Tensor<2, Int> = indices.unsqueeze();
        let of_queries = match &self.queries {
            Some(queries) => queries.clone().add_scalar(cached as i64),
            None => of_keys.clone().narrow(1, cached, self.positions),
        };
        let at_queries = |of: &Tensor<2, Int>| match &self.queries {
            Some(_) => of.clone().gather(1, of_queries.clone()),
            None => of.clone().narrow(1, cached, self.positions),
        };
        let queries = of_queries.dims()[1];
        let with_rows = [&self.segments, &self.queries, &self.places];
        let rows = with_rows.into_iter().flatten().next();
        let rows = rows.map_or(1, |of| of.dims()[0]);
        let by_query = |of: Tensor<2, Int>| of.unsqueeze_dim::<3>(2).expand([rows, queries, keys]);
        let by_key = |of: Tensor<2, Int>| of.unsqueeze_dim::<3>(1).expand([rows, queries, keys]);
        let (from, to) = match &self.places {
            Some(places) => (at_queries(places), places.clone()),
            None => (of_queries.clone(), of_keys.clone()),
        };
        let ahead = by_key(to) - by_query(from); // [rows, queries, keys]
        let after = (self.sight.causal).then(|| ahead.clone().greater_elem(0));
        let far = self.sight.reach;
        let far = far.map(|reach| ahead.clone().abs().greater_elem(reach as i64));
        let or = |a: Option<Tensor<3, Bool>>, b: Option<Tensor<3, Bool>>| match (a, b) {
            (Some(a), Some(b)) => Some(a.bool_or(b)),
            (a, b) => a.or(b),
        };
        let text = (!self.sight.causal && cached > 0)
            .then(|| by_key(of_keys.clone()).greater_elem(cached as i64 - 1));
        let by_place = match (or(after, far), text) {
            (Some(hidden), Some(text)) => Some(hidden.bool_and(text)),
            (hidden, _) => hidden,
        };
        let by_segment = self.segments.as_ref().map(|segments| {
            let (own, of_key) = (by_query(at_queries(segments)), by_key(segments.clone()));
            let shared = of_key.clone().equal_elem(EVERY_SEQUENCE);
            own.not_equal(of_key).bool_and(shared.bool_not())
        });
        let hidden = or(by_place, by_segment)?.float().cast(DType::F32);
        Some(
            hidden
                .mul_scalar(HIDDEN)
                .reshape([rows, 1, 1, queries, keys]),
        )
    }

    #[cfg(feature = "flex")]
    fn rule(&self) -> Rule {
        let read = |of: &Option<Tensor<2, Int>>| -> Option<Vec<i64>> {
            of.as_ref()
                .map(|of| of.clone().into_data().iter().collect())
        };
        let queries = self.queries.as_ref().map(|queries| {
            let places = queries.clone().into_data();
            places
                .iter::<i64>()
                .map(|place| self.cached + place as usize)
                .collect()
        });
        let keys = self.cached + self.positions;
        let per_row = self
            .queries
            .as_ref()
            .map_or(self.positions, |queries| queries.dims()[1]);
        Rule::new(
            self.sight,
            (self.cached, keys, per_row),
            queries,
            read(&self.segments),
            read(&self.places),
        )
    }
}
