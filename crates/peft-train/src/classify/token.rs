//! [`TokenClassification`]: what each word is: `−Σ log softmax(x)_tag` over the words.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_model::{Pass, Stages, TokenClassifier};

use super::TagExample;
use super::classification_report::{ClassificationReport, Size};
use super::measures::count;
use super::sequence::{likeliest, score_rows};
use crate::batch::plan_evaluation;
use crate::eval::device_of;
use crate::loss::nll;
use crate::objective::{ReadPositions, states_read};
use crate::{BlockwiseLoss, Objective, PaddedTokens, TrunkStates};

/// To tell what each word is, read at its first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenClassification;

impl<M: TokenClassifier> Objective<M> for TokenClassification {
    type Example = TagExample;
    type Report = ClassificationReport;

    fn name(&self) -> String {
        "token classification".into()
    }

    fn loss_sum(&self, model: &M, rows: &[&TagExample], device: &Device) -> Tensor<1> {
        tagged_nll(model, rows, None, device)
    }

    fn blockwise(&self) -> Option<&dyn BlockwiseLoss<M, TagExample>> {
        Some(self)
    }

    fn evaluate(
        &self,
        model: &M,
        examples: &[TagExample],
        batch_size: usize,
    ) -> ClassificationReport {
        let device = device_of(model);
        let (mut truth, mut predicted) = (Vec::new(), Vec::new());
        let mut size = Size {
            examples: examples.len(),
            ..Size::default()
        };
        for rows in plan_evaluation(examples, batch_size) {
            let (logits, tags) = tagged_logits(model, &rows, None, &device);
            let losses = nll(logits.clone(), tag_tensor(&tags, &device)).into_data();
            size.loss_sum += losses.iter::<f32>().map(f64::from).sum::<f64>();
            size.tokens += rows.iter().map(|row| row.ids.len()).sum::<usize>();
            predicted.extend(score_rows(logits).iter().map(|scores| likeliest(scores)));
            truth.extend(tags);
        }
        size.targets = truth.len();
        let right = truth.iter().zip(&predicted).filter(|(a, b)| a == b).count();
        ClassificationReport::new(&count(&truth, &predicted, model.n_labels()), right, size)
    }
}

impl<M: TokenClassifier> BlockwiseLoss<M, TagExample> for TokenClassification {
    fn stages<'m>(&self, model: &'m M) -> &'m dyn Stages {
        model.stages()
    }

    fn tokens(&self, _model: &M, rows: &[&TagExample], device: &Device) -> (Tensor<2, Int>, Pass) {
        let batch = PaddedTokens::new(&ids(rows), device);
        (batch.ids, Pass::new(batch.segments))
    }

    fn loss_sum_from(
        &self,
        model: &M,
        rows: &[&TagExample],
        trunk: TrunkStates,
        device: &Device,
    ) -> Tensor<1> {
        tagged_nll(model, rows, Some(trunk), device)
    }
}

fn ids<'a>(rows: &[&'a TagExample]) -> Vec<&'a [u32]> {
    rows.iter().map(|row| row.ids.as_slice()).collect()
}

/// The positions of each row that have a tag.
fn tagged_places(rows: &[&TagExample]) -> Vec<Vec<usize>> {
    let tagged = |row: &&TagExample| {
        let places = 0..row.tags.len();
        places.filter(|i| row.tags[*i].is_some()).collect()
    };
    rows.iter().map(tagged).collect()
}

/// The sum of the losses of all tagged words of these rows.
fn tagged_nll<M: TokenClassifier>(
    model: &M,
    rows: &[&TagExample],
    trunk: Option<TrunkStates>,
    device: &Device,
) -> Tensor<1> {
    let (logits, tags) = tagged_logits(model, rows, trunk, device);
    nll(logits, tag_tensor(&tags, device)).sum()
}

/// The scores in f32 at the tokens that have a tag, `[tags, n_labels]`, and those tags: the head
/// runs on these and on no others.
fn tagged_logits<M: TokenClassifier>(
    model: &M,
    rows: &[&TagExample],
    trunk: Option<TrunkStates>,
    device: &Device,
) -> (Tensor<2>, Vec<usize>) {
    let tags = rows
        .iter()
        .flat_map(|row| row.tags.iter().flatten().copied());
    (
        logits_at(model, &ids(rows), &tagged_places(rows), trunk, device),
        tags.collect(),
    )
}

/// The scores in f32 at some positions of each row, row by row, `[positions in all, n_labels]`.
pub(super) fn logits_at<M: TokenClassifier>(
    model: &M,
    rows: &[&[u32]],
    places: &[Vec<usize>],
    trunk: Option<TrunkStates>,
    device: &Device,
) -> Tensor<2> {
    let batch = PaddedTokens::new(rows, device);
    let reads = ReadPositions::new(places, batch.positions, device);
    let states = states_read(model, batch.ids, batch.segments, &reads, trunk);
    let n = states.dims()[0];
    let logits = model.token_logits(states.unsqueeze());
    let n_labels = logits.dims()[2];
    logits.reshape([n, n_labels]).cast(DType::F32)
}

fn tag_tensor(tags: &[usize], device: &Device) -> Tensor<1, Int> {
    let tags: Vec<i64> = tags.iter().map(|tag| *tag as i64).collect();
    let n = tags.len();
    Tensor::from_data(TensorData::new(tags, [n]), (device, DType::I64))
}
