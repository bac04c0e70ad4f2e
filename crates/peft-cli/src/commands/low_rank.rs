//! [`as_lora`]: what a model differs by from its base, as LoRA.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{ParamPlace, Patterns, Targets, VisitParams, visit_params};
use peft_lora::{Lora, LoraConfig, LowRank, Size};
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{
    Adaptable, AdapterConfig, AdapterInfo, Checkpoint, Companions, SavedAdapter, TaskType,
    adaptable,
};

use super::adapted::{ADAPTER, attach};
use super::merge::compare::{agreement, gap, last_bit_moved, same};
use super::merge::probe::{Logits, Probe};
use crate::error::CliError;
use crate::say::say;

/// Parameters that are named of those that stay as they are in the base.
const NAMED: usize = 5;
const WRITTEN: &str = "the adapter that was written differs from the one in memory";

/// One layer's.
pub(super) struct Approximated {
    pub(super) layer: String,
    pub(super) rank: usize,
    /// Of the layer's own change.
    pub(super) error: f64,
    /// The length of the change, of that of the weight.
    pub(super) change: f64,
    length: f64,
}

/// A base with LoRA on it.
pub(super) struct AsLora {
    pub(super) model: Adaptable<LanguageModel>,
    pub(super) config: LoraConfig,
    pub(super) layers: Vec<Approximated>,
    /// Parameters that differ and are no weights of linear layers, which stay the base's.
    pub(super) left: Vec<String>,
}

impl AsLora {
    /// What is missing of all changes of the layers.
    pub(super) fn error(&self) -> f64 {
        let (missing, all) = self.layers.iter().fold((0.0, 0.0), |(missing, all), of| {
            let square = of.length * of.length;
            (missing + square * of.error * of.error, all + square)
        });
        if all > 0.0 {
            f64::sqrt(missing / all)
        } else {
            0.0
        }
    }
}

/// LoRA on a base that comes near to what another model differs by from it.
///
/// # Errors
///
/// Where the two are not of one shape, do not differ in any linear layer, or are not finite.
pub(super) fn as_lora(
    base: LanguageModel,
    tuned: &LanguageModel,
    size: Size,
) -> Result<AsLora, CliError> {
    let changes = changes(&base, tuned)?;
    let (mut found, mut layers) = (BTreeMap::new(), Vec::new());
    for change in changes.layers {
        let delta = change.matrix();
        let near = LowRank::of(delta, size).ok_or_else(|| not_finite(&change.layer))?;
        let length = norm(&change.values);
        layers.push(Approximated {
            layer: change.layer.clone(),
            rank: near.singular_values.len(),
            error: near.error,
            change: length / change.of.max(f64::MIN_POSITIVE),
            length,
        });
        found.insert(change.layer, near);
    }
    if layers.is_empty() {
        let what = "no weight of a linear layer differs between the two models";
        return Err(CliError::Usage(what.into()));
    }
    let config = config(&layers, &changes.unchanged);
    let mut model = base;
    config.attach_with(&mut model, ADAPTER, |layer, _, scale| {
        let on =
            |tensor: Tensor<2>| Tensor::from_data(tensor.into_data(), (&layer.device, DType::F32));
        let near = &found[&layer.path];
        let b = near.b.clone().div_scalar(scale);
        Ok(Lora::new(on(near.a.clone()), on(b), scale, 0.0))
    })?;
    Ok(AsLora {
        model: adaptable(model),
        config,
        layers,
        left: changes.left,
    })
}

pub(super) fn not_finite(layer: &str) -> CliError {
    CliError::Usage(format!("the change of `{layer}` is not finite"))
}

/// What one model differs by from another.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) layers: Vec<Change>,
    /// Linear layers that do not differ.
    unchanged: Vec<String>,
    /// Parameters that differ and are no weights of linear layers.
    pub(super) left: Vec<String>,
}

/// That of a linear layer's weight.
pub(super) struct Change {
    pub(super) layer: String,
    pub(super) shape: [usize; 2],
    values: Vec<f32>,
    /// The length of the weight before.
    of: f64,
}

impl Change {
    pub(super) fn matrix(&self) -> Tensor<2> {
        let data = TensorData::new(self.values.clone(), self.shape);
        Tensor::from_data(data, (&Device::default(), DType::F32))
    }
}

/// What `tuned` has more than `base`.
///
/// # Errors
///
/// Where they are not of one shape.
pub(super) fn changes(base: &LanguageModel, tuned: &LanguageModel) -> Result<Changes, CliError> {
    let (mut before, mut after) = (Values::default(), Values::default());
    visit_params(base, &mut before);
    visit_params(tuned, &mut after);
    let mut changes = Changes::default();
    for (path, before) in before.0 {
        let after = after.0.remove(&path);
        let after = after.filter(|after| after.shape == before.shape);
        let after = after.ok_or_else(|| {
            CliError::Usage(format!("the two models differ in the shape of `{path}`"))
        })?;
        let layer = path.strip_suffix(".weight");
        let layer = layer.filter(|_| before.is_linear);
        match (after.less(&before), layer, before.shape.as_slice()) {
            (None, layer, _) => changes.unchanged.extend(layer.map(str::to_owned)),
            (Some(values), Some(layer), &[d_in, d_out]) => changes.layers.push(Change {
                layer: layer.into(),
                shape: [d_in, d_out],
                values,
                of: norm(&before.values),
            }),
            (Some(_), _, _) => changes.left.push(path),
        }
    }
    match after.0.keys().next() {
        None => Ok(changes),
        Some(path) => Err(CliError::Usage(format!(
            "the base has no `{path}`, and the other model has"
        ))),
    }
}

/// The weights of a model's linear layers, as if it differed by them from nothing.
pub(super) fn weights(model: &LanguageModel) -> Vec<Change> {
    let mut values = Values::default();
    visit_params(model, &mut values);
    let linear = values.0.into_iter().filter(|(_, value)| value.is_linear);
    let weights = linear.filter_map(|(path, value)| match value.shape.as_slice() {
        &[d_in, d_out] => Some(Change {
            layer: path.strip_suffix(".weight")?.into(),
            shape: [d_in, d_out],
            of: norm(&value.values),
            values: value.values,
        }),
        _ => None,
    });
    weights.collect()
}

/// The config of these layers: their last names where no other layer has them, and ranks of their
/// own where they differ. The scale is 1.
fn config(layers: &[Approximated], unchanged: &[String]) -> LoraConfig {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let others: Vec<String> = unchanged.iter().map(|path| last(path)).collect();
    let mut targets: Vec<String> = layers.iter().map(|of| last(&of.layer)).collect();
    if targets.iter().any(|name| others.contains(name)) {
        targets = layers.iter().map(|of| of.layer.clone()).collect();
    }
    targets.sort();
    targets.dedup();
    let rank = layers.iter().map(|of| of.rank).max().unwrap_or(1);
    let own = || layers.iter().filter(|of| of.rank != rank);
    let ranks = own().map(|of| (of.layer.clone(), of.rank));
    let alphas = own().map(|of| (of.layer.clone(), of.rank as f64));
    LoraConfig::new(rank, rank as f64)
        .with_targets(Targets::suffixes(targets))
        .with_rank_pattern(Patterns::new(ranks))
        .with_alpha_pattern(Patterns::new(alphas))
}

/// Write it to a directory, with a tokenizer; read it back, and compare.
///
/// # Errors
///
/// Those of files, and where what is read is not what was written.
pub(super) fn write(
    found: &AsLora,
    (checkpoint, companions, base): (&Checkpoint, &Companions, &Path),
    (probe, device): (&Probe, &Device),
    tuned: &[Logits],
    dir: &Path,
) -> Result<(), CliError> {
    let read = |model: &LanguageModel| {
        probe.read(device, |ids| {
            Logits::of(model.logits(model.hidden(ids, None, None)))
        })
    };
    let about = AdapterInfo::new()
        .with_base(base.display().to_string())
        .with_task(TaskType::CausalLm);
    companions.copy_tokenizer(dir)?;
    let config = AdapterConfig::Lora(found.config.clone());
    config.save_any(&found.model, ADAPTER, &about, dir)?;
    let ours = read(&found.model.model.model);
    let saved = SavedAdapter::open_on(dir, checkpoint)?;
    let mut again = adaptable(saved.untied(checkpoint.load(device, DType::F32)?)?);
    attach(&saved, &mut again)?;
    let again = again.model.model;
    let theirs = read(&again);
    let moved = || read(&last_bit_moved(again.clone()));
    same(WRITTEN, (&ours, &theirs), false, moved)?;
    let (difference, _) = gap(tuned, &ours);
    let (kept, all) = agreement(probe.of_texts(tuned), probe.of_texts(&ours));
    say!(
        "{} layers, {:.2} % of their change is left out; logits are at most {difference:.2e} from the model's; the largest is the same at {kept} of {all} positions",
        found.layers.len(),
        100.0 * found.error()
    );
    if let Some(first) = found.left.first() {
        let named = found.left.len().min(NAMED);
        let more = match found.left.len() - named {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        say!(
            "warning: LoRA on linear layers has no place for what changed in {}{more}: they stay as the base has them (`{first}` first)",
            found.left[..named].join(", ")
        );
    }
    Ok(())
}

fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|x| f64::from(*x) * f64::from(*x));
    squares.sum::<f64>().sqrt()
}

/// A parameter's.
struct Value {
    shape: Vec<usize>,
    values: Vec<f32>,
    is_linear: bool,
}

impl Value {
    /// What it has more than another; none where they are equal.
    fn less(&self, other: &Self) -> Option<Vec<f32>> {
        let pairs = || self.values.iter().zip(&other.values);
        let differs = pairs().any(|(a, b)| a.to_bits() != b.to_bits());
        differs.then(|| pairs().map(|(a, b)| a - b).collect())
    }
}

/// The values of all parameters, by their paths.
#[derive(Default)]
struct Values(BTreeMap<String, Value>);

impl VisitParams for Values {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let value = param.val();
        let within = at.containers().last();
        self.0.insert(
            at.path(),
            Value {
                shape: value.dims().to_vec(),
                values: value.into_data().iter::<f32>().collect(),
                is_linear: D == 2 && within.is_some_and(|of| of.ends_with(":Linear")),
            },
        );
    }
}
