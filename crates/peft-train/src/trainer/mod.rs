//! Training: the loop, what trains when, its schedule, clipping, and states that resume.

mod clip;
mod config;
mod gradients;
mod kept;
mod length;
mod mask;
mod observer;
mod run;
mod schedule;
mod stages;
mod state;
mod strategy;

pub use clip::clip_global_norm;
pub use config::TrainConfig;
pub use length::Length;
pub use observer::{Observer, Progress, StepReport};
pub use run::{Trainer, train};
pub use schedule::{Schedule, Warmup};
pub use state::TrainState;
pub use strategy::{AsGiven, Strategy};
