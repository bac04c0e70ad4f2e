//! [`ListReading`]: what a list of numbers means where classes are asked for.

use crate::{Dataset, Label, Row, TrainError};

/// What a list means where classes are asked for; the same in all rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListReading {
    /// The classes that apply.
    #[default]
    Named,
    /// 0 or 1 for each class, as transformers takes the labels of a `multi_label_classification`.
    Each,
}

impl ListReading {
    /// Of all rows of these files, and how many classes their lists tell of.
    ///
    /// Lists say 0 or 1 of each class where all of them do, are of one length, and that is the
    /// number of classes if it is known. Named by such lists, all rows would have the same two
    /// classes, or one twice: so only a list of one number is taken for a name, and not where there
    /// is one class, of which some list says 1: that is no class's id.
    ///
    /// # Errors
    ///
    /// As [`Dataset::row`].
    pub(super) fn of(
        files: &[&Dataset],
        classes: Option<usize>,
    ) -> Result<(Self, usize), TrainError> {
        let mut length = classes;
        let mut telling = false;
        for row in files.iter().flat_map(|file| file.rows()) {
            let Row::Labelled { label, .. } = row? else {
                return Ok((Self::Named, 0));
            };
            let Label::Many(names) = &label else {
                return Ok((Self::Named, 0));
            };
            if *length.get_or_insert(names.len()) != names.len() || label.each().is_none() {
                return Ok((Self::Named, 0));
            }
            let says_one = classes == Some(1) && label.each() == Some(vec![true]);
            telling |= names.len() > 1 || label.says_each() || says_one;
        }
        Ok(match telling {
            true => (Self::Each, length.unwrap_or(0)),
            false => (Self::Named, 0),
        })
    }
}
