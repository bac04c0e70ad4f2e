//! [`AdapterFiles`]: the files of an adapter directory, read and written, whatever is in them.

use std::fs;
use std::path::{Path, PathBuf};

use peft_files::{NotFinite, python_json};
use serde_json::{Map, Value};

use super::AdapterFileError;
use super::found::{CONFIG, TENSORS, found, instead_of_tensors};
use super::tensors::{NamedTensors, TensorsFile};
use crate::LARGEST_JSON;
use crate::tensor_file::{StoredTensor, write_tensors};

/// The `peft_type` of a method of one's own, which PEFT refuses by name.
pub(crate) const OWN: &str = "OWN_METHOD";
/// What mlx-lm calls the tensors of an adapter.
const MLX: &str = "adapters.safetensors";

/// An adapter directory, and the fields of its config.
#[derive(Debug, Clone)]
pub(super) struct AdapterFiles {
    pub(super) dir: PathBuf,
    pub(super) fields: Map<String, Value>,
}

impl AdapterFiles {
    /// The config file.
    pub(super) fn config_path(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// A field that is a text.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// The tensors; an error that says what to do where another form of them is there.
    pub(super) fn tensors(&self) -> Result<TensorsFile, AdapterFileError> {
        let path = self.dir.join(TENSORS);
        match instead_of_tensors(&self.dir).filter(|_| !path.exists()) {
            Some(advice) => Err(AdapterFileError::OtherTensors {
                dir: self.dir.clone(),
                advice,
            }),
            None => TensorsFile::open(&path),
        }
    }
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

/// A config as the bytes of its file.
pub(crate) fn pretty(dir: &Path, fields: &Map<String, Value>) -> Result<Vec<u8>, AdapterFileError> {
    let mut json = serde_json::to_vec_pretty(fields).map_err(|source| AdapterFileError::Json {
        path: dir.join(CONFIG),
        source,
    })?;
    json.push(b'\n');
    Ok(json)
}

/// Make a directory.
pub(crate) fn create(dir: &Path) -> Result<(), AdapterFileError> {
    fs::create_dir_all(dir).map_err(|source| io("create", dir, source))
}

/// Write tensors, each in the precision that it has, and texts beside their place, then rename them
/// into it.
pub(super) fn write<'a>(
    path: &Path,
    tensors: NamedTensors,
    texts: impl IntoIterator<Item = (&'a str, String)>,
) -> Result<(), AdapterFileError> {
    let tensors = tensors.into_iter();
    let tensors = tensors.map(|(key, data)| (key, StoredTensor::of(data)));
    write_tensors(path, tensors, texts).map_err(|source| io("write", path, source))
}

/// Write a file beside its place, then rename it into it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), AdapterFileError> {
    peft_files::replace(path, bytes).map_err(|source| io("write", path, source))
}

pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> AdapterFileError {
    AdapterFileError::Io {
        action,
        path: path.into(),
        source,
    }
}
