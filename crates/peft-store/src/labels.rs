//! [`Labels`]: the names of a classifier's outputs, beside an adapter and in a model's config.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::LARGEST_JSON;
use crate::fields::{FieldError, Fields, shown, strings};

/// The file that keeps them beside an adapter: `{"labels": [..], "problem_type": ".."}`.
const FILE: &str = "labels.json";

/// The model's config, in messages.
const CONFIG: &str = "config.json";

/// The names of a classifier's outputs, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The names.
    pub names: Vec<String>,
    /// What the labels are, in transformers' words: `single_label_classification`,
    /// `multi_label_classification` or `regression`.
    pub problem_type: Option<String>,
    /// How the rows that a model was trained on wrote numbers for classes: `ids` of outputs, or
    /// `names`; none where it is not known.
    pub numbers: Option<String>,
}

/// The same in a `config.json`, where transformers leaves alone what it does not know.
const NUMBERS: &str = "label_numbers";

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
    /// A field of a `config.json` is no labels.
    #[error("config.json: `{field}` is {found}, expected {expected}")]
    Field {
        /// The field.
        field: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
}

impl Labels {
    /// Those of a `config.json`, if it has an `id2label`; its head has `outputs`, where known.
    ///
    /// Without `id2label` there are as many as the head's outputs, or as `num_labels` says, called
    /// `LABEL_0` and so on as transformers calls them.
    ///
    /// # Errors
    ///
    /// [`LabelsError::Field`] for ids with gaps, names that are none, or not one name an output.
    pub fn of_config(
        fields: &Map<String, Value>,
        outputs: Option<usize>,
    ) -> Result<Option<Self>, LabelsError> {
        let fields = Fields::new(Path::new(CONFIG), fields);
        let names = match (fields.get("id2label"), outputs) {
            (Value::Null, None) => return Ok(None),
            (Value::Null, Some(outputs)) => {
                let said = fields.get("num_labels");
                if !said.is_null() && said.as_u64() != Some(outputs as u64) {
                    return Err(fields.wrong("num_labels", of_head(outputs)).into());
                }
                Self::unnamed(outputs)
            }
            (Value::Object(map), _) => by_id(&fields, map, outputs)?,
            (_, _) => {
                let expected = "an object of names by their ids, as {\"0\": \"negative\", ..}";
                return Err(fields.wrong("id2label", expected).into());
            }
        };
        let text = |field| Ok::<_, FieldError>(fields.string(field)?.map(str::to_owned));
        Ok(Some(Self {
            names,
            problem_type: text("problem_type")?.filter(|named| !named.is_empty()),
            numbers: text(NUMBERS)?,
        }))
    }

    /// The names that transformers gives outputs that have none.
    pub fn unnamed(outputs: usize) -> Vec<String> {
        (0..outputs).map(|id| format!("LABEL_{id}")).collect()
    }

    /// A name that the `label2id` of a `config.json` gives another id than these labels do, with
    /// that id.
    ///
    /// # Errors
    ///
    /// [`LabelsError::Field`] where it is no object of ids by names.
    pub fn disagreement(
        &self,
        fields: &Map<String, Value>,
    ) -> Result<Option<(String, u64)>, LabelsError> {
        let fields = Fields::new(Path::new(CONFIG), fields);
        let expected = "an object of ids by names";
        let Some(ids) = fields.read("label2id", expected, Value::as_object)? else {
            return Ok(None);
        };
        for (id, name) in self.names.iter().enumerate() {
            let said = match ids.get(name) {
                None => continue,
                Some(Value::String(said)) => said.trim().parse().ok(),
                Some(said) => said.as_u64(),
            };
            match said {
                Some(said) if said == id as u64 => {}
                Some(said) => return Ok(Some((name.clone(), said))),
                None => return Err(wrong("label2id", &ids[name], expected)),
            }
        }
        Ok(None)
    }

    /// Put them into the fields of a `config.json`, in place of those that it has.
    #[cfg(feature = "models")]
    pub(crate) fn into_config(self, fields: &mut Map<String, Value>, of_tokens: bool) {
        let names = || self.names.iter().enumerate();
        let by_id: Map<String, Value> = names()
            .map(|(id, name)| (id.to_string(), name.as_str().into()))
            .collect();
        let by_name: Map<String, Value> = names()
            .map(|(id, name)| (name.clone(), id.into()))
            .collect();
        fields.insert("id2label".into(), by_id.into());
        fields.insert("label2id".into(), by_name.into());
        for stale in ["num_labels", "problem_type", NUMBERS] {
            fields.remove(stale);
        }
        if let (false, Some(problem)) = (of_tokens, &self.problem_type) {
            fields.insert("problem_type".into(), problem.as_str().into());
        }
        if let Some(numbers) = self.numbers {
            fields.insert(NUMBERS.into(), numbers.into());
        }
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
        match strings(&value["labels"]) {
            Some(names) if !names.is_empty() => Ok(Some(Self {
                names,
                problem_type: value["problem_type"].as_str().map(str::to_owned),
                numbers: value["numbers"].as_str().map(str::to_owned),
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
        let text = json!({
            "labels": self.names,
            "problem_type": self.problem_type,
            "numbers": self.numbers,
        });
        let text = format!("{text:#}\n");
        peft_files::replace(&path, text.as_bytes()).map_err(|source| LabelsError::Io {
            action: "write",
            path,
            source,
        })
    }
}

/// Names by their ids, in order: the ids are those of the outputs, without gaps.
fn by_id(
    fields: &Fields<'_>,
    map: &Map<String, Value>,
    outputs: Option<usize>,
) -> Result<Vec<String>, LabelsError> {
    if let Some(outputs) = outputs.filter(|outputs| *outputs != map.len()) {
        let found = json!(format!("{} names", map.len()));
        return Err(wrong("id2label", &found, of_head(outputs)));
    }
    let refused = |expected: &str| Err(fields.wrong("id2label", expected).into());
    let mut names: Vec<Option<String>> = vec![None; map.len()];
    let mut known = HashSet::new();
    for (id, name) in map {
        let name = match name {
            Value::String(name) => name.clone(),
            Value::Null | Value::Bool(_) | Value::Number(_) => name.to_string(),
            Value::Array(_) | Value::Object(_) => {
                let expected = "names, as {\"0\": \"negative\", ..}";
                return Err(wrong("id2label", name, expected));
            }
        };
        let id: Option<usize> = id.trim().parse().ok();
        let place = id.and_then(|id| names.get_mut(id));
        if !known.insert(name.clone()) {
            return refused("names that differ: rows that name the class could not be told");
        }
        match place {
            Some(place @ None) => *place = Some(name),
            Some(Some(_)) | None => {
                return refused(&format!("ids 0 to {}, each once", map.len() - 1));
            }
        }
    }
    let names: Option<Vec<String>> = names.into_iter().collect();
    match names.filter(|names| !names.is_empty()) {
        Some(names) => Ok(names),
        None => refused("at least one name"),
    }
}

fn of_head(outputs: usize) -> String {
    format!("one for each of the {outputs} outputs of the head in the file")
}

/// The error of a value within a field.
fn wrong(field: &str, found: &Value, expected: impl Into<String>) -> LabelsError {
    LabelsError::Field {
        field: field.into(),
        found: shown(found),
        expected: expected.into(),
    }
}

impl From<FieldError> for LabelsError {
    fn from(error: FieldError) -> Self {
        Self::Field {
            field: error.field,
            found: error.found,
            expected: error.fault.expected(),
        }
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
            numbers: Some("ids".into()),
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
    }

    fn config(value: Value, outputs: Option<usize>) -> Result<Option<Labels>, String> {
        let fields = value.as_object().expect("an object");
        Labels::of_config(fields, outputs).map_err(|error| error.to_string())
    }

    #[test]
    fn those_of_a_config_are_its_heads() {
        let names = |value, outputs| config(value, outputs).map(|found| found.map(|of| of.names));
        let named = |names: &[&str]| Ok(Some(names.iter().map(|name| (*name).into()).collect()));
        let swapped = json!({"id2label": {"1": "x", "0": "y"}});
        assert_eq!(names(swapped.clone(), None), named(&["y", "x"]));
        assert_eq!(names(swapped.clone(), Some(2)), named(&["y", "x"]));
        assert_eq!(names(json!({}), None), Ok(None));
        let unnamed = named(&["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(names(json!({}), Some(3)), unnamed);
        assert_eq!(names(json!({"num_labels": 3}), Some(3)), unnamed);
        assert_eq!(
            names(json!({"id2label": {"0": 5, "1": "b"}}), None),
            named(&["5", "b"])
        );
        assert_eq!(
            names(json!({"id2label": {"0": false, "1": null}}), None),
            named(&["false", "null"])
        );
        let unsaid = config(json!({"id2label": {"0": "a"}, "problem_type": ""}), None);
        assert_eq!(unsaid.expect("labels").expect("some").problem_type, None);
        // Sorted as text, 10 comes before 2.
        let many: Map<String, Value> = (0..12)
            .map(|i| (i.to_string(), format!("n{i}").into()))
            .collect();
        let found = names(json!({"id2label": many}), Some(12))
            .expect("labels")
            .expect("some");
        assert_eq!(found[10], "n10");
        for (wrong, outputs, said) in [
            (
                json!({"id2label": {"1": "x", "7": "y"}}),
                None,
                "ids 0 to 1",
            ),
            (
                json!({"id2label": {"0": "x", " 0": "y"}}),
                None,
                "ids 0 to 1",
            ),
            (
                json!({"id2label": {"0": "x", "99999999999999999999": "y"}}),
                None,
                "ids 0 to 1",
            ),
            (
                json!({"id2label": {"0": "x", "-1": "y"}}),
                None,
                "ids 0 to 1",
            ),
            (json!({"id2label": {}}), None, "at least one"),
            (json!({"id2label": ["x", "y"]}), None, "an object"),
            (json!({"id2label": {"0": []}}), None, "names"),
            (
                json!({"id2label": {"0": "x", "1": "x"}}),
                None,
                "names that differ",
            ),
            (swapped, Some(3), "3 outputs"),
            (
                json!({"num_labels": 1_000_000_000_000_u64}),
                Some(2),
                "2 outputs",
            ),
            (json!({"num_labels": "2"}), Some(2), "2 outputs"),
            (json!({"problem_type": 3}), Some(2), "a string"),
        ] {
            let error = config(wrong, outputs).expect_err("it is refused");
            assert!(error.contains(said), "{said} is not in {error}");
        }
    }

    #[test]
    fn both_maps_of_a_config_say_the_same() {
        let check = |label2id: Value| {
            let fields = json!({"id2label": {"0": "a", "1": "b"}, "label2id": label2id});
            let fields = fields.as_object().expect("an object");
            let labels = Labels::of_config(fields, None)
                .expect("labels")
                .expect("some");
            labels.disagreement(fields)
        };
        assert_eq!(check(json!({"a": 0, "b": "1"})).expect("read"), None);
        assert_eq!(
            check(json!({"LABEL_0": 0, "LABEL_1": 1})).expect("read"),
            None
        );
        assert_eq!(check(Value::Null).expect("read"), None);
        assert_eq!(
            check(json!({"a": 1, "b": 0})).expect("read"),
            Some(("a".into(), 1))
        );
        assert!(check(json!(["a"])).is_err());
        assert!(check(json!({"a": -1})).is_err());
    }
}
