//! How many columns there are.

use crate::MOST_COLUMNS;

/// # Errors
///
/// Where there are more than [`MOST_COLUMNS`].
pub(crate) fn check_count(columns: usize) -> Result<(), String> {
    match columns <= MOST_COLUMNS {
        true => Ok(()),
        false => Err(format!(
            "has {columns} columns, more than the {MOST_COLUMNS} that are read"
        )),
    }
}

/// Why a row is not read that is longer than any.
pub(crate) fn too_long() -> String {
    format!(
        "is longer than {} MiB, which no row is",
        crate::LONGEST_ROW >> 20
    )
}
