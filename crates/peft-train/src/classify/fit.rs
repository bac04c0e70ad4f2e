//! [`labels_fit`]: whether rows have the labels of a set.

use super::{LabelSet, ProblemType, Target};
use crate::{Dataset, Row, TrainError};

/// Whether all labels of a file are targets of this problem with these classes; rows without labels
/// are left aside.
///
/// # Errors
///
/// As [`Dataset::row`].
pub fn labels_fit(
    dataset: &Dataset,
    problem: ProblemType,
    labels: &LabelSet,
) -> Result<bool, TrainError> {
    let fits = |row: &Row| match row {
        Row::Labelled { label, .. } => Target::new(label, problem, labels).is_ok(),
        Row::Tagged { tags, .. } => tags
            .iter()
            .all(|tag| tag.is_no_target() || labels.id(tag).is_ok()),
        Row::Text { .. }
        | Row::Completion { .. }
        | Row::Chat { .. }
        | Row::Dialogue { .. }
        | Row::Instruction(_) => true,
    };
    Ok(!dataset.any(|row| !fits(row))?)
}
