//! [`Span`]: the steps for which a trunk stays frozen.

use std::collections::HashMap;
use std::ops::Range;

use peft_layerwise::{BlockPlace, Depth, Length, Strategy};

/// A stretch of steps with one lowest place that trains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) steps: Range<usize>,
    pub(crate) lowest: BlockPlace,
}

impl Span {
    /// The one that `step` lies in: a function of the strategy, whenever it is asked for.
    pub(crate) fn around(
        step: usize,
        strategy: &dyn Strategy,
        length: &Length,
        depth: &Depth,
        given: impl Fn(&str) -> bool,
    ) -> Self {
        let mut known: HashMap<usize, BlockPlace> = HashMap::new();
        let mut lowest = |step: usize| {
            let stage = strategy.stage(step, length);
            *known.entry(stage).or_insert_with(|| {
                let trains = depth
                    .iter()
                    .filter(|(path, _)| strategy.rate(stage, path, given(path)).is_some());
                trains
                    .map(|(_, place)| place)
                    .min()
                    .unwrap_or(BlockPlace::Above)
            })
        };
        let here = lowest(step);
        // Below it nothing is kept: no need to look further.
        if here < BlockPlace::Block(1) {
            return Self {
                steps: step..step + 1,
                lowest: here,
            };
        }
        let first = (0..step).rev().find(|step| lowest(*step) != here);
        let end = (step..length.total_steps).find(|step| lowest(*step) != here);
        Self {
            steps: first.map_or(0, |step| step + 1)..end.unwrap_or(length.total_steps),
            lowest: here,
        }
    }
}
