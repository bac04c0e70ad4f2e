//! [`PackedNextToken`]: the next token, with the short rows of a batch behind each other.

use burn::tensor::{Device, Int, Tensor};
use peft_model::{CausalLm, Pass, Stages};

use super::{BlockwiseLoss, NextToken, Objective, TrunkStates};
use crate::loss::target_loss;
use crate::{Batch, EvalReport, Example, Examples, Regularisation, TrainError, evaluate};

/// The objective of [`NextToken`], whose batches are [packed](Batch::packed): less is padded, and
/// losses and gradients are the same up to rounding. A batch is of as many examples as before.
///
/// Rows stay apart where a position in a longer row is not what it is in its own: where positions
/// are learned, where rotations depend on the length, and where virtual tokens stand before the
/// text. They stay apart for a [`TrunkCache`](crate::TrunkCache) too, which keeps the states of
/// each.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PackedNextToken {
    /// Tokens of a row at most, but for examples that are longer alone; 0 leaves all apart.
    pub row_length: usize,
    /// What training alone does.
    pub regularisation: Regularisation,
}

impl PackedNextToken {
    /// Whether a model computes the same of an example wherever it lies in a row.
    pub fn holds_for<M: CausalLm>(self, model: &M) -> bool {
        let stages = model.stages();
        let is_relative = |block| stages.look(block).rope.is_some();
        self.row_length > 0
            && stages.n_virtual_tokens() == 0
            && (0..model.n_blocks()).all(is_relative)
            && self.row_length <= model.max_positions()
            && NextToken.holds(model, 1, self.row_length)
    }

    fn batch<M: CausalLm>(self, model: &M, rows: &[&Example], device: &Device) -> Batch {
        let batch = match self.holds_for(model) {
            true => Batch::packed(rows, self.row_length, device),
            false => Batch::new(rows, device),
        };
        batch.with_noise(self.regularisation, model.d_model())
    }
}

impl<M: CausalLm> Objective<M> for PackedNextToken {
    type Example = Example;
    type Report = EvalReport;

    fn name(&self) -> String {
        Objective::<M>::name(&NextToken) + &self.regularisation.suffix()
    }

    fn loss_sum(&self, model: &M, rows: &[&Example], device: &Device) -> Tensor<1> {
        let smoothing = self.regularisation.label_smoothing;
        target_loss(model, &self.batch(model, rows, device), None, smoothing)
    }

    fn blockwise(&self) -> Option<&dyn BlockwiseLoss<M, Example>> {
        Some(self)
    }

    fn evaluate(
        &self,
        model: &M,
        examples: Examples<'_, Example>,
        batch_size: usize,
    ) -> Result<EvalReport, TrainError> {
        evaluate(model, examples, batch_size)
    }
}

impl<M: CausalLm> BlockwiseLoss<M, Example> for PackedNextToken {
    fn stages<'m>(&self, model: &'m M) -> &'m dyn Stages {
        model.stages()
    }

    fn tokens(&self, model: &M, rows: &[&Example], device: &Device) -> (Tensor<2, Int>, Pass) {
        let batch = self.batch(model, rows, device);
        let pass = batch.pass();
        (batch.ids, pass)
    }

    fn loss_sum_from(
        &self,
        model: &M,
        rows: &[&Example],
        trunk: TrunkStates,
        device: &Device,
    ) -> Tensor<1> {
        let (batch, trunk) = (self.batch(model, rows, device), Some(trunk));
        target_loss(model, &batch, trunk, self.regularisation.label_smoothing)
    }

    fn holds(&self, model: &M, shortest: usize, longest: usize) -> bool {
        !self.holds_for(model) && NextToken.holds(model, shortest, longest)
    }
}
