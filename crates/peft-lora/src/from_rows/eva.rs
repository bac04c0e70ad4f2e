//! The principal directions of the layers' inputs. *Explained Variance Adaptation*, Paischer et al.
//! 2024, [arXiv:2410.07170](https://arxiv.org/abs/2410.07170).

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{Layer, LayerKind, Patterns, PeftError, Targets};

use super::eva_layers::Layers;
use super::{InputReader, StartFromRows, probe};
use crate::LoraConfig;

/// Batches that are read at most: directions that have not settled then are taken as they are.
const MOST: usize = 64;
/// The cosine between a direction and what it was a batch before, from which on it has settled.
const SETTLED: f64 = 0.99;
impl StartFromRows {
    /// `A` as the principal directions of each layer's inputs, with ranks that went where they
    /// explain most; `B` zero ([`LoraInit::Eva`](crate::LoraInit::Eva)).
    ///
    /// All directions of all layers, as many as `ρ` times the rank of each, are put in one order by
    /// the part of their layer's variance that they explain, and as many are kept as the layers
    /// have ranks together. A layer that keeps none is left out. The scale of each layer is what it
    /// was: alpha goes with the rank. The order is PEFT's.
    ///
    /// `read` runs batch after batch, whose number it is told, through the model that it is given,
    /// without gradients: it says first which rows count, by [`InputReader::count`], then runs the
    /// model on one text, and so on for the texts of the batch. Batches may repeat.
    ///
    /// # Errors
    ///
    /// A [`PeftError`]: those of `config`'s layers; [`PeftError::InvalidSetting`] where `rho` is
    /// below 1 or no batch has as many rows as directions are sought;
    /// [`PeftError::NonFinite`].
    pub fn eva<M: Module>(
        config: &LoraConfig,
        rho: f64,
        model: &M,
        mut read: impl FnMut(&M, &InputReader, usize),
    ) -> Result<Self, PeftError> {
        if !(1.0..=1000.0).contains(&rho) {
            return Err(PeftError::InvalidSetting {
                field: "rho".into(),
                value: rho.to_string(),
                expected: "at least 1 and at most 1000",
            });
        }
        let reader = InputReader::default();
        let (probed, found) = probe::on_inputs(config, model, &reader)?;
        let sizes = config.sizes_of(&found)?;
        let linear: Vec<bool> = found
            .iter()
            .map(|layer| layer.kind == LayerKind::Linear)
            .collect();
        let sought = |at: usize, rank: usize| {
            let most = found[at].shape[0];
            linear[at].then(|| ((rank as f64 * rho).round() as usize).clamp(1, most))
        };
        let sought: Vec<Option<usize>> = sizes
            .iter()
            .enumerate()
            .map(|(at, (rank, _))| sought(at, *rank))
            .collect();
        let budget: usize = (sizes.iter().zip(&linear))
            .filter(|(_, linear)| **linear)
            .map(|((rank, _), _)| rank)
            .sum();
        let mut layers = Layers::new(sought);
        let mut ranks = None;
        let mut settled = false;
        for batch in 0..MOST {
            read(&probed, &reader, batch);
            let rows = reader.take();
            let path = |at: usize| found[at].weight_path();
            layers
                .fit(rows)
                .map_err(|at| PeftError::NonFinite { path: path(at) })?;
            if let Some(now) = layers.ranks(budget) {
                settled = layers.settled(&now, SETTLED);
                ranks = Some(now);
            }
            if settled {
                break;
            }
        }
        let Some(ranks) = ranks else {
            return Err(PeftError::InvalidSetting {
                field: "the rows of a batch".into(),
                value: "fewer than directions are sought".into(),
                expected: "as many as rho times the rank: larger batches, or longer texts",
            });
        };
        let mut factors = BTreeMap::new();
        for (at, layer) in found.iter().enumerate() {
            if let Some(rank) = ranks[at].filter(|rank| *rank > 0) {
                let values = layers.directions(at, rank);
                let data = TensorData::new(values, [rank, layer.shape[0]]);
                let a = Tensor::<2>::from_data(data, (&layer.device, DType::F32));
                let b = Tensor::zeros([rank, layer.shape[1]], (&layer.device, DType::F32));
                factors.insert(layer.path.clone(), [a.transpose(), b]);
            }
        }
        Ok(Self {
            config: settled_config(config, &found, &sizes, &ranks),
            factors,
            settled,
        })
    }
}

/// The config of these layers with these ranks, each of the scale that it had.
fn settled_config(
    config: &LoraConfig,
    layers: &[Layer],
    sizes: &[(usize, f64)],
    ranks: &[Option<usize>],
) -> LoraConfig {
    let kept: Vec<(&str, usize, f64)> = (layers.iter().zip(sizes).zip(ranks))
        .map(|((layer, (before, scale)), rank)| {
            let rank = rank.unwrap_or(*before);
            // What gives this scale at that rank.
            let alpha = scale / config.scaling.scale(rank.max(1), 1.0);
            (layer.path.as_str(), rank, alpha)
        })
        .filter(|(_, rank, _)| *rank > 0)
        .collect();
    let paths = kept.iter().map(|(path, ..)| *path);
    let ranks = kept.iter().filter(|(_, rank, _)| *rank != config.rank);
    let alphas = kept
        .iter()
        .filter(|(_, _, alpha)| (*alpha - config.alpha).abs() > 1e-9 * config.alpha.abs());
    let mut placement = config.placement.clone();
    placement.targets = Targets::suffixes(paths);
    LoraConfig {
        rank_pattern: Patterns::new(ranks.map(|(path, rank, _)| (*path, *rank))),
        alpha_pattern: Patterns::new(alphas.map(|(path, _, alpha)| (*path, *alpha))),
        placement,
        ..config.clone()
    }
}
