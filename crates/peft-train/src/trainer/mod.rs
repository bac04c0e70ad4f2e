//! Training: the loop, what trains when, its schedule, clipping, and states that resume.

mod adamw;
mod adapter_schedule;
mod checksum;
mod clip;
mod config;
mod diverged;
mod evaluations;
mod gradients;
mod initial_digests;
mod lazy_tensor;
mod mask;
mod observer;
mod recompute;
mod run;
mod schedule;
mod settings;
mod stages;
mod state;
mod state_dir;
mod state_file;
mod trained;
mod trunk;

pub use clip::clip_global_norm;
pub use config::TrainConfig;
pub use diverged::Divergence;
pub use evaluations::Evaluations;
pub use observer::{Observer, Progress, StepReport};
pub use run::{Trainer, train};
pub use schedule::{Schedule, Warmup};
pub use state::TrainState;
pub use state_dir::{FoundState, StateDir};
pub use trunk::{TrunkCache, TrunkRefusal, TrunkReport, TrunkUse};
