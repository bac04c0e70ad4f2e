//! [`as_lora`]: what a model differs by from its base, as LoRA.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{ParamPlace, Patterns, Placed, Targets, VisitParams, visit_params};
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
pub(super) const UNCHANGED: &str = "no weight of a linear layer differs between the two models";
const WRITTEN: &str = "the adapter that was written differs from the one in memory";

/// How near the LoRA of a layer is to the layer's change.
pub(super) struct Approximated {
    pub(super) layer: String,
    pub(super) rank: usize,
    /// What is left out, as a part of the layer's change.
    pub(super) error: f64,
    /// The length of the change, as a part of the weight's.
    pub(super) change: f64,
    length: f64,
}

/// A base with LoRA on it, near to another model.
pub(super) struct AsLora {
    pub(super) model: Adaptable<LanguageModel>,
    pub(super) config: LoraConfig,
    pub(super) layers: Vec<Approximated>,
    /// Parameters that differ and are no weights of linear layers, which stay the base's.
    left: Vec<String>,
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
    let (mut found, mut layers) = (BTreeMap::new(), Vec::new());
    let others = changes(&base, tuned, |change| {
        let (length, weight) = (norm(&change.values), change.weight);
        let layer = change.layer.clone();
        let near = LowRank::of(change.into_matrix(), size).ok_or_else(|| not_finite(&layer))?;
        layers.push(Approximated {
            layer: layer.clone(),
            rank: near.singular_values.len(),
            error: near.error,
            change: length / weight.max(f64::MIN_POSITIVE),
            length,
        });
        found.insert(layer, near);
        Ok(())
    })?;
    if layers.is_empty() {
        return Err(CliError::Usage(UNCHANGED.into()));
    }
    let config = config(&layers, &others.unchanged);
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
        left: others.left,
    })
}

pub(super) fn not_finite(layer: &str) -> CliError {
    CliError::Usage(format!("the change of `{layer}` is not finite"))
}

/// What differs between two models beside the weights of linear layers, and which of these do not.
#[derive(Default)]
pub(super) struct Others {
    /// Linear layers that do not differ.
    unchanged: Vec<String>,
    /// Parameters that differ and are no weights of linear layers.
    left: Vec<String>,
}

/// What a linear layer's weight differs by.
pub(super) struct Change {
    pub(super) layer: String,
    pub(super) shape: [usize; 2],
    values: Vec<f32>,
    /// The length of the weight before.
    weight: f64,
}

impl Change {
    pub(super) fn into_matrix(self) -> Tensor<2> {
        let data = TensorData::new(self.values, self.shape);
        Tensor::from_data(data, (&Device::default(), DType::F32))
    }
}

/// Give `each` what `tuned` has more than `base` in a linear layer, one after the other: no two are
/// in memory together.
///
/// # Errors
///
/// Where the models are not of one shape; those of `each`.
pub(super) fn changes(
    base: &LanguageModel,
    tuned: &LanguageModel,
    mut each: impl FnMut(Change) -> Result<(), CliError>,
) -> Result<Others, CliError> {
    let (before, mut after) = (Parameters::of(base), Parameters::of(tuned));
    let mut others = Others::default();
    for (path, before) in before.0 {
        let after = after.0.remove(&path);
        let after = after.filter(|after| after.shape == before.shape);
        let after = after.ok_or_else(|| {
            CliError::Usage(format!("the two models differ in the shape of `{path}`"))
        })?;
        let layer = before.layer(&path);
        let (values, mut delta) = ((before.values)(), (after.values)());
        let pairs = || values.iter().zip(&delta);
        if pairs().all(|(before, after)| before.to_bits() == after.to_bits()) {
            others.unchanged.extend(layer.map(|(layer, _)| layer));
            continue;
        }
        let Some((layer, shape)) = layer else {
            others.left.push(path);
            continue;
        };
        for (delta, before) in delta.iter_mut().zip(&values) {
            *delta -= before;
        }
        each(Change {
            layer,
            shape,
            values: delta,
            weight: norm(&values),
        })?;
    }
    match after.0.keys().next() {
        None => Ok(others),
        Some(path) => Err(CliError::Usage(format!(
            "the base has no `{path}`, and the other model has"
        ))),
    }
}

/// Give `each` the weights of a model's linear layers, as if it differed by them from nothing.
///
/// # Errors
///
/// Those of `each`.
pub(super) fn weights(
    model: &LanguageModel,
    mut each: impl FnMut(Change) -> Result<(), CliError>,
) -> Result<(), CliError> {
    for (path, parameter) in Parameters::of(model).0 {
        if let Some((layer, shape)) = parameter.layer(&path) {
            let values = (parameter.values)();
            let weight = norm(&values);
            each(Change {
                layer,
                shape,
                values,
                weight,
            })?;
        }
    }
    Ok(())
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

/// A parameter, whose values are copied when they are asked for.
struct Parameter {
    shape: Vec<usize>,
    is_linear: bool,
    values: Box<dyn Fn() -> Vec<f32>>,
}

impl Parameter {
    /// The linear layer that it is the weight of, and its shape.
    fn layer(&self, path: &str) -> Option<(String, [usize; 2])> {
        let layer = path.strip_suffix(".weight").filter(|_| self.is_linear)?;
        Some((layer.to_owned(), self.shape.clone().try_into().ok()?))
    }
}

/// All parameters, by their paths.
#[derive(Default)]
struct Parameters(BTreeMap<String, Parameter>);

impl Parameters {
    fn of(model: &LanguageModel) -> Self {
        let mut all = Self::default();
        visit_params(model, &mut all);
        all
    }
}

impl VisitParams for Parameters {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let value = param.val();
        let within = at.containers().last();
        let parameter = Parameter {
            shape: value.dims().to_vec(),
            is_linear: within.is_some_and(|of| of.ends_with(":Linear")),
            values: Box::new(move || value.to_data().iter::<f32>().collect()),
        };
        self.0.insert(at.path(), parameter);
    }
}
