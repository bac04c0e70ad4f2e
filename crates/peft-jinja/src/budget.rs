//! [`Budget`]: what a rendering has used of what it may.

use std::cell::Cell;

use crate::error::{Fault, Res};
use crate::limits::{BYTES_PER_STEP, MAX_ITEMS, MAX_STEPS, MAX_TEXT};

#[derive(Debug, Default)]
pub(crate) struct Budget {
    steps: Cell<u64>,
}

impl Budget {
    pub(crate) fn step(&self) -> Res<()> {
        self.steps(1)
    }

    pub(crate) fn steps(&self, n: usize) -> Res<()> {
        let steps = self.steps.get().saturating_add(n as u64);
        self.steps.set(steps);
        if steps > MAX_STEPS {
            return Err(Fault::Limit(format!("more than {MAX_STEPS} steps")));
        }
        Ok(())
    }

    /// Adds what another has used.
    pub(crate) fn merge(&self, other: &Self) -> Res<()> {
        self.steps(other.steps.get() as usize)
    }

    /// Items made or looked at.
    pub(crate) fn items(&self, n: usize) -> Res<()> {
        if n > MAX_ITEMS {
            return Err(Fault::item_limit());
        }
        self.steps(n)
    }

    /// Text made or looked at.
    pub(crate) fn text(&self, bytes: usize) -> Res<()> {
        if bytes > MAX_TEXT {
            return Err(Fault::text_limit());
        }
        self.steps(bytes / BYTES_PER_STEP)
    }
}
