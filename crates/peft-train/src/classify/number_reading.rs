//! [`NumberReading`]: what a number means where a class is asked for.

use serde::{Deserialize, Serialize};

/// What a number means where a class is asked for; the same in all rows of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberReading {
    /// The output of that number, from 0: how transformers' `Trainer` reads whole numbers.
    Ids,
    /// The class of that name: how its scripts read the labels of a file that brings its own.
    Names,
}
