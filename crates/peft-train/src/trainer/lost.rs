//! Devices that are lost in the middle of a step.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::TrainError;

/// Says which device is lost and why, if one is. Burn has no error for that: whoever waits for such
/// a device panics.
pub type LostDevice<'a> = &'a (dyn Fn() -> Option<String> + Sync);

/// What some work gives; [`TrainError::DeviceLost`] if it panics where a device is lost. Any other
/// panic goes on.
pub(super) fn unless_lost<T>(
    lost: Option<LostDevice<'_>>,
    work: impl FnOnce() -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let Some(lost) = lost else {
        return work();
    };
    // What the work has begun to change is not looked at again: the run ends.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| match lost() {
        Some(reason) => Err(TrainError::DeviceLost { reason }),
        None => resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_where_a_device_is_lost_alone() {
        let gone = || Some("device `b` is gone".to_owned());
        let there = || None;
        let panics = || -> Result<(), TrainError> { panic!("nothing came") };
        let found = unless_lost(Some(&gone), panics);
        assert!(matches!(found, Err(TrainError::DeviceLost { reason }) if reason.contains("`b`")));
        assert!(catch_unwind(|| unless_lost(Some(&there), panics)).is_err());
        assert!(catch_unwind(|| unless_lost(None, panics)).is_err());
        let fine = unless_lost(Some(&gone), || Ok(1));
        assert!(matches!(fine, Ok(1)));
    }
}
