//! [`Answered`]: an objective whose evaluations let the model answer, too.

use std::convert::Infallible;

use burn::tensor::{Device, Tensor};
use peft_model::CausalLm;

use super::{BlockwiseLoss, Objective};
use crate::{
    EvalReport, Example, Examples, GenerateConfig, TextReport, TextTokenizer, TrainError,
    generate_all,
};

/// What a model is asked, and the answer that it should give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Tokens up to the answer.
    pub prompt: Vec<u32>,
    /// The answer.
    pub expected: String,
}

/// An objective whose evaluations let the model answer questions, by its likeliest tokens, and say
/// how near the answers are to those that they should be: [`EvalReport::rouge_l`]. Training and the
/// other measures are the objective's own.
#[derive(Debug, Clone)]
pub struct Answered<'a, O> {
    /// The objective.
    pub objective: O,
    /// Of the questions.
    pub tokenizer: &'a TextTokenizer,
    /// What is asked; nothing is generated where there are none.
    pub questions: Vec<Question>,
    /// Tokens of an answer at most.
    pub longest: usize,
}

impl<O> Answered<'_, O> {
    fn answers<M: CausalLm>(
        &self,
        model: &M,
        questions: &[Question],
    ) -> Result<Vec<String>, TrainError> {
        let prompts: Vec<&[u32]> = questions.iter().map(|of| of.prompt.as_slice()).collect();
        let config = GenerateConfig {
            max_new_tokens: self.longest,
            eos: self.tokenizer.stops().to_vec(),
            ..GenerateConfig::default()
        };
        let answers = generate_all(model, &prompts, &config, |_, _| ())?;
        let decoded = answers.iter().map(|tokens| self.tokenizer.decode(tokens));
        decoded.collect()
    }

    /// The mean over all questions; one that the model cannot answer counts as wrong.
    fn rouge_l<M: CausalLm>(&self, model: &M, batch_size: usize) -> Option<f64> {
        let pairs = self.questions.chunks(batch_size).flat_map(|questions| {
            let none = || vec![String::new(); questions.len()];
            let answers = self.answers(model, questions).unwrap_or_else(|_| none());
            answers.into_iter().zip(questions)
        });
        let pairs = pairs.map(|(found, of)| Ok::<_, Infallible>((found, &of.expected)));
        let report = TextReport::of(pairs).unwrap_or_else(|never| match never {});
        report.map(|report| report.rouge_l)
    }
}

impl<M, O> Objective<M> for Answered<'_, O>
where
    M: CausalLm,
    O: Objective<M, Example = Example, Report = EvalReport>,
{
    type Example = Example;
    type Report = EvalReport;

    fn name(&self) -> String {
        self.objective.name()
    }

    fn loss_sum(&self, model: &M, rows: &[&Example], device: &Device) -> Tensor<1> {
        self.objective.loss_sum(model, rows, device)
    }

    fn blockwise(&self) -> Option<&dyn BlockwiseLoss<M, Example>> {
        self.objective.blockwise()
    }

    fn evaluate(
        &self,
        model: &M,
        examples: Examples<'_, Example>,
        batch_size: usize,
    ) -> Result<EvalReport, TrainError> {
        Ok(EvalReport {
            rouge_l: self.rouge_l(model, batch_size),
            ..self.objective.evaluate(model, examples, batch_size)?
        })
    }
}
