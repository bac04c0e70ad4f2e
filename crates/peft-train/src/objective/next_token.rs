//! [`NextToken`]: `−Σ log p(tokenᵢ | tokens before i)` over the targets.

use burn::tensor::{Device, Int, Tensor};
use peft_core::Digest;
use peft_model::{CausalLm, Pass, Stages};

use super::{BlockwiseLoss, Objective, Report, TrainExample, TrunkStates};
use crate::loss::target_loss;
use crate::{Batch, EvalReport, Example, Examples, TrainError, evaluate};

/// To predict the next token: the objective of causal language models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NextToken;

impl<M: CausalLm> Objective<M> for NextToken {
    type Example = Example;
    type Report = EvalReport;

    fn name(&self) -> String {
        "next token".into()
    }

    fn loss_sum(&self, model: &M, rows: &[&Example], device: &Device) -> Tensor<1> {
        target_loss(model, &Batch::new(rows, device), None, 0.0)
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

impl<M: CausalLm> BlockwiseLoss<M, Example> for NextToken {
    fn stages<'m>(&self, model: &'m M) -> &'m dyn Stages {
        model.stages()
    }

    fn tokens(&self, _model: &M, rows: &[&Example], device: &Device) -> (Tensor<2, Int>, Pass) {
        let batch = Batch::new(rows, device);
        (batch.ids, Pass::new(batch.segments))
    }

    fn loss_sum_from(
        &self,
        model: &M,
        rows: &[&Example],
        trunk: TrunkStates,
        device: &Device,
    ) -> Tensor<1> {
        target_loss(model, &Batch::new(rows, device), Some(trunk), 0.0)
    }
}

impl TrainExample for Example {
    fn length(&self) -> usize {
        self.ids.len()
    }

    fn n_targets(&self) -> usize {
        self.n_targets()
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(self.ids.len() as u64);
        self.starts
            .iter()
            .for_each(|start| digest.add(*start as u64));
        for (id, target) in self.ids.iter().zip(&self.targets) {
            digest.add(u64::from(*id) << 1 | u64::from(*target));
        }
    }
}

impl Report for EvalReport {
    fn loss(&self) -> f64 {
        self.loss
    }

    fn headline(&self) -> Vec<(&'static str, f64)> {
        let rouge_l = self.rouge_l.map(|rouge_l| ("rouge-l", rouge_l));
        [
            ("loss", self.loss),
            ("perplexity", self.perplexity),
            ("exact match", self.exact_match),
        ]
        .into_iter()
        .chain(rouge_l)
        .collect()
    }
}
