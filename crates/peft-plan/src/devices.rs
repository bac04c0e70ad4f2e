//! [`Devices`]: what a step moves where several devices share its rows.

use serde::Serialize;

/// Bytes of an f32, in which gradients and what trains are sent.
const FLOAT: f64 = 4.0;

/// A step whose rows several devices share, each with the whole model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Devices {
    /// How many there are.
    pub number: usize,
    /// Bytes of what trains, in f32.
    pub trains: f64,
}

impl Devices {
    /// So many devices, and parameters that train.
    pub fn new(number: usize, trainable: f64) -> Self {
        Self {
            number,
            trains: trainable * FLOAT,
        }
    }

    fn others(self) -> f64 {
        self.number.saturating_sub(1) as f64
    }

    /// Bytes of values that the first device sends in a step; it receives as many of gradients.
    pub fn sent(self) -> f64 {
        self.others() * self.trains
    }

    /// The seconds in which they go through the first device's link of so many bits a second:
    /// values before a step, and gradients after it, one after the other.
    pub fn seconds(self, bits_a_second: f64) -> f64 {
        2.0 * self.sent() * 8.0 / bits_a_second
    }

    /// Those of a ring, PyTorch's DDP: every device sends, and receives, `2 (n − 1) / n` times what
    /// trains, all at once. *Bandwidth Optimal All-reduce Algorithms*, Patarasuk and Yuan 2009.
    pub fn ring_seconds(self, bits_a_second: f64) -> f64 {
        2.0 * self.others() / self.number.max(1) as f64 * self.trains * 8.0 / bits_a_second
    }

    /// How many times as fast a step is as on one device, where it takes `step` seconds there, all
    /// of which is shared, and `moving` to bring together.
    pub fn speed_up(self, step: f64, moving: f64) -> f64 {
        step / (step / self.number.max(1) as f64 + moving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_seconds_are_those_by_hand() {
        let four = Devices::new(4, 1e6);
        assert_eq!((four.trains, four.sent()), (4e6, 12e6));
        assert_eq!(four.seconds(1e9), 2.0 * 12e6 * 8.0 / 1e9);
        assert_eq!(four.ring_seconds(1e9), 1.5 * 4e6 * 8.0 / 1e9);
        assert_eq!(four.speed_up(8.0, 0.0), 4.0);
        assert_eq!(four.speed_up(8.0, 2.0), 2.0);
        let one = Devices::new(1, 1e6);
        assert_eq!(
            (one.sent(), one.seconds(1e9), one.ring_seconds(1e9)),
            (0.0, 0.0, 0.0)
        );
    }
}
