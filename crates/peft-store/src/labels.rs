//! [`Labels`]: the names of a classifier's outputs, as they are kept beside an adapter and in a checkpoint's config.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::LARGEST_JSON;

/// The file that keeps them beside an adapter: `{"labels": [..], "problem_type": ".."}`.
const FILE: &str = "labels.json";

/// The names of a classifier's outputs, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The names.
    pub names: Vec<String>,
    /// What the labels are, in transformers' words: `single_label_classification`, `multi_label_classification` or `regression`.
    pub problem_type: Option<String>,
}

/// Labels that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not hold labels.
    #[error("{} holds no `labels`, a list of names", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl Labels {
    /// Those of a `config.json`, if it names any by `id2label`.
    pub fn of_config(fields: &Map<String, Value>) -> Option<Self> {
        let map = fields.get("id2label")?.as_object()?;
        let names = (0..map.len())
            .map(|id| map.get(&id.to_string())?.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()?;
        let problem_type = fields.get("problem_type").and_then(Value::as_str);
        (!names.is_empty()).then(|| Self {
            names,
            problem_type: problem_type.map(str::to_owned),
        })
    }

    /// Those beside an adapter, if there are any.
    ///
    /// # Errors
    ///
    /// A [`LabelsError`].
    pub fn read(dir: &Path) -> Result<Option<Self>, LabelsError> {
        let path = dir.join(FILE);
        let text = match peft_files::read_text(&path, LARGEST_JSON) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(LabelsError::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let names = value["labels"].as_array().and_then(|names| {
            let names = names.iter().map(|name| name.as_str().map(str::to_owned));
            names.collect::<Option<Vec<_>>>()
        });
        match names {
            Some(names) if !names.is_empty() => Ok(Some(Self {
                names,
                problem_type: value["problem_type"].as_str().map(str::to_owned),
            })),
            _ => Err(LabelsError::Malformed { path }),
        }
    }

    /// Write them beside an adapter: to another file first, then in its place.
    ///
    /// # Errors
    ///
    /// [`LabelsError::Io`].
    pub fn write(&self, dir: &Path) -> Result<(), LabelsError> {
        let path = dir.join(FILE);
        let text = json!({"labels": self.names, "problem_type": self.problem_type});
        let text = format!("{text:#}\n");
        peft_files::replace(&path, text.as_bytes()).map_err(|source| LabelsError::Io {
            action: "write",
            path,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn they_are_read_back_and_from_a_config() {
        let labels = Labels {
            names: vec!["b".into(), "a".into()],
            problem_type: Some("regression".into()),
        };
        let dir = tempfile::tempdir().expect("a directory");
        assert!(Labels::read(dir.path()).expect("none").is_none());
        labels.write(dir.path()).expect("they are written");
        assert_eq!(
            Labels::read(dir.path()).expect("they are read"),
            Some(labels)
        );
        fs::write(dir.path().join(FILE), "{\"labels\": [1]}").expect("it is written");
        assert!(Labels::read(dir.path()).is_err());

        let config = |value: Value| Labels::of_config(value.as_object().expect("an object"));
        let named = config(json!({"id2label": {"1": "x", "0": "y"}})).expect("labels");
        assert_eq!(named.names, ["y", "x"]);
        assert!(config(json!({})).is_none());
        assert!(config(json!({"id2label": {"1": "x", "7": "y"}})).is_none());
    }
}
