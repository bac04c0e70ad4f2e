//! Rows that are there twice.

use peft_train::{Dataset, TrainError};

use crate::say::say;

/// Says, before a run, how many rows are there more than once.
pub(in crate::commands) fn say_repeats(
    train: &Dataset,
    valid: Option<&Dataset>,
) -> Result<(), TrainError> {
    let repeated = train.repeated()?;
    let of_valid = match valid {
        Some(valid) => Some((valid.shared_with(train)?.len(), valid.len())),
        None => None,
    };
    let shared = match of_valid {
        Some((shared, rows)) => {
            format!(", and {shared} of {rows} validation rows are training rows too")
        }
        None => String::new(),
    };
    let hint = match repeated.is_empty() && of_valid.is_none_or(|(shared, _)| shared == 0) {
        true => "",
        false => " (`peft data check` names them)",
    };
    say!(
        "{} of {} training rows are repeated{shared}{hint}",
        repeated.len(),
        train.len()
    );
    Ok(())
}
