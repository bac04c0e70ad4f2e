//! [`Names`] and regular expressions, compiled: what matches a path.

use super::pattern::Pattern;
use crate::PeftError;
use crate::select::Names;

/// [`Names`], compiled.
pub(crate) enum Matcher {
    Regex(Pattern),
    Suffixes(Vec<String>),
}

impl Matcher {
    pub(crate) fn new(what: &'static str, names: &Names) -> Result<Self, PeftError> {
        Ok(match names {
            Names::Regex(pattern) => Self::Regex(Pattern::of_path(what, pattern)?),
            Names::Suffixes(entries) => Self::Suffixes(entries.clone()),
        })
    }

    /// One matcher for each entry.
    pub(crate) fn each<'a>(
        what: &'static str,
        names: &'a Names,
    ) -> Result<Vec<(&'a str, Self)>, PeftError> {
        match names {
            Names::Regex(pattern) => Ok(vec![(pattern.as_str(), Self::new(what, names)?)]),
            Names::Suffixes(entries) => Ok(entries
                .iter()
                .map(|entry| (entry.as_str(), Self::Suffixes(vec![entry.clone()])))
                .collect()),
        }
    }

    /// An error where a regular expression took too many steps on a path.
    pub(crate) fn check(&self) -> Result<(), PeftError> {
        match self {
            Self::Regex(pattern) => pattern.check(),
            Self::Suffixes(_) => Ok(()),
        }
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(path),
            Self::Suffixes(entries) => entries.iter().any(|entry| has_suffix(path, entry)),
        }
    }
}

/// Whether a path is `entry`, or ends in `.` and `entry`.
pub fn has_suffix(path: &str, entry: &str) -> bool {
    path.strip_suffix(entry)
        .is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_whole_segments() {
        let suffix = Matcher::Suffixes(vec!["attn.q".into()]);
        assert!(suffix.matches("attn.q") && suffix.matches("h.0.attn.q"));
        assert!(!suffix.matches("cattn.q") && !suffix.matches("attn.q.x") && !suffix.matches("q"));
    }

    #[test]
    fn an_expression_is_the_whole_path() {
        let regex = Matcher::new("target", &Names::Regex(r"h\.\d+\.q|head".into()));
        let regex = regex.expect("it compiles");
        assert!(regex.matches("h.12.q") && regex.matches("head"));
        assert!(!regex.matches("h.1.q.x") && !regex.matches("x.h.1.q") && !regex.matches("ahead"));
    }
}
