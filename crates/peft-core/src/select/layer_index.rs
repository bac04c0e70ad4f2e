//! The index of the block that a layer lies in, read from its path as PEFT's `layers_to_transform`
//! does.

use super::pattern::IndexPattern;
use crate::PeftError;

/// What finds the index of a path.
///
/// The first number with at least two segments before it and one after it; or the number after the
/// first place that one of the given expressions matches, from a segment on, the first expression
/// that matches anywhere being the one. Where there is no such number, the first that there is, or
/// that ends the path behind such a place, so that a list of layers may be a model's own field.
pub(crate) struct LayerIndex(Vec<IndexPattern>);

impl LayerIndex {
    pub(crate) fn new(after: &[String]) -> Result<Self, PeftError> {
        let patterns = after.iter().map(|name| IndexPattern::new(name));
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    pub(crate) fn of(&self, path: &str) -> Option<usize> {
        if self.0.is_empty() {
            let segments: Vec<&str> = path.split('.').collect();
            return number(&segments, place(&segments)?);
        }
        let inside = self.0.iter().find_map(|pattern| pattern.within(path));
        match inside {
            Some(index) => index,
            None => self.0.iter().find_map(|pattern| pattern.at_end(path))?,
        }
    }

    /// An error where an expression took too many steps on a path.
    pub(crate) fn check(&self) -> Result<(), PeftError> {
        self.0.iter().try_for_each(IndexPattern::check)
    }
}

/// The list of modules that a path lies in, and its index there, with the path before it.
pub(crate) fn layer_in_list(path: &str) -> Option<(String, usize)> {
    let segments: Vec<&str> = path.split('.').collect();
    let at = place(&segments)?;
    Some((segments[..at].join("."), number(&segments, at)?))
}

fn number(segments: &[&str], at: usize) -> Option<usize> {
    segments[at].parse().ok()
}

/// The segment that is the index.
fn place(segments: &[&str]) -> Option<usize> {
    let last = segments.len() - 1;
    let numbered = |at: &usize| number(segments, *at).is_some();
    let nested = (2..last).find(numbered);
    nested.or_else(|| (1..=last).find(numbered))
}

#[cfg(test)]
mod tests {
    use super::LayerIndex;

    fn index(after: &[&str], path: &str) -> Option<usize> {
        let after: Vec<String> = after.iter().map(|name| (*name).to_owned()).collect();
        LayerIndex::new(&after).expect("expressions").of(path)
    }

    /// What PEFT 0.21 finds, by its `check_target_module_exists`.
    #[test]
    fn it_is_the_one_that_peft_finds() {
        let experts = "model.layers.11.mlp.experts.3.up";
        for (after, path, expected) in [
            (&[][..], experts, Some(11)),
            (&[], "model.layers.2.mlp.0", Some(2)),
            (&[], "model.0.1.q", Some(1)),
            (&[], "a.b.c.4.5.q", Some(4)),
            (&[], "layers.0.experts.3.up", Some(3)),
            (&[], "head", None),
            (&["experts", "layers"], experts, Some(3)),
            (&["layers", "experts"], experts, Some(11)),
            (&["model.layers"], experts, Some(11)),
            (&["layers"], "layers.7.q", Some(7)),
            (&["layers"], "layers.0.experts.3.up", Some(0)),
            (&["experts"], "layers.7.q", None),
            (&["model.layers"], "layers.7.q", None),
        ] {
            assert_eq!(index(after, path), expected, "{path} after {after:?}");
        }
    }

    /// PEFT finds no index in these.
    #[test]
    fn a_list_of_layers_may_be_the_models_own_field() {
        assert_eq!(index(&[], "layers.7.q"), Some(7));
        assert_eq!(index(&[], "layers.7"), Some(7));
        assert_eq!(index(&["blocks"], "stages.2.blocks.1"), Some(1));
    }
}
