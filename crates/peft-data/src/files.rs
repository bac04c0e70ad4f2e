//! [`row_files`]: the files that paths name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::DataFileError;
use crate::format::Named;

/// Files that the `datasets` library writes beside its rows.
const BESIDE: [&str; 4] = [
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
];
/// What files of one use are called, by how their names begin.
const USES: [&[&str]; 3] = [&["train"], &["valid", "val", "dev", "eval"], &["test"]];
/// The most entries of a directory.
const ENTRIES: usize = 100_000;
/// How many names an error shows.
const SHOWN: usize = 8;

/// The files of rows that a path names: itself, or of a directory all that are called as such, in
/// the order of their names. Directories below it and hidden files are passed over.
///
/// # Errors
///
/// A [`DataFileError`]: a directory that cannot be read, that has no such file, or files for
/// training beside files for validation, as their names tell.
pub fn row_files(path: &Path) -> Result<Vec<PathBuf>, DataFileError> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let io = |source| DataFileError::Io {
        path: path.into(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(io)?.take(ENTRIES) {
        names.push(entry.map_err(io)?.file_name());
    }
    names.sort();
    let of_rows = |name: &&std::ffi::OsString| {
        let hidden = name.to_string_lossy().starts_with('.');
        let beside = BESIDE.iter().any(|beside| **name == **beside);
        let file = path.join(name);
        !hidden && !beside && Named::of(&file).is_some() && file.is_file()
    };
    let found: Vec<_> = names.iter().filter(of_rows).collect();
    if found.is_empty() {
        let shown = names.iter().take(SHOWN);
        let shown: Vec<String> = shown.map(|name| name.to_string_lossy().into()).collect();
        return Err(DataFileError::NoFiles {
            path: path.into(),
            found: match shown.is_empty() {
                true => "it is empty".into(),
                false => format!("it has {}", shown.join(", ")),
            },
        });
    }
    let uses = found.iter().filter_map(|name| {
        let name = name.to_string_lossy();
        Some((usage(&name.to_lowercase())?, name.into_owned()))
    });
    let uses: Vec<(usize, String)> = uses.collect();
    if let Some((first, one)) = uses.first()
        && let Some((_, other)) = uses.iter().find(|(of, _)| of != first)
    {
        return Err(DataFileError::SeveralUses {
            path: path.into(),
            one: one.clone(),
            other: other.clone(),
        });
    }
    Ok(found.into_iter().map(|name| path.join(name)).collect())
}

/// What a file is for, by its name.
fn usage(name: &str) -> Option<usize> {
    let stem: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
    let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let is = |words: &&[&str]| {
        words
            .iter()
            .any(|word| stem == *word || stem.strip_prefix(word).is_some_and(is_ending))
    };
    USES.iter().position(is)
}

/// Whether a word is what names put behind a use, as in `validation` and `training`.
fn is_ending(end: &str) -> bool {
    ["ation", "idation", "ing", "uation", "elopment"].contains(&end)
}
