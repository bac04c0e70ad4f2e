//! [`UnknownLabel`]: a label that a set does not have, with the nearest.

use std::fmt;

use peft_core::nearest;

use super::{LabelSet, NumberReading};
use crate::LabelName;

/// How many labels a message lists.
const SHOWN: usize = 8;

/// A label that a set does not have. What is nearest to it is looked for when it is shown, since a
/// file may have many.
#[derive(Debug, Clone, Copy)]
pub struct UnknownLabel<'a> {
    pub(super) label: &'a LabelName,
    pub(super) set: &'a LabelSet,
}

impl fmt::Display for UnknownLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.set.names();
        let written = self.label.to_string();
        if let LabelName::Number(number) = self.label {
            let last = names.len() - 1;
            return match (self.label.whole(), self.set.numbers()) {
                (Some(_), NumberReading::Ids) => write!(
                    f,
                    "no label has the id {number}: ids are 0 (`{}`) to {last} (`{}`)",
                    names[0], names[last]
                ),
                (Some(_), NumberReading::Names) => {
                    write!(
                        f,
                        "unknown label `{written}`; the labels are {}",
                        self.some()
                    )
                }
                (None, _) => write!(
                    f,
                    "the label {number} is no class, which is a name or a whole number; the labels are {}",
                    self.some()
                ),
            };
        }
        if let LabelName::Bool(flag) = self.label {
            return write!(
                f,
                "the label is {flag}, and no class is called so; the labels are {}",
                self.some()
            );
        }
        let plain = |name: &str| name.trim().to_lowercase();
        let meant = plain(&written);
        let slip = names.iter().find(|name| plain(name) == meant).cloned();
        match slip.or_else(|| nearest(&written, names)) {
            Some(near) => write!(f, "unknown label `{written}`, did you mean `{near}`?"),
            None => write!(
                f,
                "unknown label `{written}`; the labels are {}",
                self.some()
            ),
        }
    }
}

impl UnknownLabel<'_> {
    fn some(&self) -> String {
        some_of(self.set.names())
    }
}

/// The first of these names.
pub(super) fn some_of(names: &[String]) -> String {
    let some = names.iter().take(SHOWN).cloned();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", some.collect::<Vec<_>>().join(", "))
}
