//! [`Patterns`]: a value by layer, with exceptions by path.

use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use crate::PeftError;

/// Exceptions to a setting: the first pattern that matches the end of a layer's path gives its
/// value.
///
/// A pattern is a regular expression over the path or over whole segments at its end, as in PEFT's
/// `rank_pattern`: `q_proj` and `layers.0.self_attn.q_proj` both match
/// `model.layers.0.self_attn.q_proj`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patterns<T>(Vec<(String, T)>);

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> Patterns<T> {
    /// Patterns with their values, the first that matches counts.
    pub fn new<S: Into<String>>(entries: impl IntoIterator<Item = (S, T)>) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(pattern, value)| (pattern.into(), value))
                .collect(),
        )
    }

    /// The patterns with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0
            .iter()
            .map(|(pattern, value)| (pattern.as_str(), value))
    }

    /// Whether there is no exception.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without the patterns that match none of `paths`. One that is no regular expression stays, to
    /// be reported when used.
    pub fn matching_any(&self, paths: &[&str]) -> Self {
        let used = |pattern: &str| {
            Pattern::of_end("", pattern).map_or(true, |regex| {
                paths.iter().any(|path| regex.is_match(path)) || regex.check().is_err()
            })
        };
        Self(
            self.0
                .iter()
                .filter(|(pattern, _)| used(pattern))
                .cloned()
                .collect(),
        )
    }

    /// The value for each path: the first match's, or `default`.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidRegex`], or [`PeftError::Unmatched`] for a pattern that matches none of
    /// the paths.
    pub fn resolve(
        &self,
        what: &'static str,
        paths: &[&str],
        default: &T,
    ) -> Result<Vec<T>, PeftError> {
        let mut compiled = Vec::with_capacity(self.0.len());
        for (pattern, value) in &self.0 {
            let regex = Pattern::of_end(what, pattern)?;
            let matches: Vec<bool> = paths.iter().map(|path| regex.is_match(path)).collect();
            regex.check()?;
            if !matches.contains(&true) {
                let available = paths.iter().map(|path| (*path).to_owned()).collect();
                return Err(PeftError::unmatched(what, pattern, available));
            }
            compiled.push((matches, value));
        }
        Ok((0..paths.len())
            .map(|at| {
                compiled
                    .iter()
                    .find(|(matches, _)| matches[at])
                    .map_or_else(|| default.clone(), |(_, value)| (*value).clone())
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 3] = ["layers.0.q_proj", "layers.10.q_proj", "seq_proj"];

    fn resolved(entries: &[(&str, usize)]) -> Result<Vec<usize>, PeftError> {
        Patterns::new(entries.iter().copied()).resolve("rank pattern", &PATHS, &8)
    }

    #[test]
    fn a_pattern_matches_whole_segments_at_the_end() {
        assert_eq!(resolved(&[("q_proj", 1)]), Ok(vec![1, 1, 8]));
        assert_eq!(resolved(&[("0.q_proj", 1)]), Ok(vec![1, 8, 8]));
        assert_eq!(resolved(&[("layers.*", 1)]), Ok(vec![1, 1, 8]));
        assert_eq!(resolved(&[("q_proj|seq_proj", 1)]), Ok(vec![1, 1, 1]));
    }

    #[test]
    fn the_first_match_counts() {
        let both = [(r"0\.q_proj", 1), ("q_proj", 2)];
        assert_eq!(resolved(&both), Ok(vec![1, 2, 8]));
        let swapped = [("q_proj", 2), (r"0\.q_proj", 1)];
        assert_eq!(resolved(&swapped), Ok(vec![2, 2, 8]));
    }

    #[test]
    fn a_pattern_without_a_layer_is_an_error_unless_left_out() {
        let patterns = Patterns::new([("q_proj", 1), ("v_proj", 2), ("(", 3)]);
        let error = patterns.resolve("rank pattern", &PATHS, &8);
        assert!(matches!(error, Err(PeftError::Unmatched { entry, .. }) if entry == "v_proj"));
        let used = patterns.matching_any(&PATHS);
        let left: Vec<_> = used.iter().map(|(pattern, _)| pattern).collect();
        assert_eq!(left, ["q_proj", "("]);
        let error = used.resolve("rank pattern", &PATHS, &8);
        assert!(matches!(error, Err(PeftError::InvalidRegex { pattern, .. }) if pattern == "("));
    }
}
