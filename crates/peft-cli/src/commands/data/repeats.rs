//! Rows that are there twice.

use peft_train::Dataset;

use crate::say::say;

/// Says, before a run, how many rows are there more than once.
pub(in crate::commands) fn say_repeats(train: &Dataset, valid: Option<&Dataset>) {
    let repeated = train.repeated();
    let of_valid = valid.map(|valid| (valid.shared_with(train).len(), valid.rows().len()));
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
        train.rows().len()
    );
}
