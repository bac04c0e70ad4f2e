//! [`Objective`]: what a run minimises; the seam between the loop and the tasks.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

mod answered;
mod blockwise_loss;
mod digest;
mod next_token;
mod packed;
mod read_positions;
mod regularisation;
mod report;
mod train_example;

pub use answered::{Answered, Question};
pub use blockwise_loss::{BlockwiseLoss, TrunkStates};
pub(crate) use blockwise_loss::{read, states_read};
pub use digest::digest_of;
pub use next_token::NextToken;
pub use packed::PackedNextToken;
pub(crate) use read_positions::ReadPositions;
pub use regularisation::Regularisation;
pub use report::Report;
pub use train_example::TrainExample;

use crate::{Examples, TrainError};

/// A task: its examples, their loss, and its measures.
///
/// The loop adds the losses of all batches of a step, on as many threads as it is given, and
/// divides by the number of targets. So a loss is a *sum* over targets, and that of two rows
/// together is the sum of theirs.
pub trait Objective<M: Module>: Sync {
    /// What tells the task from others, in the state of a run: it resumes only with the same.
    fn name(&self) -> String;

    /// A row.
    type Example: TrainExample;

    /// What an evaluation finds.
    type Report: Report;

    /// The sum of the losses of all targets of these rows in f32, `[1]`, on the autodiff device
    /// `device` that the model trains on.
    ///
    /// # Panics
    ///
    /// If there is no row.
    fn loss_sum(&self, model: &M, rows: &[&Self::Example], device: &Device) -> Tensor<1>;

    /// The same loss in two halves, cut between two blocks of the model; none where the objective
    /// runs the model as a whole.
    fn blockwise(&self) -> Option<&dyn BlockwiseLoss<M, Self::Example>> {
        None
    }

    /// How good a model is that is not in training; see [`Module::valid`]. The result does not
    /// depend on the batch size.
    ///
    /// # Errors
    ///
    /// Those of [`Examples::get`].
    ///
    /// # Panics
    ///
    /// If there is no example.
    fn evaluate(
        &self,
        model: &M,
        examples: Examples<'_, Self::Example>,
        batch_size: usize,
    ) -> Result<Self::Report, TrainError>;
}
