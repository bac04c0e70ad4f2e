//! [`Regularisation`]: what makes the loss of training another than that of evaluation.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// What makes the loss of training another than that of evaluation. By default nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Regularisation {
    /// ε of label smoothing: the loss of a target is `(1 − ε)` of its own negative log-likelihood
    /// and `ε` of the mean over all classes, or tokens. *Rethinking the Inception Architecture*,
    /// Szegedy et al. 2016, [arXiv:1512.00567](https://arxiv.org/abs/1512.00567), as transformers'
    /// `label_smoothing_factor`. At least 0 and below 1; not for labels that may apply together,
    /// and not for values.
    pub label_smoothing: f64,
    /// α of noisy embeddings: to each number of an embedding of a text of `L` tokens a number is
    /// added that is drawn uniformly between `±α / √(L d_model)`. *NEFTune*, Jain et al. 2023,
    /// [arXiv:2310.05914](https://arxiv.org/abs/2310.05914). transformers' `neftune_noise_alpha`
    /// takes for `L` the length that rows are padded to; here it is each text's own, whatever
    /// stands beside it. 0 for none.
    pub noise_alpha: f64,
}

impl Regularisation {
    /// How an objective's name tells it.
    pub(crate) fn suffix(&self) -> String {
        let mut suffix = String::new();
        if self.label_smoothing != 0.0 {
            suffix += &format!(", labels smoothed by {}", self.label_smoothing);
        }
        if self.noise_alpha != 0.0 {
            suffix += &format!(", embeddings with noise {}", self.noise_alpha);
        }
        suffix
    }

    /// The largest noise at each position, `[rows, positions]`, from the length of the text that it
    /// belongs to, row by row, 0 for padding; none where there is to be none.
    pub(crate) fn noise(
        &self,
        lengths: &[usize],
        shape: [usize; 2],
        d_model: usize,
        device: &Device,
    ) -> Option<Tensor<2>> {
        if self.noise_alpha == 0.0 {
            return None;
        }
        let largest = |length: &usize| match length {
            0 => 0.0,
            length => (self.noise_alpha / ((length * d_model) as f64).sqrt()) as f32,
        };
        let largest: Vec<f32> = lengths.iter().map(largest).collect();
        let data = TensorData::new(largest, shape);
        Some(Tensor::from_data(data, (device, DType::F32)))
    }
}
