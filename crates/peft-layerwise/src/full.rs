//! [`Full`]: everything trains.

use serde_json::{Value, json};

use crate::Strategy;

/// Every parameter, those of adapters included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Full;

impl Strategy for Full {
    fn rate(&self, _: usize, _: &str, _: bool) -> Option<f64> {
        Some(1.0)
    }

    fn settings(&self) -> Value {
        json!("full")
    }
}
