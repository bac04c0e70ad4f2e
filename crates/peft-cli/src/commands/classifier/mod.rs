//! Classifiers of texts and of words: labels, problem types, and models with their heads.

mod eval;
mod model;
mod rows;
mod task;

pub(super) use self::eval::report;
pub(super) use self::model::{adapted, positions, without_head};
pub(super) use self::task::{Task, check_encoder};
