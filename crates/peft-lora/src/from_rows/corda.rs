//! Directions of the weight by what it is read with. *CorDA: Context-Oriented Decomposition
//! Adaptation of Large Language Models*, Yang et al. 2024,
//! [arXiv:2406.05223](https://arxiv.org/abs/2406.05223).

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use nalgebra::{Cholesky, DMatrix};
use peft_core::{Layer, LayerKind, PeftError};

use super::probe::Rows;
use super::{InputReader, StartFromRows, probe};
use crate::low_rank::exact;
use crate::{CordaMode, LoraConfig, LoraInit};

/// What the diagonal of a covariance gets more, of its mean: it may be of a lower rank.
const DAMPING: f64 = 0.01;

impl StartFromRows {
    /// Parts of each weight by the covariance `C` of the layer's inputs
    /// ([`LoraInit::Corda`]). With `C W = Σ σᵢ vᵢ uᵢᵀ` of the weight `[d_in, d_out]`,
    ///
    /// ```text
    /// A = C⁻¹ [… √(σᵢ/s) vᵢ …]          B = [… √(σᵢ/s) uᵢ …]ᵀ
    /// ```
    ///
    /// of the first or the last `r` ([`CordaMode`]), so that `s A B` is a part of `W`. `C` is the
    /// mean over the texts of `XᵀX`, where `X` are the rows of one text divided by the largest of
    /// their values, and its diagonal has a hundredth of its mean more, as in PEFT.
    ///
    /// `read` runs text after text, whose number it is told, through the model that it is given,
    /// without gradients: it says first which rows count, by [`InputReader::count`], then runs the
    /// model. The covariances of all layers are in memory at once, `d_in²` values of f32 each, but
    /// for those that read one input.
    ///
    /// # Errors
    ///
    /// A [`PeftError`]: those of `config`'s layers; [`PeftError::InvalidSetting`] where the rank is
    /// more than the smaller side of a layer, or a layer has read nothing but zeros;
    /// [`PeftError::NonFinite`].
    pub fn corda<M: Module>(
        config: &LoraConfig,
        mode: CordaMode,
        model: &M,
        texts: usize,
        mut read: impl FnMut(&M, &InputReader, usize),
    ) -> Result<Self, PeftError> {
        let config = config.clone().with_init(LoraInit::Corda(mode));
        let reader = InputReader::default();
        let (probed, layers) = probe::on_inputs(&config, model, &reader)?;
        let sizes = config.sizes_of(&layers)?;
        let mut of = Covariances::default();
        for text in 0..texts {
            read(&probed, &reader, text);
            of.add(reader.take(), &layers);
        }
        let mut factors = BTreeMap::new();
        for (at, (layer, (rank, scale))) in layers.iter().zip(sizes).enumerate() {
            if layer.kind == LayerKind::Linear {
                layer_rank(layer, rank)?;
                let covariance = of.of_layer(at).ok_or_else(|| nothing_read(layer))?;
                let found = parts(layer, covariance, mode, rank, scale)?;
                factors.insert(layer.path.clone(), found);
            }
        }
        Ok(Self {
            config,
            factors,
            settled: true,
        })
    }
}

fn layer_rank(layer: &Layer, rank: usize) -> Result<(), PeftError> {
    match rank <= layer.shape[0].min(layer.shape[1]) {
        true => Ok(()),
        false => Err(PeftError::InvalidSetting {
            field: format!("rank of `{}`", layer.path),
            value: rank.to_string(),
            expected: "at most the smaller side of the layer, of whose weight it begins",
        }),
    }
}

fn nothing_read(layer: &Layer) -> PeftError {
    PeftError::InvalidSetting {
        field: format!("the inputs of `{}`", layer.path),
        value: "nothing but zeros".into(),
        expected: "some of the rows: another init, or targets that the model runs through",
    }
}

/// Sums of `XᵀX` over texts, of the layers that do not read what another has read.
#[derive(Default)]
struct Covariances {
    sums: BTreeMap<usize, (Tensor<2>, usize)>,
    /// The first layer that reads the same, of the first text.
    alike: BTreeMap<usize, usize>,
}

impl Covariances {
    fn add(&mut self, rows: BTreeMap<usize, Rows>, layers: &[Layer]) {
        if self.alike.is_empty() {
            for (at, own) in &rows {
                let same = rows.range(..at).find(|(_, rows)| *rows == own);
                self.alike
                    .insert(*at, same.map_or(*at, |(first, _)| *first));
            }
        }
        for (at, (width, mut values)) in rows {
            let alone = *self.alike.entry(at).or_insert(at) == at;
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let largest = match largest == 0.0 {
                // By PEFT that is an error: nothing is above zero.
                true => values.iter().fold(0.0, |most, x| x.abs().max(most)),
                false => largest.abs(),
            };
            if !alone || largest == 0.0 || values.is_empty() {
                continue;
            }
            values.iter_mut().for_each(|x| *x /= largest);
            let data = TensorData::new(values.clone(), [values.len() / width, width]);
            let device = layers[at].device.clone().without_autodiff();
            let x = Tensor::<2>::from_data(data, (&device, DType::F32));
            let product = x.clone().transpose().matmul(x);
            let sum = match self.sums.remove(&at) {
                Some((sum, count)) => (sum + product, count + 1),
                None => (product, 1),
            };
            self.sums.insert(at, sum);
        }
    }

    /// The mean of a layer, in f64.
    fn of_layer(&self, at: usize) -> Option<DMatrix<f64>> {
        let (sum, count) = self.sums.get(self.alike.get(&at)?)?;
        let mean = sum.clone().div_scalar(*count as f64);
        Some(matrix(mean))
    }
}

fn matrix(of: Tensor<2>) -> DMatrix<f64> {
    let [rows, columns] = of.dims();
    let values: Vec<f64> = of.into_data().iter::<f64>().collect();
    DMatrix::from_row_iterator(rows, columns, values)
}

/// `A` and `B` of a layer whose inputs have this covariance.
fn parts(
    layer: &Layer,
    mut covariance: DMatrix<f64>,
    mode: CordaMode,
    rank: usize,
    scale: f64,
) -> Result<[Tensor<2>; 2], PeftError> {
    let not_finite = || PeftError::NonFinite {
        path: layer.weight_path(),
    };
    let [d_in, d_out] = layer.shape;
    let damping = DAMPING * covariance.diagonal().mean();
    if !damping.is_finite() {
        return Err(PeftError::NonFinite {
            path: format!("the inputs of {}", layer.path),
        });
    }
    for at in 0..d_in {
        covariance[(at, at)] += damping;
    }
    let weight = layer.frozen_weight().without_autodiff();
    let weight = matrix(weight.dense_in(DType::F32));
    if !weight.iter().all(|x| x.is_finite()) {
        return Err(not_finite());
    }
    let (v, s, u) = exact(&(&covariance * weight)).ok_or_else(not_finite)?;
    let first = match mode {
        CordaMode::InstructionPreviewed => 0,
        CordaMode::KnowledgePreserved => s.len() - rank,
    };
    let mut a = v.columns(first, rank).into_owned();
    let inverse = Cholesky::new(covariance).ok_or_else(|| nothing_read(layer))?;
    inverse.solve_mut(&mut a);
    // As PiSSA's: of a negative scale the product has the sign.
    let part = |k: usize| (s[first + k] / scale.abs()).sqrt();
    let mut of_a = Vec::with_capacity(d_in * rank);
    for i in 0..d_in {
        of_a.extend((0..rank).map(|k| (a[(i, k)] * part(k)) as f32));
    }
    let mut of_b = Vec::with_capacity(rank * d_out);
    for k in 0..rank {
        let turned = part(k) * scale.signum();
        of_b.extend(u.column(first + k).iter().map(|x| (x * turned) as f32));
    }
    let tensor = |values: Vec<f32>, shape: [usize; 2]| {
        let data = TensorData::new(values, shape);
        Tensor::from_data(data, (&layer.device, DType::F32))
    };
    Ok([tensor(of_a, [d_in, rank]), tensor(of_b, [rank, d_out])])
}
