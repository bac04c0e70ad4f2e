//! [`LoraLayers`]: LoRA of a directory layer by layer, without its base.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{Choice, LayerKind, LayerRange, Names, Patterns, Placed, Targets, TrainBias};
use peft_lora::{Lora, LoraConfig};
use serde_json::{Map, Value};

use super::base::BASE_DIGEST;
use super::beside::method_fields;
use super::files::{create, pretty, replace, write};
use super::found::{CONFIG, TENSORS};
use super::key_forms::forms;
use super::methods::{LayerAdapter, WeightMethod, factors};
use super::placement::{LayerFields, write_placement};
use super::tensors::{NamedTensors, TensorsFile, WRAPPED_MODEL};
use super::{AdapterConfig, AdapterDir, AdapterFileError, AdapterInfo};
use crate::params::in_out;

/// LoRA on one layer.
#[derive(Debug, Clone)]
pub struct LoraLayer {
    /// Of what layer.
    pub kind: LayerKind,
    /// The adapter.
    pub lora: Lora,
}

/// LoRA by the layers' paths, and weights of the base by their keys.
type Layers = BTreeMap<String, LoraLayer>;
type Copies = BTreeMap<String, TensorData>;

/// Plain LoRA, layer by layer, by the layers' paths: as it is in a directory, whatever its base is.
#[derive(Debug, Clone)]
pub struct LoraLayers {
    /// The layers.
    pub layers: BTreeMap<String, LoraLayer>,
    dir: PathBuf,
    fields: Map<String, Value>,
    targets: Targets,
    /// Weights of the base that the file has beside the factors, as PEFT saves embeddings.
    copies: Copies,
    /// The digest of the base, if it is known.
    digest: Option<String>,
}

impl LoraLayers {
    /// Read all layers of a directory.
    ///
    /// # Errors
    ///
    /// [`AdapterFileError::NotLora`] where it holds something else than two factors a layer;
    /// others that name the file and the tensors.
    pub fn read(dir: &AdapterDir, device: &Device) -> Result<Self, AdapterFileError> {
        let not_lora = |found: String| AdapterFileError::NotLora {
            dir: dir.dir().into(),
            found,
        };
        let AdapterConfig::Lora(config) = dir.config() else {
            return Err(not_lora(format!(
                "an adapter of method {}",
                dir.config().method()
            )));
        };
        let placement = &config.placement;
        let beside = [
            ("magnitudes (`use_dora`)", config.dora),
            ("a bias of B (`lora_bias`)", config.lora_bias),
            (
                "biases of the base (`bias`)",
                placement.train_bias != TrainBias::None,
            ),
            (
                "whole modules (`modules_to_save`)",
                !placement.whole_modules.is_empty(),
            ),
            (
                "rows of an embedding (`trainable_token_indices`)",
                placement.token_rows.is_some(),
            ),
        ];
        if let Some((what, _)) = beside.iter().find(|(_, has)| *has) {
            return Err(not_lora(format!("{what} beside its factors")));
        }
        let tensors = <LoraConfig as WeightMethod>::TENSORS;
        let file = dir.tensors()?.with_forms(WRAPPED_MODEL, tensors);
        let digest = file.text(BASE_DIGEST).map(str::to_owned);
        let (layers, copies) = layers(file, config, device)?;
        Ok(Self {
            layers,
            copies,
            dir: dir.dir().into(),
            fields: dir.fields().clone(),
            targets: placement.targets.clone(),
            digest,
        })
    }

    /// These layers in the place of its own, each of which is of this or of one of the others: they
    /// go where the layers of all go, beside the weights of the base that the files of all have.
    ///
    /// # Errors
    ///
    /// [`AdapterFileError::UnlikeBases`] where two have other values for one weight of the base.
    pub fn with_layers(
        &self,
        layers: BTreeMap<String, LoraLayer>,
        others: &[&Self],
    ) -> Result<Self, AdapterFileError> {
        let mut copies = self.copies.clone();
        for other in others {
            for (key, data) in &other.copies {
                let known = copies.entry(key.clone()).or_insert_with(|| data.clone());
                if known != data {
                    return Err(AdapterFileError::UnlikeBases {
                        dir: other.dir.clone(),
                        key: key.clone(),
                    });
                }
            }
        }
        let all = [self].into_iter().chain(others.iter().copied());
        // What a list of names means on the base is known where nothing narrows it down.
        let names = all.map(|of| match (of.targets.choice(), of.targets.range()) {
            (Choice::Names(Names::Suffixes(names)), LayerRange::All) => {
                Some(names.clone()).filter(|_| of.targets.exclude().is_none())
            }
            _ => None,
        });
        let names: Option<Vec<Vec<String>>> = names.collect();
        let names = names.map_or_else(|| layers.keys().cloned().collect(), |names| names.concat());
        Ok(Self {
            layers,
            copies,
            targets: Targets::suffixes(names),
            ..self.clone()
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Why another adapter may be of another base than this one, a sentence.
    pub fn other_base(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self.digest.as_deref()?, other.digest.as_deref()?);
        (ours != theirs).then(|| {
            format!(
                "{} and {} were trained on bases of different weights (checksums {ours} and {theirs}): what one has learnt is no change of the other's",
                self.dir.display(),
                other.dir.display()
            )
        })
    }

    /// Write them as a directory that PEFT reads, with what the one that they were read from says
    /// of its base and task.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`] where the files cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<(), AdapterFileError> {
        let dir = dir.as_ref();
        let rank = |of: &LoraLayer| of.lora.rank();
        let most = self.layers.values().map(rank).max().unwrap_or(1);
        let alpha = |of: &LoraLayer| of.lora.scale() * rank(of) as f64;
        let first = self.layers.values().find(|of| rank(of) == most);
        let most_alpha = first.map_or(1.0, alpha);
        let ranks = self.layers.iter().filter(|(_, of)| rank(of) != most);
        let ranks = ranks.map(|(path, of)| (path, rank(of)));
        let alphas = self.layers.iter().filter(|(_, of)| alpha(of) != most_alpha);
        let alphas = alphas.map(|(path, of)| (path, alpha(of)));
        let config = LoraConfig::new(most, most_alpha)
            .with_targets(self.targets.clone())
            .with_rank_pattern(Patterns::new(ranks))
            .with_alpha_pattern(Patterns::new(alphas));
        let adapted = self.layers.iter();
        let adapted: Vec<LayerAdapter<'_, Lora>> = adapted
            .map(|(path, of)| LayerAdapter {
                path,
                adapter: &of.lora,
            })
            .collect();
        let mut fields = method_fields(LoraConfig::PEFT_TYPE);
        let paths: Vec<&str> = adapted.iter().map(|on| on.path).collect();
        write_placement(&mut fields, &config.placement, &paths, &LayerFields::ALL);
        config.write(&mut fields, &adapted);
        let straight = self.fields.get("fan_in_fan_out").cloned();
        fields.insert("fan_in_fan_out".into(), straight.unwrap_or(false.into()));
        AdapterInfo::of_base(&self.fields).complete(&mut fields);
        let tensors: NamedTensors = (self.layers.iter())
            .flat_map(|(path, of)| {
                let own = LoraConfig::tensors(&of.lora, &of.kind.into()).into_iter();
                own.map(move |(name, data)| {
                    let key = format!("{WRAPPED_MODEL}{path}.{name}");
                    (key, data.convert_dtype(DType::F32))
                })
            })
            .chain(self.copies.clone())
            .collect();
        let json = pretty(dir, &fields)?;
        create(dir)?;
        let texts = self
            .digest
            .iter()
            .map(|digest| (BASE_DIGEST, digest.clone()));
        write(&dir.join(TENSORS), tensors, texts)?;
        replace(&dir.join(CONFIG), &json)
    }
}

/// The layers that a file has tensors of, of the ranks and alphas that its config says.
fn layers(
    mut file: TensorsFile,
    config: &LoraConfig,
    device: &Device,
) -> Result<(Layers, Copies), AdapterFileError> {
    let mut found: BTreeMap<String, (LayerKind, [usize; 2])> = BTreeMap::new();
    let tensors = <LoraConfig as WeightMethod>::TENSORS;
    for (key, place) in file.places() {
        let forms = forms(key, WRAPPED_MODEL, tensors);
        // The first is the likeliest.
        let factor = forms.iter().find_map(|form| factor_of(form));
        if let (Some((layer, kind, is_a)), [rows, columns]) = (factor, place.shape()) {
            let (_, sides) = found.entry(layer.into()).or_insert((kind, [0, 0]));
            match is_a {
                true => sides[0] = *columns,
                false => sides[1] = *rows,
            }
        }
    }
    let paths: Vec<String> = found.keys().cloned().collect();
    let mut config = config.clone();
    config.keep_what_matches(&paths);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let ranks = config
        .rank_pattern
        .resolve("rank pattern", &paths, &config.rank)?;
    let alphas = config
        .alpha_pattern
        .resolve("alpha pattern", &paths, &config.alpha)?;
    let mut layers = BTreeMap::new();
    for ((path, (kind, [d_in, d_out])), (rank, alpha)) in
        found.into_iter().zip(ranks.into_iter().zip(alphas))
    {
        let scale = config.scaling.scale(rank, alpha);
        let [a, b] = factors(kind).map(|name| format!("{WRAPPED_MODEL}{path}.{name}"));
        let a = file.take(&a, &[rank, d_in])?;
        let b = file.take(&b, &[d_out, rank])?;
        if let Some((a, b)) = a.zip(b) {
            let to = || (device, DType::F32);
            let lora = Lora::new(in_out(a, to()), in_out(b, to()), scale, 0.0);
            layers.insert(path, LoraLayer { kind, lora });
        }
    }
    let left = file.places().iter();
    let left = left.filter(|(key, _)| key.starts_with(WRAPPED_MODEL) && key.ends_with(".weight"));
    let left: Vec<(String, Vec<usize>)> = left
        .filter(|(key, _)| !tensors.iter().any(|name| key.contains(name)))
        .map(|(key, place)| (key.clone(), place.shape().to_vec()))
        .collect();
    let mut copies = BTreeMap::new();
    for (key, shape) in left {
        if let Some(data) = file.take(&key, &shape)? {
            copies.insert(key, data);
        }
    }
    file.finish()?;
    Ok((layers, copies))
}

/// The layer that a key's factor is of, and whether it is `A`.
fn factor_of(key: &str) -> Option<(&str, LayerKind, bool)> {
    let path = key.strip_prefix(WRAPPED_MODEL)?;
    let kinds = [LayerKind::Linear, LayerKind::Embedding].into_iter();
    let names = kinds.flat_map(|kind| {
        let [a, b] = factors(kind);
        [(a, kind, true), (b, kind, false)]
    });
    names.into_iter().find_map(|(name, kind, is_a)| {
        let layer = path.strip_suffix(name)?.strip_suffix('.')?;
        Some((layer, kind, is_a))
    })
}
