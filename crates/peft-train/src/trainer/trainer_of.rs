//! [`Trainer`]: what a run is of.

use burn::tensor::Device;
use peft_core::AdapterSchedule;
use peft_layerwise::{AllTrainable, Strategy};
use serde_json::{Map, Value};

use super::at_once::RunSeat;
use super::lost::LostDevice;
use super::{TrainConfig, TrainState, TrunkCache};
use crate::{Examples, TrainExample};

/// A run: its rows, its settings, and what it goes on from.
///
/// A step's loss is the sum over its targets divided by their number, whatever the batches they
/// came in: two half batches give the update of the whole one. A run that goes on from a
/// [`TrainState`], on a model prepared as for the first, gives the bits of one that was not
/// interrupted.
pub struct Trainer<'a, E> {
    pub(super) examples: Examples<'a, E>,
    pub(super) config: &'a TrainConfig,
    pub(super) valid: Option<Examples<'a, E>>,
    pub(super) resume: Option<&'a TrainState>,
    pub(super) strategy: &'a dyn Strategy,
    pub(super) schedule: Option<&'a dyn AdapterSchedule>,
    pub(super) trunk: Option<&'a TrunkCache>,
    pub(super) context: Option<&'a Map<String, Value>>,
    pub(super) devices: &'a [Device],
    pub(super) between: Option<&'a Device>,
    pub(super) lost: Option<LostDevice<'a>>,
    pub(super) seat: Option<&'a RunSeat>,
}

impl<E> Clone for Trainer<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Trainer<'_, E> {}

impl<'a, E: TrainExample> Trainer<'a, E> {
    /// A run over these rows that trains what requires gradients. They are a slice, a list, or an
    /// [`ExampleStore`](crate::ExampleStore), which need not fit in memory.
    pub fn new(config: &'a TrainConfig, examples: impl Into<Examples<'a, E>>) -> Self {
        Self {
            examples: examples.into(),
            config,
            valid: None,
            resume: None,
            strategy: &AllTrainable,
            schedule: None,
            trunk: None,
            context: None,
            devices: &[],
            between: None,
            lost: None,
            seat: None,
        }
    }

    /// Rows that are evaluated at the intervals of the config and at the end.
    #[must_use]
    pub fn with_validation(self, valid: Option<impl Into<Examples<'a, E>>>) -> Self {
        let valid = valid.map(Into::into);
        Self { valid, ..self }
    }

    /// A state to go on from.
    #[must_use]
    pub fn with_state(self, resume: impl Into<Option<&'a TrainState>>) -> Self {
        let resume = resume.into();
        Self { resume, ..self }
    }

    /// What decides which parameters train when.
    #[must_use]
    pub fn with_strategy(self, strategy: &'a dyn Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// What changes adapters after each step. No trunk is kept then, since it may change adapters
    /// there.
    #[must_use]
    pub fn with_adapter_schedule(
        self,
        schedule: impl Into<Option<&'a dyn AdapterSchedule>>,
    ) -> Self {
        let schedule = schedule.into();
        Self { schedule, ..self }
    }

    /// Keep what the lowest training block reads, row by row, wherever nothing before it trains or
    /// drops out for longer than an epoch: later epochs cost what the blocks cost that train.
    ///
    /// The updates are those of a run without it; to the bit in the epoch in which the lowest block
    /// begins to train, and up to the rounding of sums over batches of other lengths after it.
    #[must_use]
    pub fn with_trunk_cache(self, cache: impl Into<Option<&'a TrunkCache>>) -> Self {
        let trunk = cache.into();
        Self { trunk, ..self }
    }

    /// What else decides the run, by name: a state holds it, and a run goes on only with the same.
    /// A method's settings, such as an adapter's scale and dropout, are of that kind.
    #[must_use]
    pub fn with_context(self, context: impl Into<Option<&'a Map<String, Value>>>) -> Self {
        let context = context.into();
        Self { context, ..self }
    }

    /// Share the rows of each batch among these devices, by tokens: the first is the model's, which
    /// sums the gradients and holds the optimizer. On each are [`TrainConfig::workers`] workers,
    /// and on one that is named twice twice as many; a device beyond the first holds a copy of what
    /// is frozen, and is sent what trains in each step.
    ///
    /// The updates are those of one device up to the rounding of sums, and a run with the same
    /// devices reproduces, but for dropout where several workers draw from one generator. Packed
    /// weights and running statistics stay on one device.
    #[must_use]
    pub fn with_devices(self, devices: &'a [Device]) -> Self {
        Self { devices, ..self }
    }

    /// Where values rest between devices of which neither reaches the other, as those of two
    /// machines: it has a copy of the model, to which the first device sends what trains, and from
    /// which all others have theirs. It computes nothing.
    #[must_use]
    pub fn with_between(self, between: impl Into<Option<&'a Device>>) -> Self {
        let between = between.into();
        Self { between, ..self }
    }

    /// Who knows of devices that can be lost: a step that panics for that reason ends the run by
    /// [`TrainError::DeviceLost`](crate::TrainError::DeviceLost), after
    /// [`Observer::on_lost`](super::Observer::on_lost).
    #[must_use]
    pub fn with_lost(self, lost: impl Into<Option<LostDevice<'a>>>) -> Self {
        let lost = lost.into();
        Self { lost, ..self }
    }

    /// Take each step together with other runs on the same base.
    #[must_use]
    pub fn with_runs(self, seat: impl Into<Option<&'a RunSeat>>) -> Self {
        let seat = seat.into();
        Self { seat, ..self }
    }
}
