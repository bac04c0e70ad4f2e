//! [`TokenClassification`]: what each word is: `−Σ log softmax(x)_tag` over the words.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_model::{Pass, Stages, TokenClassifier};

use super::TagExample;
use super::classification_report::{ClassificationReport, Size};
use super::measures::count;
use super::sequence::{likeliest, score_rows};
use crate::batch::plan_evaluation;
use crate::eval::device_of;
use crate::loss::{nll, smoothed_nll};
use crate::objective::{ReadPositions, states_read};
use crate::store::borrowed;
use crate::{
    BlockwiseLoss, Examples, Objective, PaddedTokens, Regularisation, TrainError, TrunkStates,
};

/// To tell what each word is, read at its first token.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TokenClassification {
    /// What training alone does.
    pub regularisation: Regularisation,
}

impl TokenClassification {
    /// The rows as training reads them.
    fn batch<M: TokenClassifier>(
        self,
        model: &M,
        rows: &[&TagExample],
        device: &Device,
    ) -> PaddedTokens {
        let ids = ids(rows);
        PaddedTokens::new(&ids, device).with_noise(self.regularisation, &ids, model.d_model())
    }

    /// The sum of the losses of all tagged words of these rows.
    fn loss<M: TokenClassifier>(
        self,
        model: &M,
        rows: &[&TagExample],
        trunk: Option<TrunkStates>,
        device: &Device,
    ) -> Tensor<1> {
        let batch = self.batch(model, rows, device);
        let logits = logits_at(model, batch, &tagged_places(rows), trunk, device);
        let smoothing = self.regularisation.label_smoothing;
        smoothed_nll(logits, tag_tensor(&tags(rows), device), smoothing).sum()
    }
}

impl<M: TokenClassifier> Objective<M> for TokenClassification {
    type Example = TagExample;
    type Report = ClassificationReport;

    fn name(&self) -> String {
        "token classification".to_owned() + &self.regularisation.suffix()
    }

    fn loss_sum(&self, model: &M, rows: &[&TagExample], device: &Device) -> Tensor<1> {
        self.loss(model, rows, None, device)
    }

    fn blockwise(&self) -> Option<&dyn BlockwiseLoss<M, TagExample>> {
        Some(self)
    }

    fn evaluate(
        &self,
        model: &M,
        examples: Examples<'_, TagExample>,
        batch_size: usize,
    ) -> Result<ClassificationReport, TrainError> {
        let device = device_of(model);
        let (mut truth, mut predicted) = (Vec::new(), Vec::new());
        let mut size = Size {
            examples: examples.len(),
            ..Size::default()
        };
        for rows in plan_evaluation(&examples.lengths(), batch_size) {
            let rows = examples.at(&rows)?;
            let rows = borrowed(&rows);
            let batch = PaddedTokens::new(&ids(&rows), &device);
            let logits = logits_at(model, batch, &tagged_places(&rows), None, &device);
            let tags = tags(&rows);
            let losses = nll(logits.clone(), tag_tensor(&tags, &device)).into_data();
            size.loss_sum += losses.iter::<f32>().map(f64::from).sum::<f64>();
            size.tokens += rows.iter().map(|row| row.ids.len()).sum::<usize>();
            predicted.extend(score_rows(logits).iter().map(|scores| likeliest(scores)));
            truth.extend(tags);
        }
        size.targets = truth.len();
        let right = truth.iter().zip(&predicted).filter(|(a, b)| a == b).count();
        let counts = count(&truth, &predicted, model.n_labels());
        Ok(ClassificationReport::new(&counts, right, size))
    }
}

impl<M: TokenClassifier> BlockwiseLoss<M, TagExample> for TokenClassification {
    fn stages<'m>(&self, model: &'m M) -> &'m dyn Stages {
        model.stages()
    }

    fn tokens(&self, model: &M, rows: &[&TagExample], device: &Device) -> (Tensor<2, Int>, Pass) {
        let batch = self.batch(model, rows, device);
        let pass = batch.pass();
        (batch.ids, pass)
    }

    fn loss_sum_from(
        &self,
        model: &M,
        rows: &[&TagExample],
        trunk: TrunkStates,
        device: &Device,
    ) -> Tensor<1> {
        self.loss(model, rows, Some(trunk), device)
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

/// The tags of these rows, one after the other.
fn tags(rows: &[&TagExample]) -> Vec<usize> {
    let tags = |row: &&TagExample| row.tags.iter().flatten().copied().collect::<Vec<_>>();
    rows.iter().flat_map(tags).collect()
}

/// The scores in f32 at some positions of each row, row by row, `[positions in all, n_labels]`: the
/// head runs on these and on no others.
pub(super) fn logits_at<M: TokenClassifier>(
    model: &M,
    batch: PaddedTokens,
    places: &[Vec<usize>],
    trunk: Option<TrunkStates>,
    device: &Device,
) -> Tensor<2> {
    let pass = batch.pass();
    let reads = ReadPositions::new(places, batch.positions, device);
    let states = states_read(model, batch.ids, pass, &reads, trunk);
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
