//! Training: the loop, its schedule, clipping, and states that resume.

mod clip;
mod config;
mod observer;
mod run;
mod schedule;
mod state;

pub use clip::clip_global_norm;
pub use config::TrainConfig;
pub use observer::{Observer, Progress, StepReport};
pub use run::{Length, train};
pub use schedule::{Schedule, Warmup};
pub use state::TrainState;
