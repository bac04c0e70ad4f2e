//! The cached trunk: what the lowest training block reads is computed once for each row, where
//! nothing before it trains.
//!
//! A row's states are those that it has in its batch of the epoch in which the stretch of training
//! began. So they do not depend on when they are computed: a run that resumes computes the same
//! bits, with as many workers, and in that epoch every batch is the one that would have been
//! computed without the cache. In later epochs a row stands beside others, padded to another
//! length, which changes sums by their rounding and nothing else.

mod cache;
mod report;
mod span;
mod trunks;

pub use cache::TrunkCache;
pub use report::{TrunkRefusal, TrunkReport, TrunkUse};

pub(super) use span::Span;
pub(super) use trunks::{Trunk, Trunks};
