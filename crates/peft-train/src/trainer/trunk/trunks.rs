//! [`Trunks`]: the trunks of a run, one after the other, and [`Trunk`], the one that is frozen now.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{FrozenWeight, ParamPlace, VisitParams, visit_params};
use peft_layerwise::{BlockPlace, Depth};

use super::{Span, TrunkCache, TrunkRefusal, TrunkReport, TrunkUse};
use crate::batch::{plan, shares};
use crate::eval::device_of;
use crate::store::{ByteStore, StoreLimits, borrowed};
use crate::trainer::lazy_tensor::zeros;
use crate::trainer::workers::Placement;
use crate::{BlockwiseLoss, Digest, Examples, TrainConfig, TrainError, TrainExample, TrunkStates};

/// What keeps the states of trunks over a run.
pub(crate) struct Trunks<'a, E> {
    cache: &'a TrunkCache,
    config: &'a TrainConfig,
    examples: Examples<'a, E>,
    lengths: &'a [usize],
    depth: Option<Depth>,
    span: Option<Span>,
    kept: Option<CachedTrunk>,
    reported: Option<TrunkReport>,
}

/// The states before a block.
struct CachedTrunk {
    block: usize,
    /// The batches, as workers share them, in which rows are computed; each with its worker's
    /// device, which computes it whoever asks first.
    parts: Vec<(usize, Vec<usize>)>,
    /// The part of each row.
    part_of: Vec<usize>,
    /// A digest of the trunk.
    about: Digest,
    states: Mutex<CachedStates>,
}

struct CachedStates {
    store: ByteStore,
    format: Option<StateFormat>,
}

/// Why the states of a trunk are not kept.
enum NotKept {
    Refused(TrunkRefusal),
    Failed(TrainError),
}

impl From<TrunkRefusal> for NotKept {
    fn from(refusal: TrunkRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<TrainError> for NotKept {
    fn from(error: TrainError) -> Self {
        Self::Failed(error)
    }
}

/// What all rows have alike, once it is known.
#[derive(Clone, Copy)]
struct StateFormat {
    dtype: DType,
    /// Numbers of a position.
    width: usize,
    /// Virtual tokens before a text, which have states too.
    before: usize,
}

impl<'a, E: TrainExample> Trunks<'a, E> {
    pub(crate) fn new<M: Module>(
        cache: &'a TrunkCache,
        config: &'a TrainConfig,
        examples: Examples<'a, E>,
        lengths: &'a [usize],
        model: &M,
    ) -> Self {
        Self {
            cache,
            config,
            examples,
            lengths,
            depth: Depth::of(model).ok(),
            span: None,
            kept: None,
            reported: None,
        }
    }

    /// A stage begins with `step`; what becomes of the trunk, if that is news. `around` finds the
    /// stretch of steps.
    pub(crate) fn begin<M: Module>(
        &mut self,
        model: &M,
        objective: Option<&dyn BlockwiseLoss<M, E>>,
        step: usize,
        placement: &Placement,
        around: impl FnOnce(&Depth) -> Span,
    ) -> Result<Option<TrunkReport>, TrainError> {
        if self
            .span
            .as_ref()
            .is_some_and(|span| span.steps.contains(&step))
        {
            return Ok(None);
        }
        self.kept = None;
        let span = match &self.depth {
            Some(depth) => around(depth),
            None => Span {
                steps: 0..usize::MAX,
                lowest: BlockPlace::Below,
            },
        };
        let kept = self.keep(model, objective, &span, placement);
        self.span = Some(span);
        let report = match kept {
            Ok(kept) => {
                let block = kept.block;
                self.kept = Some(kept);
                TrunkReport::Kept { block }
            }
            Err(NotKept::Refused(refusal)) => TrunkReport::NotKept(refusal),
            Err(NotKept::Failed(error)) => return Err(error),
        };
        let before = self.reported.replace(report);
        Ok((before != Some(report)).then_some(report))
    }

    fn keep<M: Module>(
        &self,
        model: &M,
        objective: Option<&dyn BlockwiseLoss<M, E>>,
        span: &Span,
        placement: &Placement,
    ) -> Result<CachedTrunk, NotKept> {
        let objective = objective.ok_or(TrunkRefusal::Objective)?;
        let depth = self.depth.as_ref().ok_or(TrunkRefusal::NoBlocks)?;
        let block = match span.lowest {
            BlockPlace::Below | BlockPlace::Block(0) => {
                return Err(TrunkRefusal::TrainsBelow.into());
            }
            BlockPlace::Block(block) => block,
            BlockPlace::Above => depth.n_blocks(),
        };
        let steps_per_epoch = self.config.length(self.examples.len()).steps_per_epoch;
        if span.steps.len() <= steps_per_epoch {
            return Err(TrunkRefusal::Short.into());
        }
        let (shortest, longest) = self
            .lengths
            .iter()
            .fold((usize::MAX, 0), |(min, max), n| (min.min(*n), max.max(*n)));
        if !objective.holds(model, shortest, longest) {
            return Err(TrunkRefusal::Length.into());
        }
        let config = self.config;
        let epoch = span.steps.start / steps_per_epoch;
        let batches = plan(self.lengths, config.batch_size, config.seed, epoch);
        let length = |row: usize| self.lengths[row];
        let parts: Vec<(usize, Vec<usize>)> = batches
            .iter()
            .flat_map(|batch| {
                let shares = shares(batch, length, placement.n_workers());
                let place =
                    |(worker, rows): (usize, &[usize])| (placement.place(worker), rows.to_vec());
                shares.into_iter().enumerate().map(place)
            })
            .collect();
        let mut part_of = vec![0; self.examples.len()];
        for (i, (_, part)) in parts.iter().enumerate() {
            part.iter().for_each(|row| part_of[*row] = i);
        }
        // What acts in training only, dropout for instance, shows in any batch: it scales what it
        // leaves.
        let rows = self.examples.at(&parts[0].1)?;
        let rows = borrowed(&rows);
        let device = &placement.devices()[0];
        let training = objective.trunk(model, &rows, block, device).states;
        if training.is_tracked() {
            return Err(TrunkRefusal::Tracked.into());
        }
        let plain = model.valid();
        let plain = objective.trunk(&plain, &rows, block, &device_of(&plain));
        if training.into_data() != plain.states.into_data() {
            return Err(TrunkRefusal::Dropout.into());
        }
        Ok(CachedTrunk {
            block,
            parts,
            part_of,
            about: digest_below(model, depth, block),
            states: Mutex::new(CachedStates {
                store: self.store(),
                format: None,
            }),
        })
    }

    fn store(&self) -> ByteStore {
        let limits = StoreLimits {
            memory: self.cache.memory,
            directory: self.cache.directory.clone(),
        };
        ByteStore::new(limits, |row| TrainError::TrunkLost { row })
    }

    /// The trunk that is frozen now.
    pub(crate) fn current<'t, M>(
        &'t self,
        objective: Option<&'t dyn BlockwiseLoss<M, E>>,
    ) -> Option<Trunk<'t, M, E>> {
        Some(Trunk {
            kept: self.kept.as_ref()?,
            examples: self.examples,
            objective: objective?,
        })
    }

    pub(crate) fn used(&self) -> TrunkUse {
        let used = |kept: &CachedTrunk| {
            let used = lock(&kept.states).store.used();
            TrunkUse {
                rows: used.rows,
                memory: used.memory,
                disk: used.disk,
            }
        };
        self.kept.as_ref().map(used).unwrap_or_default()
    }
}

/// A trunk that is frozen now.
pub(crate) struct Trunk<'t, M, E> {
    kept: &'t CachedTrunk,
    examples: Examples<'t, E>,
    objective: &'t dyn BlockwiseLoss<M, E>,
}

impl<M, E: TrainExample> Trunk<'_, M, E> {
    /// The kept states of these rows on one of the devices; those that are missing are computed, by
    /// the model on each. Threads may do so at once.
    pub(crate) fn states(
        &self,
        models: &[M],
        devices: &[Device],
        place: usize,
        rows: &[usize],
    ) -> Result<TrunkStates, TrainError> {
        let missing: BTreeSet<usize> = {
            let states = lock(&self.kept.states);
            let missing = rows.iter().filter(|row| !states.store.has(**row));
            missing.map(|row| self.kept.part_of[*row]).collect()
        };
        for part in missing {
            let (place, part) = &self.kept.parts[part];
            self.compute(&models[*place], part, &devices[*place])?;
        }
        Ok(TrunkStates {
            block: self.kept.block,
            states: self.padded(rows, &devices[place])?,
        })
    }

    /// Run the trunk on a part, and keep its rows without their padding.
    fn compute(&self, model: &M, part: &[usize], device: &Device) -> Result<(), TrainError> {
        let rows = self.examples.at(part)?;
        let rows = borrowed(&rows);
        let trunk = self.objective.trunk(model, &rows, self.kept.block, device);
        let [_, positions, width] = trunk.states.dims();
        let data = trunk.states.into_data();
        let dtype = data.dtype();
        let size = width * dtype.size();
        let before = positions - longest(&rows);
        let mut states = lock(&self.kept.states);
        states.format = Some(StateFormat {
            dtype,
            width,
            before,
        });
        for ((row, example), bytes) in part
            .iter()
            .zip(&rows)
            .zip(data.as_bytes().chunks(positions * size))
        {
            let about = self.about(*example);
            states
                .store
                .put(*row, &bytes[..(before + example.length()) * size], about)?;
        }
        Ok(())
    }

    /// The kept states of these rows, padded with zeros.
    fn padded(&self, rows: &[usize], device: &Device) -> Result<Tensor<3>, TrainError> {
        let examples = self.examples.at(rows)?;
        let examples = borrowed(&examples);
        let mut states = lock(&self.kept.states);
        let row = rows.first().copied().unwrap_or(0);
        let StateFormat {
            dtype,
            width,
            before,
        } = states.format.ok_or(TrainError::TrunkLost { row })?;
        let positions = before + longest(&examples);
        let size = positions * width * dtype.size();
        let mut bytes = zeros(rows.len() * positions * width, dtype);
        for ((row, example), into) in rows.iter().zip(&examples).zip(bytes.chunks_mut(size)) {
            let about = self.about(*example);
            states.store.get(*row, into, about)?;
        }
        drop(states);
        let data = TensorData::from_bytes(bytes, [rows.len(), positions, width], dtype);
        Ok(Tensor::from_data(data, (device, dtype)))
    }

    /// What a row's states depend on: the trunk and the row.
    fn about(&self, example: &E) -> Digest {
        let mut about = self.kept.about;
        example.digest(&mut about);
        about
    }
}

fn longest<E: TrainExample>(rows: &[&E]) -> usize {
    rows.iter().map(|row| row.length()).max().unwrap_or(0)
}

/// States are whole between calls, so a thread that panicked leaves nothing behind.
fn lock(states: &Mutex<CachedStates>) -> std::sync::MutexGuard<'_, CachedStates> {
    states.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A digest of the parameters before a block.
fn digest_below<M: Module>(model: &M, depth: &Depth, block: usize) -> Digest {
    struct TrunkDigest<'a> {
        depth: &'a Depth,
        end: BlockPlace,
        digest: Digest,
    }
    impl VisitParams for TrunkDigest<'_> {
        fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
            let place = self.depth.place(&at.path());
            if place.is_some_and(|place| place < self.end) {
                FrozenWeight::of(param).add_to(&mut self.digest);
            }
        }
    }
    let mut trunk = TrunkDigest {
        depth,
        end: BlockPlace::Block(block),
        digest: Digest::default(),
    };
    trunk.digest.add(block as u64);
    visit_params(model, &mut trunk);
    trunk.digest
}
