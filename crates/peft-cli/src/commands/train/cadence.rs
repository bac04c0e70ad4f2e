//! [`Cadence`]: when a state is kept.

use std::time::{Duration, Instant};

/// As long as a run may go without a state.
const LONGEST: Duration = Duration::from_secs(180);

/// After so many steps, and whenever the last state is too old. A state changes nothing in a run,
/// so the clock does not either.
pub(super) struct Cadence {
    steps: usize,
    last: Instant,
}

impl Cadence {
    pub(super) fn new(steps: usize, now: Instant) -> Self {
        Self { steps, last: now }
    }

    /// Whether a state is to be kept after this step; it is taken as kept then.
    pub(super) fn is_due(&mut self, step: usize, now: Instant) -> bool {
        let due = step.is_multiple_of(self.steps) || now.duration_since(self.last) >= LONGEST;
        if due {
            self.last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_time_both_count() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut cadence = Cadence::new(10, start);
        assert!(!cadence.is_due(3, after(179)));
        assert!(cadence.is_due(4, after(180)));
        assert!(!cadence.is_due(5, after(300)));
        assert!(cadence.is_due(10, after(301)));
        assert!(!cadence.is_due(11, after(480)));
        assert!(cadence.is_due(12, after(481)));
    }
}
