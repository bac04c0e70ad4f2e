//! GGUF files as checkpoints: their metadata as `config.json` and the files of a tokenizer, their
//! tensors by the keys and in the layout of Hugging Face.

mod config;
mod export;
mod metadata;
mod names;
mod place;
mod rope;
mod tokenizer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use peft_files::Folder;
use serde_json::{Map, Value};

pub use self::export::{with_gguf_adapter, write_gguf, write_gguf_adapter};
use self::metadata::Keys;
use self::names::Names;
pub(crate) use self::place::GgufPlace;
use self::place::Layout;
use crate::CheckpointError;

/// Tensors that the config is made of.
const OF_CONFIG: [&str; 3] = [
    "rope_freqs.weight",
    "rope_factors_long.weight",
    "rope_factors_short.weight",
];

/// A file that has been read, but for its tensors.
#[derive(Debug, Clone)]
pub(crate) struct Gguf {
    /// The fields of a `config.json`.
    pub(crate) fields: Map<String, Value>,
    /// The files that a directory would have beside it, or why there is no tokenizer.
    pub(crate) folder: Folder,
    tensors: Arc<BTreeMap<String, GgufPlace>>,
}

impl Gguf {
    /// Read a file.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`] that names the file and the key.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let opened = peft_gguf::open(path)?;
        let keys = Keys::of(path, &opened.metadata)?;
        keys.check_whole()?;
        let fields = config::fields(&keys, &opened)?;
        let texts = tokenizer::texts(&keys, &fields)?;
        let heads = |field: &str| fields[field].as_u64().and_then(|n| usize::try_from(n).ok());
        let heads = match keys.architecture {
            "gpt2" => (0, 0),
            _ => (
                heads("num_attention_heads").unwrap_or(0),
                heads("num_key_value_heads").unwrap_or(0),
            ),
        };
        let names = Names::of(keys.architecture);
        let mut tensors = BTreeMap::new();
        for place in &opened.tensors {
            let name = place.key();
            if OF_CONFIG.contains(&name) {
                continue;
            }
            // What has no place in the model keeps its own name.
            let key = names.key(name).unwrap_or_else(|| name.to_owned());
            let layout = Layout::of(keys.architecture, name, heads.0, heads.1);
            let placed = GgufPlace::new(place.clone(), key.clone(), layout);
            let placed =
                placed.map_err(|found| keys.wrong(name, found, "rows that these divide"))?;
            if tensors.insert(key.clone(), placed).is_some() {
                return Err(keys.wrong(name, format!("another `{key}`"), "one"));
            }
        }
        Ok(Self {
            fields,
            folder: Folder::of_texts(path, texts),
            tensors: Arc::new(tensors),
        })
    }

    /// The tensors by their keys.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&String, &GgufPlace)> {
        self.tensors.iter()
    }
}
