//! [`Context`]: what all blocks of a pass share.

use std::sync::{Arc, OnceLock};

use burn::tensor::kind::Basic;
use burn::tensor::{DType, Device, Distribution, Int, Tensor};
use peft_kernels::{Dropout, EVERY_SEQUENCE, Visibility};

use crate::rotation::Rotation;
use crate::rows::Rows;
use crate::{KvCache, Look, Pass, Read, Stages};

/// A layer's keys and values, `[1 or batch, n_kv_heads, positions, head_dim]`.
type Layer = (Tensor<4>, Tensor<4>);

/// What all blocks of a pass share, made once: what each sees, rotations, positions. It changes no
/// more; blocks run with it any number of times.
#[derive(Debug)]
pub struct Context {
    batch: usize,
    positions: usize,
    cached: usize,
    segments: Option<Tensor<2, Int>>,
    lengths: Option<Vec<usize>>,
    types: Option<Tensor<2, Int>>,
    noise: Option<Tensor<2>>,
    at: Option<Tensor<2, Int>>,
    reads_virtual: bool,
    is_first: bool,
    given: Vec<Layer>,
    rows: Option<Arc<Rows>>,
    views: Vec<View>,
    /// The view of each block.
    view_of: Vec<usize>,
    dropout: OnceLock<Option<Dropout>>,
    /// Of the tokens, and of all that is no block.
    device: Device,
    /// Of each block.
    devices: Vec<Device>,
}

/// What blocks see that look alike.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) seen: Visibility,
    pub(crate) rotation: Option<Rotation>,
}

impl Context {
    pub(crate) fn new(
        stages: &dyn Stages,
        [batch, positions]: [usize; 2],
        pass: Pass,
        cache: Option<&KvCache>,
        device: &Device,
    ) -> Self {
        let Pass {
            segments,
            lengths,
            types,
            noise,
            read,
        } = pass;
        let reads_virtual = matches!(read, Read::All | Read::First);
        let mut context = Self {
            batch,
            positions,
            cached: cache.map_or(0, KvCache::len),
            segments,
            lengths: lengths.filter(|lengths| lengths.iter().any(|length| *length != positions)),
            types,
            noise,
            at: match read {
                Read::Text | Read::All => None,
                Read::At(at) => Some(at),
                Read::First => Some(Tensor::zeros([batch, 1], (device, DType::I64))),
            },
            reads_virtual,
            is_first: cache.is_none_or(KvCache::is_unread),
            given: Vec::new(),
            rows: cache.and_then(KvCache::rows),
            views: Vec::new(),
            view_of: Vec::new(),
            dropout: OnceLock::new(),
            device: device.clone(),
            devices: (0..stages.spec().n_blocks)
                .map(|block| stages.device(block).unwrap_or_else(|| device.clone()))
                .collect(),
        };
        stages.prepare(&mut context);
        context.lay_out();
        context.look(stages);
        context
    }

    /// Where rows differ in length, padding is a segment of its own, and places are counted by row.
    fn lay_out(&mut self) {
        if self.rows.is_none() && self.lengths.is_none() {
            return;
        }
        assert!(
            self.segments.is_none(),
            "rows have lengths or segments, not both"
        );
        let before = match self.rows.take() {
            Some(rows) => Arc::unwrap_or_clone(rows),
            None => Rows::whole(self.batch, self.cached),
        };
        let lengths = self.lengths.take();
        let lengths = lengths.unwrap_or_else(|| vec![self.positions; self.batch]);
        let rows = before.with(self.positions, &lengths);
        self.segments = Some(rows.segments(&self.device));
        self.rows = Some(Arc::new(rows));
    }

    fn look(&mut self, stages: &dyn Stages) {
        let spec = stages.spec();
        let mut looks: Vec<(Look<'_>, &Device)> = Vec::new();
        for (block, device) in self.devices.iter().enumerate() {
            let look = (stages.look(block), device);
            let known = looks.iter().position(|known| *known == look);
            self.view_of.push(known.unwrap_or(looks.len()));
            if known.is_none() {
                looks.push(look);
            }
        }
        let views = looks.into_iter().map(|(look, device)| {
            let places = self.rows.as_ref().map(|rows| rows.places(0, device));
            let segments = self.segments.clone().map(|of| on(of, device));
            View {
                seen: Visibility::new(look.sight, self.cached, self.positions)
                    .with_segments(segments)
                    .with_places(places),
                rotation: look
                    .rope
                    .map(|rope| Rotation::new(rope, spec.head_dim, self, device)),
            }
        });
        self.views = views.collect();
        // The last block alone is asked at what is read.
        if let (Some(at), Some(device)) = (self.at.take(), self.devices.last()) {
            self.at = Some(on(at, device));
        }
        if let (Some(at), Some(last)) = (&self.at, self.view_of.last_mut()) {
            let View { seen, rotation } = &self.views[*last];
            let read = View {
                seen: seen.clone().with_queries(Some(at.clone())),
                rotation: rotation.as_ref().map(|rotation| rotation.at(at)),
            };
            *last = self.views.len();
            self.views.push(read);
        }
    }

    /// Put positions before the text, in the sequence that each row begins with: a soft prompt's.
    /// Those that are inserted later come before.
    pub fn insert(&mut self, positions: usize) {
        self.put(positions, |segments, cached| {
            let first = segments.clone().narrow(1, cached, 1);
            first.expand([segments.dims()[0], positions])
        });
        self.positions += positions;
        self.types = self.types.take().map(|types| {
            let options = (&types.device(), types.dtype());
            let before = Tensor::zeros([types.dims()[0], positions], options);
            Tensor::cat(vec![before, types], 1)
        });
        for length in self.lengths.iter_mut().flatten() {
            *length += positions;
        }
        if !self.reads_virtual {
            self.at = self.at.take().map(|at| at + positions as i64);
        }
    }

    /// Put keys and values before the text, a pair a layer, that every sequence sees: a prefix's.
    /// The text's positions count from their end. Those that are given later come behind.
    ///
    /// # Shapes
    ///
    /// All are `[1 or batch, n_kv_heads, positions, head_dim]`, keys as attention compares them,
    /// after any rotation.
    pub fn give(&mut self, layers: Vec<(Tensor<4>, Tensor<4>)>) {
        let positions = layers.first().map_or(0, |(keys, _)| keys.dims()[2]);
        self.put(positions, |segments, _| {
            let options = (&segments.device(), segments.dtype());
            Tensor::full([segments.dims()[0], positions], EVERY_SEQUENCE, options)
        });
        self.cached += positions;
        let placed = layers.into_iter().zip(&self.devices);
        let layers: Vec<Layer> = placed
            .map(|((k, v), device)| (on(k, device), on(v, device)))
            .collect();
        let before = std::mem::take(&mut self.given);
        self.given = match before.is_empty() {
            true => layers,
            false => before
                .into_iter()
                .zip(layers)
                .map(|(before, layer)| behind(before, layer))
                .collect(),
        };
    }

    /// Cut what was given from the graph that made it, and return it as it was.
    pub fn cut_given(&mut self) -> Vec<(Tensor<4>, Tensor<4>)> {
        let cut = |(k, v): &Layer| (k.clone().detach(), v.clone().detach());
        let cut = self.given.iter().map(cut).collect();
        std::mem::replace(&mut self.given, cut)
    }

    /// Ask for gradients of what was given and cut, where `given` is tracked.
    pub fn track_given(&mut self, given: &[(Tensor<4>, Tensor<4>)]) {
        for ((k, v), (key, value)) in self.given.iter_mut().zip(given) {
            *k = k.clone().set_require_grad(key.is_tracked());
            *v = v.clone().set_require_grad(value.is_tracked());
        }
    }

    /// The type of each new position, virtual ones included, `[batch, positions]`; none where all
    /// are 0.
    pub fn types(&self) -> Option<&Tensor<2, Int>> {
        self.types.as_ref()
    }

    /// Embeddings of the text with the pass's noise, drawn from their device; as they are where it
    /// has none.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`, without virtual tokens.
    pub(crate) fn with_noise(&self, embeds: Tensor<3>) -> Tensor<3> {
        let Some(largest) = &self.noise else {
            return embeds;
        };
        let (shape, one) = (embeds.dims(), Distribution::Uniform(-1.0, 1.0));
        let drawn = Tensor::<3>::random(shape, one, (&embeds.device(), DType::F32));
        let noise = drawn * largest.clone().unsqueeze_dim(2);
        let dtype = embeds.dtype();
        embeds + noise.cast(dtype)
    }

    /// What was given, a pair a layer.
    pub fn given(&self) -> &[(Tensor<4>, Tensor<4>)] {
        &self.given
    }

    /// Put segments between those of what is cached and those of the text.
    fn put(&mut self, n: usize, of: impl FnOnce(&Tensor<2, Int>, usize) -> Tensor<2, Int>) {
        let Some(segments) = self.segments.take().filter(|_| n > 0) else {
            return;
        };
        let (cached, all) = (self.cached, segments.dims()[1]);
        let mut parts = vec![of(&segments, cached)];
        if cached > 0 {
            parts.insert(0, segments.clone().narrow(1, 0, cached));
        }
        parts.push(segments.narrow(1, cached, all - cached));
        self.segments = Some(Tensor::cat(parts, 1));
    }

    /// How many positions are before the new ones, given or read; padding counts.
    pub fn cached(&self) -> usize {
        self.cached
    }

    /// The place in its row of each new position, `[1 or batch, positions]`: one row where all are
    /// alike. Padding has the last place of its text, where lengths tell it.
    pub fn places(&self) -> Tensor<2, Int> {
        match &self.rows {
            Some(rows) => rows.places(self.cached, &self.device),
            None => {
                let range = self.cached as i64..(self.cached + self.positions) as i64;
                Tensor::<1, Int>::arange(range, (&self.device, DType::I64)).unsqueeze()
            }
        }
    }

    /// The places of the new positions in each row, and the length that the row comes to; one row
    /// where all are alike.
    pub(crate) fn rows_of_places(&self) -> Vec<(Vec<usize>, usize)> {
        let Some(rows) = &self.rows else {
            let length = self.cached + self.positions;
            return vec![((self.cached..length).collect(), length)];
        };
        let lengths = rows.lengths().into_iter().enumerate();
        lengths
            .map(|(row, length)| (rows.places_of(row, self.cached), length))
            .collect()
    }

    /// The sequence that each position belongs to, `[batch, cached + positions]`, with what is put
    /// before the text; none where each row is one sequence.
    pub fn segments(&self) -> Option<Tensor<2, Int>> {
        self.segments.clone()
    }

    /// Whether nothing was read before this pass, so that virtual tokens are read in it.
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// Whether the states of all positions are computed and those of virtual tokens not read.
    pub(crate) fn reads_text(&self) -> bool {
        !self.reads_virtual && self.at.is_none()
    }

    /// The positions that the states of this block are of; all where none.
    pub(crate) fn read_by(&self, block: usize) -> Option<&Tensor<2, Int>> {
        self.at.as_ref().filter(|_| block + 1 == self.view_of.len())
    }

    pub(crate) fn view(&self, block: usize) -> &View {
        &self.views[self.view_of[block]]
    }

    pub(crate) fn rows(&self) -> Option<Arc<Rows>> {
        self.rows.clone()
    }

    /// States on the device of a block.
    pub(crate) fn at_block(&self, block: usize, x: Tensor<3>) -> Tensor<3> {
        on(x, &self.devices[block])
    }

    /// States on the device of all that is no block.
    pub(crate) fn back(&self, x: Tensor<3>) -> Tensor<3> {
        on(x, &self.device)
    }

    /// A layer's keys and values behind those that were given to it.
    pub(crate) fn behind_given(&self, block: usize, layer: Layer) -> Layer {
        match self.given.get(block) {
            Some(given) => behind(given.clone(), layer),
            None => layer,
        }
    }

    /// Dropout of attention's weights in a block: the same however often it runs in this pass.
    pub(crate) fn dropout(&self, block: usize, rate: f64, device: &Device) -> Option<Dropout> {
        if rate == 0.0 {
            return None;
        }
        let drawn = *self.dropout.get_or_init(|| Dropout::drawn(rate, device));
        let own = (block as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        drawn.map(|Dropout { seed, .. }| Dropout {
            rate,
            seed: seed ^ own,
        })
    }
}

/// A tensor on a device, as it is where it is there: a move is an operation of the graph.
fn on<const D: usize, K: Basic>(x: Tensor<D, K>, device: &Device) -> Tensor<D, K> {
    match x.device() == *device {
        true => x,
        false => x.to_device(device),
    }
}

/// Keys and values one behind the other, in the batch and type of the latter.
fn behind(before: Layer, layer: Layer) -> Layer {
    let join = |before: Tensor<4>, after: Tensor<4>| {
        let ([_, heads, n, width], batch) = (before.dims(), after.dims()[0]);
        let before = before.cast(after.dtype()).expand([batch, heads, n, width]);
        Tensor::cat(vec![before, after], 2)
    };
    (join(before.0, layer.0), join(before.1, layer.1))
}
