//! Opening a [`Checkpoint`]: what it is, and what its config says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use peft_files::{NotFinite, python_json};
use serde_json::{Map, Value};

use super::config::text_fields;
use super::file::{io, regular, tensor_places};
use super::{Checkpoint, CheckpointError, checkpoint_config};
use crate::LARGEST_JSON;
use crate::bnb::{joined, take_quantised};
use crate::gguf::Gguf;
use crate::quantise::Quantise;
use crate::tensor_file::Place;

/// What the names of GGUF files end in.
const GGUF: &str = "gguf";

impl Checkpoint {
    /// Read the config of a checkpoint directory, or of a GGUF file; a directory without a
    /// `config.json` that has one such file is that file.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let dir = dir.as_ref().to_path_buf();
        let path = dir.join("config.json");
        if let Some(file) = gguf_file(&dir)? {
            return Self::of_gguf(file);
        }
        if dir.is_file() || !regular(&path)? {
            let is_adapter = dir.join("adapter_config.json").is_file();
            let snapshot = snapshot(&dir);
            return Err(CheckpointError::NotACheckpoint {
                dir,
                is_adapter,
                snapshot,
            });
        }
        let text = peft_files::read_text(&path, LARGEST_JSON)
            .map_err(|source| io("read", &path, source))?;
        let mut fields: Map<String, Value> = python_json(&text, NotFinite::Text)
            .map_err(|source| CheckpointError::Json { path, source })?;
        let bnb = take_quantised(&mut fields)?;
        let text = text_fields(&fields)?;
        let (wrapped, fields) = (text.is_some(), text.unwrap_or(fields));
        Ok(Self {
            config: checkpoint_config(&fields)?,
            dir,
            fields,
            new_head: false,
            wrapped,
            any_size: false,
            devices: Vec::new(),
            quantise: Quantise::default(),
            quantise_vocabulary: false,
            bnb,
            gguf: None,
        })
    }

    fn of_gguf(path: PathBuf) -> Result<Self, CheckpointError> {
        let gguf = Gguf::open(&path)?;
        let config =
            checkpoint_config(&gguf.fields).map_err(|source| CheckpointError::OfMetadata {
                path: path.clone(),
                source: Box::new(source),
            })?;
        Ok(Self {
            config,
            dir: path,
            fields: gguf.fields.clone(),
            new_head: false,
            wrapped: false,
            any_size: false,
            devices: Vec::new(),
            quantise: Quantise::default(),
            quantise_vocabulary: false,
            bnb: false,
            gguf: Some(gguf),
        })
    }

    /// All stored tensors by key.
    pub(super) fn all_places(&self) -> Result<BTreeMap<String, Place>, CheckpointError> {
        if let Some(gguf) = &self.gguf {
            let places = gguf.tensors();
            let places = places.map(|(key, place)| (key.clone(), Place::Gguf(place.clone())));
            return Ok(places.collect());
        }
        let places = tensor_places(&self.dir, &self.fields)?;
        if self.bnb {
            return joined(&self.dir, places);
        }
        let places = places.into_iter();
        Ok(places
            .map(|(key, place)| (key, Place::Safetensors(place)))
            .collect())
    }
}

/// The GGUF file that is meant: this one, or the only one of a directory without a `config.json`.
fn gguf_file(path: &Path) -> Result<Option<PathBuf>, CheckpointError> {
    let named = |path: &Path| {
        path.extension()
            .is_some_and(|end| end.eq_ignore_ascii_case(GGUF))
    };
    if path.is_file() {
        return Ok(named(path).then(|| path.into()));
    }
    if path.join("config.json").exists() {
        return Ok(None);
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut files: Vec<PathBuf> = paths.filter(|path| named(path) && path.is_file()).collect();
    files.sort();
    match files.len() {
        0 | 1 => Ok(files.pop()),
        _ => Err(CheckpointError::SeveralGguf {
            dir: path.into(),
            files,
        }),
    }
}

/// A model in a directory of a hub's cache: `snapshots/REVISION`.
fn snapshot(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir.join("snapshots")).ok()?;
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.join("config.json").is_file())
        .min()
}
