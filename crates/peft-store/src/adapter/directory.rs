//! [`AdapterDir`]: an adapter directory, read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use burn::module::Module;
use peft_core::{
    AttachReport, ForwardPath, Layer, Summary, edit_slots, layers, module_paths, set_statistics,
};
use peft_files::{NotFinite, python_json};
use serde_json::{Map, Value};

use super::base::{BASE_DIGEST, other_base_warning, whole};
use super::base_copies::BaseCopies;
use super::defaults::complete;
#[cfg(feature = "lora")]
use super::fitted::chosen;
use super::fitted::{OUTPUT_LAYER, fitted, fitted_modules};
use super::found::{found, instead_of_tensors};
use super::key_forms::{copied_bias, own_key};
use super::keys::{Entry, entries, running};
use super::save::io;
use super::tensors::TensorsFile;
use super::{AdapterConfig, AdapterFileError};
use crate::LARGEST_JSON;

pub(crate) const CONFIG: &str = "adapter_config.json";
/// What mlx-lm calls the tensors of an adapter.
const MLX: &str = "adapters.safetensors";
pub(crate) const TENSORS: &str = "adapter_model.safetensors";

/// An adapter directory whose config has been read and understood.
#[derive(Debug, Clone)]
pub struct AdapterDir {
    pub(super) dir: PathBuf,
    pub(super) config: AdapterConfig,
    fields: Map<String, Value>,
}

/// The config file of a directory, and its fields.
pub(crate) fn read_fields(dir: &Path) -> Result<(PathBuf, Map<String, Value>), AdapterFileError> {
    let path = dir.join(CONFIG);
    if !path.is_file() {
        return Err(not_an_adapter(dir));
    }
    let text =
        peft_files::read_text(&path, LARGEST_JSON).map_err(|source| io("read", &path, source))?;
    match python_json::<Map<String, Value>>(&text, NotFinite::Text) {
        // mlx-lm's file has the same name.
        Ok(fields) if !fields.contains_key("peft_type") && dir.join(MLX).is_file() => {
            Err(not_an_adapter(dir))
        }
        Ok(fields) => Ok((path, fields)),
        Err(source) => Err(AdapterFileError::Json { path, source }),
    }
}

fn not_an_adapter(dir: &Path) -> AdapterFileError {
    AdapterFileError::NotAnAdapter {
        dir: dir.into(),
        found: found(dir),
    }
}

impl AdapterDir {
    /// Read the config of an adapter directory.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`] that names the file, and the field where there is one.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, AdapterFileError> {
        Self::read(dir.as_ref(), None)
    }

    /// The same for a base of this family, its `model_type`: where the config names no layers, they
    /// are those that PEFT adapts on it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_for(dir: impl AsRef<Path>, family: &str) -> Result<Self, AdapterFileError> {
        Self::read(dir.as_ref(), Some(family))
    }

    fn read(dir: &Path, family: Option<&str>) -> Result<Self, AdapterFileError> {
        let dir = dir.to_path_buf();
        let (path, mut fields) = read_fields(&dir)?;
        if let Some(family) = family {
            complete(&mut fields, family);
        }
        Ok(Self {
            config: AdapterConfig::from_fields(&path, &fields)?,
            dir,
            fields,
        })
    }

    /// The method and its config.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// All fields of the file, those that nothing here reads included.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The shapes of the tensors in the file, by key.
    ///
    /// # Errors
    ///
    /// Where the tensors' file cannot be read.
    pub fn tensor_shapes(&self) -> Result<Vec<(String, Vec<usize>)>, AdapterFileError> {
        let file = self.tensors()?;
        let shapes = file.places().iter();
        let shapes = shapes.map(|(key, place)| (key.clone(), place.shape().to_vec()));
        Ok(shapes.collect())
    }

    /// Whether it changes the output layer: by an adapter on it, or as a module that trains whole.
    ///
    /// A model whose output layer is tied to its embedding has none of its own to change;
    /// [`LanguageModel::untie`](peft_models::LanguageModel::untie) gives it one before the adapter
    /// is attached, as PEFT's wrapper of the layer does.
    ///
    /// # Errors
    ///
    /// Where the tensors' file cannot be read.
    pub fn changes_output_layer(&self) -> Result<bool, AdapterFileError> {
        let output_layer = [OUTPUT_LAYER.to_owned()];
        let whole = !fitted_modules(self.config.modules_to_save(), &output_layer).is_empty();
        Ok(self.tensors()?.places().keys().any(|key| {
            let mut names = key.split('.').skip_while(|name| *name != OUTPUT_LAYER);
            let own = ["lora_", "ia3_", "modules_to_save"];
            match names.nth(1) {
                Some("weight") => whole,
                Some(name) => own.iter().any(|start| name.starts_with(start)),
                None => false,
            }
        }))
    }

    /// Attach the adapter to `model` under `name`, with the file's weights.
    ///
    /// `path` says how the model reads its adapted layers. As in PEFT, entries of the config's
    /// lists that match nothing are passed over; but every tensor of the file must have its place
    /// and every place its tensor. A weight of the base that the file holds, as PEFT's
    /// `save_embedding_layers` saves them, takes the place of the base's; the report names it.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched; [`PeftError::AttachesElsewhere`](peft_core::PeftError::AttachesElsewhere) for a soft prompt.
    pub fn attach<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        path: ForwardPath,
    ) -> Result<AttachReport, AdapterFileError> {
        let all_layers = layers(model);
        let paths: Vec<String> = all_layers.iter().map(|layer| layer.path.clone()).collect();
        let mut config = self.config.clone();
        if let Some(placement) = config.placement_mut() {
            placement.modules_to_save = self.modules_to_save()?;
        }
        let mut config = fitted(&config, &paths, &module_paths(model));
        if let Some(placement) = config.placement_mut() {
            placement.path = path;
        }
        self.check_ranks(&config, &paths)?;
        self.check_whole(model, config.modules_to_save())?;
        let mut adapted = model.clone();
        let mut report = config.attach(&mut adapted, name)?;
        self.load_into(&mut adapted, name, (&all_layers, &[]), &mut report)?;
        report.summary = Summary::of(&adapted);
        *model = adapted;
        Ok(report)
    }

    /// A rank is one that the file's tensors have, before anything of its size is made.
    fn check_ranks(
        &self,
        config: &AdapterConfig,
        layers: &[String],
    ) -> Result<(), AdapterFileError> {
        // The only one, where no other method is built.
        #[cfg(feature = "lora")]
        #[allow(irrefutable_let_patterns)]
        if let AdapterConfig::Lora(lora) = config {
            let tensors = self.tensors()?;
            let ranks = tensors
                .places()
                .iter()
                .filter(|(key, _)| key.contains("lora_"));
            let ranks = ranks.map(|(_, place)| place.shape().iter().copied().min().unwrap_or(0));
            let largest = ranks.max().unwrap_or(0);
            let adapted = chosen(&lora.placement.targets, layers);
            let paths: Vec<&str> = adapted.iter().map(String::as_str).collect();
            let asked = lora
                .rank_pattern
                .resolve("rank pattern", &paths, &lora.rank);
            let too_large = asked
                .ok()
                .into_iter()
                .flatten()
                .find(|rank| *rank > largest);
            if let Some(rank) = too_large.filter(|_| largest > 0) {
                return Err(AdapterFileError::Rank {
                    path: self.dir.join(CONFIG),
                    field: if rank == lora.rank {
                        "r"
                    } else {
                        "rank_pattern"
                    },
                    rank,
                    largest,
                });
            }
        }
        let _ = (config, layers);
        Ok(())
    }

    /// Put the file's weights into the slots that the attached adapter `name` has; `read` are the
    /// keys of what is read already. The report says which of the base's weights were replaced, and
    /// whether it is another base than the adapter's.
    pub(super) fn load_into<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        (layers, read): (&[Layer], &[&str]),
        report: &mut AttachReport,
    ) -> Result<(), AdapterFileError> {
        let mut file = self.tensors()?;
        let digest = file.text(BASE_DIGEST).map(str::to_owned);
        let prefix = self.config.prefix();
        let expected = entries(model, name, prefix)?;
        let running = running(model, name, prefix);
        let wanted = expected.iter().map(|entry| entry.key.as_str());
        let wanted: HashSet<&str> = wanted
            .chain(running.values.iter().map(|(_, key, _)| key.as_str()))
            .chain(running.counts.iter().map(String::as_str))
            .collect();
        file.rename(|key| own_key(key, prefix, &wanted));
        for key in read
            .iter()
            .copied()
            .chain(running.counts.iter().map(String::as_str))
        {
            file.pass_over(key);
        }
        let device = layers
            .first()
            .map(|layer| layer.device.clone())
            .unwrap_or_default();
        let mut by_slot: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for entry in &expected {
            by_slot.entry(&entry.slot).or_default().push(entry);
        }
        let keys: Vec<String> = file.places().keys().cloned().collect();
        for key in keys {
            let of = copied_bias(&key);
            let of = of.and_then(|of| expected.iter().find(|entry| entry.key == of));
            if of.is_some_and(|entry| file.has(&key, entry.shape())) {
                file.pass_over(&key);
            }
        }
        let mut broken = None;
        edit_slots(model, |path, slot| {
            for entry in by_slot.remove(path).unwrap_or_default() {
                match file.take(&entry.key, entry.shape()) {
                    Ok(Some(data)) => entry.write(slot, name, data, &device),
                    Ok(None) => {}
                    Err(error) => broken = Some(error),
                }
            }
            Ok(())
        })?;
        if let Some(error) = broken {
            return Err(error);
        }
        let mut values = BTreeMap::new();
        for (path, key, now) in running.values {
            if let Some(data) = file.take(&key, &now.shape().to_vec())? {
                values.insert(path, data);
            }
        }
        let copies = BaseCopies::take(&mut file, model, (name, prefix), layers)?;
        file.finish()?;
        set_statistics(model, name, &values)?;
        let base = self.fields.get("base_model_name_or_path");
        let base = (self.dir.as_path(), base.and_then(Value::as_str));
        let except = whole(model, name).into_iter().chain(copies.held().cloned());
        let warning = other_base_warning(model, except.collect(), digest.as_deref(), base);
        report.warnings.extend(warning);
        report.replaced = copies.put(model);
        let replaced = report.replaced.iter().map(|path| {
            format!(
                "`{path}` of the base is replaced by the adapter's, which was trained with another"
            )
        });
        report.warnings.extend(replaced);
        Ok(())
    }

    /// The file of tensors; an error that says what to do where another form of it is there.
    fn tensors_path(&self) -> Result<PathBuf, AdapterFileError> {
        let path = self.dir.join(TENSORS);
        match instead_of_tensors(&self.dir).filter(|_| !path.exists()) {
            Some(advice) => Err(AdapterFileError::OtherTensors {
                dir: self.dir.clone(),
                advice,
            }),
            None => Ok(path),
        }
    }

    pub(super) fn tensors(&self) -> Result<TensorsFile, AdapterFileError> {
        TensorsFile::open(&self.tensors_path()?)
    }
}
