//! Training: the loop, what trains when, its schedule, clipping, and states that resume.

mod adamw;
mod clip;
mod config;
mod gradients;
mod kept;
mod mask;
mod observer;
mod run;
mod schedule;
mod stages;
mod state;
mod state_file;
mod trained;
mod trunk;

pub use clip::clip_global_norm;
pub use config::TrainConfig;
pub use observer::{Observer, Progress, StepReport};
pub use run::{Trainer, train};
pub use schedule::{Schedule, Warmup};
pub use state::TrainState;
pub use trunk::{TrunkCache, TrunkRefusal, TrunkReport, TrunkUse};
