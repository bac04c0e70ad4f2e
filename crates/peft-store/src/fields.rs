//! [`Fields`]: typed access to the fields of a JSON object, whichever file it is of.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Characters of a value that a message shows.
const SHOWN: usize = 120;

/// A field that is not as it should be; each kind of file has an error that this becomes.
#[derive(Debug)]
pub(crate) struct FieldError {
    pub(crate) path: PathBuf,
    pub(crate) field: String,
    /// Its value, or `missing`.
    pub(crate) found: String,
    pub(crate) fault: FieldFault,
}

/// What is wrong with a field.
#[derive(Debug)]
pub(crate) enum FieldFault {
    /// Its value is none that it can have.
    Wrong { expected: String },
    /// It asks for something that would change the result and is not supported.
    Unsupported { supported: String },
}

impl FieldFault {
    /// What it should be.
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Wrong { expected } => expected,
            Self::Unsupported { supported } => supported,
        }
    }
}

/// The fields of an object, with its file and the name of the object around it for messages. A
/// missing field is `null`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    path: &'a Path,
    within: Option<&'a str>,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: &'a Path, map: &'a Map<String, Value>) -> Self {
        let within = None;
        Self { path, within, map }
    }

    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    pub(crate) fn get(&self, field: &str) -> &'a Value {
        self.map.get(field).unwrap_or(&Value::Null)
    }

    /// The error of a field whose value cannot be.
    pub(crate) fn wrong(&self, field: &str, expected: impl Into<String>) -> FieldError {
        let expected = expected.into();
        self.error(field, FieldFault::Wrong { expected })
    }

    /// The error of a field that asks for what is not supported.
    pub(crate) fn unsupported(&self, field: &str, supported: impl Into<String>) -> FieldError {
        let supported = supported.into();
        self.error(field, FieldFault::Unsupported { supported })
    }

    fn error(&self, field: &str, fault: FieldFault) -> FieldError {
        FieldError {
            path: self.path.into(),
            field: match self.within {
                Some(object) => format!("{object}.{field}"),
                None => field.into(),
            },
            found: self.map.get(field).map_or("missing".into(), shown),
            fault,
        }
    }

    /// What `read` makes of a field; none where it is missing or null.
    pub(crate) fn read<T>(
        &self,
        field: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        match self.get(field) {
            Value::Null => Ok(None),
            value => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.wrong(field, expected)),
            },
        }
    }

    /// A text, where the field is one.
    pub(crate) fn text(&self, field: &str) -> Option<&'a str> {
        self.get(field).as_str()
    }

    pub(crate) fn string(&self, field: &str) -> Result<Option<&'a str>, FieldError> {
        self.read(field, "a string", Value::as_str)
    }

    pub(crate) fn flag(&self, field: &str) -> Result<bool, FieldError> {
        self.flag_or(field, false)
    }

    pub(crate) fn flag_or(&self, field: &str, default: bool) -> Result<bool, FieldError> {
        let flag = self.read(field, "true or false", Value::as_bool)?;
        Ok(flag.unwrap_or(default))
    }

    pub(crate) fn optional_count(&self, field: &str) -> Result<Option<usize>, FieldError> {
        self.read(field, "a whole number", as_count)
    }

    pub(crate) fn count_or(&self, field: &str, default: usize) -> Result<usize, FieldError> {
        Ok(self.optional_count(field)?.unwrap_or(default))
    }

    /// A number in a range.
    pub(crate) fn number_in(
        &self,
        field: &str,
        expected: &str,
        fits: impl FnOnce(f64) -> bool,
    ) -> Result<Option<f64>, FieldError> {
        self.read(field, expected, |value| {
            value.as_f64().filter(|number| fits(*number))
        })
    }

    /// A list of strings, which may be missing.
    pub(crate) fn list(&self, field: &str) -> Result<Vec<String>, FieldError> {
        let list = self.read(field, "a list of strings", strings)?;
        Ok(list.unwrap_or_default())
    }

    /// A list of strings; one string alone is a list of it.
    pub(crate) fn strings(&self, field: &str) -> Result<Vec<String>, FieldError> {
        match self.text(field) {
            Some(value) => Ok(vec![value.into()]),
            None => self.list(field),
        }
    }
}

/// What configs of models have beside others: objects within them.
#[cfg(feature = "models")]
impl<'a> Fields<'a> {
    /// The fields of an object of the same file, which is itself the field `name`.
    pub(crate) fn inner(&self, name: &'a str, map: &'a Map<String, Value>) -> Self {
        let within = Some(name);
        Self {
            within,
            map,
            ..*self
        }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.map.iter()
    }

    pub(crate) fn object(&self, field: &str) -> Result<Option<&'a Map<String, Value>>, FieldError> {
        self.read(field, "an object or null", Value::as_object)
    }
}

pub(crate) fn as_count(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

pub(crate) fn strings(value: &Value) -> Option<Vec<String>> {
    let names = value.as_array()?.iter();
    names.map(|name| Some(name.as_str()?.into())).collect()
}

/// The beginning of a value, as a message has it.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
