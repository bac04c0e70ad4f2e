//! [`shards`]: the files that an index names.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use peft_files::{NotFinite, python_json};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::CheckpointError;
use super::file::io;

/// The largest index that is read: of more keys than the header of a file may have.
const LARGEST: u64 = 256 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: Option<Files>,
}

/// The values of the map, each once: as many keys as there are tensors are not kept.
struct Files(BTreeSet<String>);

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Files;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of keys and the files that they are in")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Files, A::Error> {
                let mut files = BTreeSet::new();
                while let Some((_, file)) = map.next_entry::<IgnoredAny, Value>()? {
                    match file {
                        Value::String(file) => files.insert(file),
                        other => files.insert(other.to_string()),
                    };
                }
                Ok(Files(files))
            }
        }
        deserializer.deserialize_map(Values)
    }
}

/// The files that the index `name` of a directory names, in order of their names. What it says of
/// single keys is not asked, as in transformers: the shards say what they hold.
pub(super) fn shards(dir: &Path, name: &str) -> Result<Vec<PathBuf>, CheckpointError> {
    let path = dir.join(name);
    let file = peft_files::open(&path).map_err(|source| io("read", &path, source))?;
    let malformed = |reason: String| CheckpointError::Malformed {
        path: path.clone(),
        reason,
    };
    let read = match serde_json::from_reader(BufReader::new(file.take(LARGEST))) {
        Err(error) if error.is_syntax() => match peft_files::read_text(&path, LARGEST) {
            Ok(text) => python_json(&text, NotFinite::Null),
            Err(_) => Err(error),
        },
        read => read,
    };
    let index: Index = read.map_err(|source| match source.is_data() {
        true => malformed(source.to_string()),
        false => CheckpointError::Json {
            path: path.clone(),
            source,
        },
    })?;
    let files = index.weight_map;
    let Files(files) = files.ok_or_else(|| malformed("it has no `weight_map` object".into()))?;
    let beside = |name: &String| !name.contains(['/', '\\']) && name.ends_with(".safetensors");
    match files.iter().find(|name| !beside(name)) {
        Some(name) => Err(malformed(format!("{name} is no name of a shard beside it"))),
        None => Ok(files.into_iter().map(|name| dir.join(name)).collect()),
    }
}
