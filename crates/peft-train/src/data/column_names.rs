//! [`ColumnNames`]: which columns are read as which keys of a row.

use peft_core::nearest;
use serde_json::{Map, Value};

use super::form::{KEYS, OPTIONAL};

/// Which columns of a file are read as which keys of a row, where the file has other names for
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnNames {
    pairs: Vec<(String, String)>,
}

impl ColumnNames {
    /// From pairs as `prompt=question`, the key first.
    ///
    /// # Errors
    ///
    /// Says which pair is wrong: one that is none, a key that no row has (with the nearest), one
    /// twice, keys that no form of a row has together.
    pub fn parse(pairs: &[String]) -> Result<Self, String> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in pairs {
            let parts = pair.split_once('=').map(|(a, b)| (a.trim(), b.trim()));
            let Some((key, column)) = parts.filter(|(a, b)| !a.is_empty() && !b.is_empty()) else {
                return Err(format!(
                    "`{pair}` is no pair of a key and a column, as prompt=question"
                ));
            };
            let known = known();
            if !known.iter().any(|name| name == key) {
                let hint = match nearest(key, &known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", known.join(", ")),
                };
                return Err(format!("`{key}` is no key of a row; {hint}"));
            }
            if found.iter().any(|(name, _)| name == key) {
                return Err(format!("`{key}` is given twice"));
            }
            found.push((key.into(), column.into()));
        }
        let names = Self { pairs: found };
        let whole = |keys: &&[&str]| names.keys().all(|key| keys.contains(&key));
        if !KEYS.iter().any(|(_, keys)| whole(keys)) {
            let keys: Vec<String> = names.keys().map(|key| format!("`{key}`")).collect();
            return Err(format!("no row has {} together", keys.join(" and ")));
        }
        Ok(names)
    }

    /// The keys that make the form of a row.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.pairs.iter().map(|(key, _)| key.as_str());
        keys.filter(|key| !OPTIONAL.contains(key))
    }

    /// Gives a row's columns their keys.
    ///
    /// # Errors
    ///
    /// Names the column that the row does not have.
    pub(super) fn rename(&self, row: &mut Map<String, Value>) -> Result<(), String> {
        let mut given = Vec::with_capacity(self.pairs.len());
        for (key, column) in &self.pairs {
            let value = row.get(column).ok_or_else(|| no_column(row, column))?;
            given.push((key.clone(), value.clone()));
        }
        for (_, column) in &self.pairs {
            row.shift_remove(column);
        }
        row.extend(given);
        Ok(())
    }
}

/// Why a column is not there.
pub(super) fn no_column(row: &Map<String, Value>, column: &str) -> String {
    let columns: Vec<String> = row.keys().cloned().collect();
    match nearest(column, &columns) {
        Some(near) => format!("has no column `{column}`, did you mean `{near}`?"),
        None => format!("has no column `{column}`; it has {}", columns.join(", ")),
    }
}

/// All keys that a row may have.
fn known() -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    let keys = KEYS.iter().flat_map(|(_, keys)| *keys).chain(&OPTIONAL);
    for key in keys {
        if !known.iter().any(|name| name == key) {
            known.push((*key).into());
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &str) -> Result<ColumnNames, String> {
        let pairs: Vec<String> = pairs.split(',').map(str::to_owned).collect();
        ColumnNames::parse(&pairs)
    }

    #[test]
    fn what_is_no_pair_is_said() {
        for (pairs, part) in [
            ("prompt", "no pair"),
            ("prompt=", "no pair"),
            ("promt=a", "did you mean `prompt`?"),
            ("prompt=a,prompt=b", "twice"),
            (
                "prompt=a,label=b",
                "no row has `prompt` and `label` together",
            ),
        ] {
            let error = parse(pairs).expect_err("it is refused");
            assert!(error.contains(part), "{pairs}: {error}");
        }
        assert!(parse("text=body,label=class").is_ok());
        assert!(parse("instruction=a,output=b,input=c,system=d").is_ok());
        assert!(parse("tools=functions").is_ok());
    }
}
