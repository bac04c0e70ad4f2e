//! [`SequenceClassification`]: what a text is.
//!
//! The loss of a row is, as transformers defines it for the `problem_type`, `−log softmax(x)_y`, or
//! the mean over labels of `−y log σ(x) − (1−y) log(1−σ(x))`, or `(x − y)²`.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_model::{Pass, Read, SequenceClassifier, Stages};

use super::classification_report::{ClassificationReport, Size};
use super::measures::{count, count_each, pearson, spearman};
use super::{ClassExample, ProblemType, RegressionReport, SequenceReport, Target};
use crate::batch::plan_evaluation;
use crate::eval::device_of;
use crate::loss::{binary_nll, smoothed_nll};
use crate::objective::read;
use crate::store::borrowed;
use crate::{
    BlockwiseLoss, Examples, Objective, PaddedTokens, Regularisation, TrainError, TrunkStates,
};

/// To tell what a text is: one class, several, or a value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SequenceClassification {
    /// What the labels are; the targets of all examples are of this kind, and of as many labels as
    /// the model has.
    pub problem: ProblemType,
    /// What training alone does.
    pub regularisation: Regularisation,
}

impl SequenceClassification {
    /// The loss of each row in f32, `[rows]`; of single labels, smoothed by `smoothing`.
    ///
    /// # Shapes
    ///
    /// `logits` is `[rows, n_labels]`.
    fn losses(self, logits: Tensor<2>, rows: &[&ClassExample], smoothing: f64) -> Tensor<1> {
        let [n, n_labels] = logits.dims();
        let device = logits.device();
        match self.problem {
            ProblemType::SingleLabel => {
                let classes: Vec<i64> = rows.iter().map(|row| class(&row.target) as i64).collect();
                let data = TensorData::new(classes, [n]);
                let classes = Tensor::<1, Int>::from_data(data, (&device, DType::I64));
                smoothed_nll(logits, classes, smoothing)
            }
            ProblemType::MultiLabel => {
                let applies = rows.iter().flat_map(|row| classes(&row.target));
                let applies: Vec<f32> = applies.map(|on| f32::from(u8::from(*on))).collect();
                let data = TensorData::new(applies, [n, n_labels]);
                let targets = Tensor::from_data(data, (&device, DType::F32));
                binary_nll(logits, targets).div_scalar(n_labels as f64)
            }
            ProblemType::Regression => {
                assert_eq!(n_labels, 1, "a regression has one output");
                let values = rows.iter().map(|row| value(&row.target)).collect();
                let data = TensorData::new(values, [n, 1]);
                let targets = Tensor::<2>::from_data(data, (&device, DType::F32));
                (logits - targets).square().reshape([n])
            }
        }
    }

    /// The rows as training reads them.
    fn batch<M: SequenceClassifier>(
        self,
        model: &M,
        rows: &[&ClassExample],
        device: &Device,
    ) -> PaddedTokens {
        let ids: Vec<&[u32]> = rows.iter().map(|row| row.ids.as_slice()).collect();
        padded(rows, device).with_noise(self.regularisation, &ids, model.d_model())
    }

    fn report(
        self,
        scores: &[Vec<f32>],
        truth: &[Target],
        n_labels: usize,
        size: Size,
    ) -> SequenceReport {
        match self.problem {
            ProblemType::SingleLabel => {
                let truth: Vec<usize> = truth.iter().map(class).collect();
                let predicted: Vec<usize> = scores.iter().map(|row| likeliest(row)).collect();
                let right = truth.iter().zip(&predicted).filter(|(a, b)| a == b);
                let counts = count(&truth, &predicted, n_labels);
                SequenceReport::Classes(ClassificationReport::new(&counts, right.count(), size))
            }
            ProblemType::MultiLabel => {
                let truth: Vec<Vec<bool>> = truth.iter().map(|of| classes(of).to_vec()).collect();
                let predicted: Vec<Vec<bool>> = scores.iter().map(|row| likely(row)).collect();
                let right = truth.iter().zip(&predicted).filter(|(a, b)| a == b);
                let counts = count_each(&truth, &predicted, n_labels);
                SequenceReport::Classes(ClassificationReport::new(&counts, right.count(), size))
            }
            ProblemType::Regression => {
                let truth: Vec<f64> = truth.iter().map(|of| f64::from(value(of))).collect();
                let found: Vec<f64> = scores.iter().map(|row| f64::from(row[0])).collect();
                SequenceReport::Values(RegressionReport {
                    loss: size.loss_sum / size.targets as f64,
                    pearson: pearson(&found, &truth),
                    spearman: spearman(&found, &truth),
                    examples: size.examples,
                    tokens: size.tokens,
                })
            }
        }
    }
}

impl<M: SequenceClassifier> Objective<M> for SequenceClassification {
    type Example = ClassExample;
    type Report = SequenceReport;

    fn name(&self) -> String {
        let problem = self.problem;
        format!("sequence classification, {problem:?}") + &self.regularisation.suffix()
    }

    fn loss_sum(&self, model: &M, rows: &[&ClassExample], device: &Device) -> Tensor<1> {
        let batch = self.batch(model, rows, device);
        let smoothing = self.regularisation.label_smoothing;
        self.losses(class_logits(model, batch, None), rows, smoothing)
            .sum()
    }

    fn blockwise(&self) -> Option<&dyn BlockwiseLoss<M, ClassExample>> {
        Some(self)
    }

    fn evaluate(
        &self,
        model: &M,
        examples: Examples<'_, ClassExample>,
        batch_size: usize,
    ) -> Result<SequenceReport, TrainError> {
        let device = device_of(model);
        let (mut scores, mut truth) = (Vec::new(), Vec::new());
        let mut size = Size {
            examples: examples.len(),
            targets: examples.len(),
            ..Size::default()
        };
        for batch in plan_evaluation(&examples.lengths(), batch_size) {
            let of_batch = examples.at(&batch)?;
            let batch = borrowed(&of_batch);
            size.tokens += batch.iter().map(|row| row.ids.len()).sum::<usize>();
            let logits = class_logits(model, padded(&batch, &device), None);
            let losses = self.losses(logits.clone(), &batch, 0.0).into_data();
            size.loss_sum += losses.iter::<f32>().map(f64::from).sum::<f64>();
            scores.extend(score_rows(logits));
            truth.extend(batch.into_iter().map(|row| row.target.clone()));
        }
        Ok(self.report(&scores, &truth, model.n_labels(), size))
    }
}

impl<M: SequenceClassifier> BlockwiseLoss<M, ClassExample> for SequenceClassification {
    fn stages<'m>(&self, model: &'m M) -> &'m dyn Stages {
        model.stages()
    }

    fn tokens(&self, model: &M, rows: &[&ClassExample], device: &Device) -> (Tensor<2, Int>, Pass) {
        let batch = self.batch(model, rows, device);
        let pass = batch.pass();
        (batch.ids, pass)
    }

    fn loss_sum_from(
        &self,
        model: &M,
        rows: &[&ClassExample],
        trunk: TrunkStates,
        device: &Device,
    ) -> Tensor<1> {
        let batch = self.batch(model, rows, device);
        let smoothing = self.regularisation.label_smoothing;
        self.losses(class_logits(model, batch, Some(trunk)), rows, smoothing)
            .sum()
    }
}

fn padded(rows: &[&ClassExample], device: &Device) -> PaddedTokens {
    let of = |part: fn(&ClassExample) -> &[u32]| -> Vec<&[u32]> {
        rows.iter().map(|row| part(row)).collect()
    };
    PaddedTokens::new(&of(|row| &row.ids), device).with_types(&of(|row| &row.types))
}

/// The scores of each label in f32, `[rows, n_labels]`, from tokens or from what the trunk gave.
pub(super) fn class_logits<M: SequenceClassifier>(
    model: &M,
    batch: PaddedTokens,
    trunk: Option<TrunkStates>,
) -> Tensor<2> {
    let mut pass = model.class_pass(batch.segments.clone());
    (pass.types, pass.noise) = (batch.types, batch.noise);
    if trunk
        .as_ref()
        .is_some_and(|trunk| trunk.block == model.n_blocks())
    {
        pass.read = Read::All;
    }
    let (states, context) = read(model, batch.ids, pass, trunk);
    model
        .class_logits(states, context.segments())
        .cast(DType::F32)
}

/// Scores on the host, a row each.
pub(super) fn score_rows(logits: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, n_labels] = logits.dims();
    let scores: Vec<f32> = logits.into_data().iter::<f32>().collect();
    scores.chunks(n_labels).map(<[f32]>::to_vec).collect()
}

/// The label of the highest score, the first of several.
pub(super) fn likeliest(scores: &[f32]) -> usize {
    let best = |best: usize, i: usize| if scores[i] > scores[best] { i } else { best };
    (0..scores.len()).fold(0, best)
}

/// Which labels are likelier than not.
pub(super) fn likely(scores: &[f32]) -> Vec<bool> {
    scores.iter().map(|score| *score > 0.0).collect()
}

fn class(target: &Target) -> usize {
    match target {
        Target::Class(class) => *class,
        _ => panic!("the target of a single-label example is a class"),
    }
}

fn classes(target: &Target) -> &[bool] {
    match target {
        Target::Classes(classes) => classes,
        _ => panic!("the target of a multi-label example is a list of classes"),
    }
}

fn value(target: &Target) -> f32 {
    match target {
        Target::Value(value) => *value,
        _ => panic!("the target of a regression is a value"),
    }
}
