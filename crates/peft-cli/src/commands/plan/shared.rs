//! [`Shared`]: a step that several devices share, by the plan of one device's part of it.

use std::fmt::Write;

use peft_plan::{Devices, Plan};
use serde_json::{Value, json};

use super::table::bytes;

/// Links, in Gbit a second.
const LINKS: [f64; 3] = [1.0, 10.0, 100.0];

/// What each device has of a step, and what they move.
pub(super) struct Shared {
    pub(super) devices: Devices,
    /// Rows of a batch on each.
    pub(super) rows: usize,
    /// What they cost there; the optimizer is on the first alone.
    pub(super) of_each: Plan,
}

impl Shared {
    pub(super) fn text(&self) -> String {
        let Devices { number, .. } = self.devices;
        let memory = self.of_each.memory;
        let mut text = format!(
            "\neach of {number} devices: {} of memory for {} rows of a batch, {} without the optimizer, which is on the first\na step moves {} each way through the link of the first:",
            bytes(memory.total()),
            self.rows,
            bytes(memory.total() - memory.optimizer),
            bytes(self.devices.sent()),
        );
        for (at, link) in LINKS.into_iter().enumerate() {
            let seconds = self.devices.seconds(link * 1e9);
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(text, "{comma} {seconds:.2} s at {link} Gbit/s");
        }
        text
    }

    pub(super) fn as_json(&self) -> Value {
        let seconds = LINKS.map(|link| self.devices.seconds(link * 1e9));
        json!({
            "number": self.devices.number,
            "rows": self.rows,
            "memory": self.of_each.memory.total(),
            "bytes_each_way": self.devices.sent(),
            "gbit_a_second": LINKS,
            "seconds": seconds,
        })
    }
}
