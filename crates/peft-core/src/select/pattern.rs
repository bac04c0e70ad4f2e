//! [`Pattern`]: a regular expression over paths, of the syntax that PEFT's Python takes.

use std::sync::atomic::{AtomicBool, Ordering};

use fancy_regex::{Regex, RegexBuilder};

use crate::PeftError;

/// Steps that a match of one path may go back. A path has some fifty characters.
const MAX_STEPS: usize = 100_000;

/// A regular expression, with look-around and back-references, and the number of steps bounded.
///
/// Without those two it runs in linear time. One that takes too many steps on a path matches
/// nothing from then on; [`check`](Self::check) says so, and goes before a result that rests on
/// matches.
pub(crate) struct Pattern {
    regex: Regex,
    what: &'static str,
    source: String,
    gave_up: AtomicBool,
}

impl Pattern {
    /// One that must match a whole path, as Python's `fullmatch`.
    pub(crate) fn of_path(what: &'static str, source: &str) -> Result<Self, PeftError> {
        Self::new(what, source, &format!("^(?:{source})$"))
    }

    /// One that must match the end of a path from a segment on, as PEFT's `get_pattern_key`.
    pub(crate) fn of_end(what: &'static str, source: &str) -> Result<Self, PeftError> {
        // The groups are PEFT's, so that back-references have its numbers.
        Self::new(what, source, &format!(r"^(.*\.)?({source})$"))
    }

    fn new(what: &'static str, source: &str, regex: &str) -> Result<Self, PeftError> {
        let regex = RegexBuilder::new(&with_end(regex))
            .backtrack_limit(MAX_STEPS)
            .build();
        Ok(Self {
            regex: regex.map_err(|error| invalid(what, source, error.to_string()))?,
            what,
            source: source.into(),
            gave_up: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_match(&self, path: &str) -> bool {
        self.bounded(|regex| regex.is_match(path).ok())
    }

    /// The group `idx` of a match, if it matches.
    fn index(&self, path: &str) -> Option<Option<usize>> {
        let captures = self.bounded(|regex| regex.captures(path).ok())?;
        let index = captures.name("idx");
        Some(index.and_then(|index| index.as_str().parse().ok()))
    }

    /// What the expression finds; nothing once it has taken too many steps, for which `find` has
    /// none.
    fn bounded<'a, T: Default>(&'a self, find: impl FnOnce(&'a Regex) -> Option<T>) -> T {
        if self.gave_up.load(Ordering::Relaxed) {
            return T::default();
        }
        find(&self.regex).unwrap_or_else(|| {
            self.gave_up.store(true, Ordering::Relaxed);
            T::default()
        })
    }

    /// An error where a path took too many steps.
    pub(crate) fn check(&self) -> Result<(), PeftError> {
        match self.gave_up.load(Ordering::Relaxed) {
            true => Err(invalid(
                self.what,
                &self.source,
                format!("it takes more than {MAX_STEPS} steps on a path of this model"),
            )),
            false => Ok(()),
        }
    }
}

/// A regular expression of what comes before the index of a layer, as PEFT's `layers_pattern`.
pub(crate) struct IndexPattern {
    within: Pattern,
    at_end: Pattern,
}

impl IndexPattern {
    pub(crate) fn new(source: &str) -> Result<Self, PeftError> {
        // PEFT puts it into its own expression as it is, so a bare `|` is an alternative of all of
        // it.
        let around = |end: &str| format!(r"\A(?:(?:^|.*?\.){source}\.(?P<idx>\d+){end})");
        let what = "name before a layer's index";
        Ok(Self {
            within: Pattern::new(what, source, &around(r"\."))?,
            at_end: Pattern::new(what, source, &around("$"))?,
        })
    }

    /// The index in a path that goes on behind it: none where the expression does not match, and
    /// none in that where what matches has no index.
    pub(crate) fn within(&self, path: &str) -> Option<Option<usize>> {
        self.within.index(path)
    }

    /// The index that a path ends with.
    pub(crate) fn at_end(&self, path: &str) -> Option<Option<usize>> {
        self.at_end.index(path)
    }

    pub(crate) fn check(&self) -> Result<(), PeftError> {
        self.within.check().and_then(|()| self.at_end.check())
    }
}

/// Python's name for the end of a text, `\Z`, as this engine has it.
fn with_end(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut escaped = false;
    for c in source.chars() {
        out.push(if escaped && c == 'Z' { 'z' } else { c });
        escaped = c == '\\' && !escaped;
    }
    out
}

fn invalid(what: &'static str, source: &str, reason: String) -> PeftError {
    PeftError::InvalidRegex {
        what,
        pattern: source.into(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `re.fullmatch` says of each.
    #[test]
    fn the_syntax_is_pythons() {
        let path = "model.layers.1.self_attn.q_proj";
        for (source, expected) in [
            (r".*(?<!0\.self_attn)\.q_proj", true),
            (r".*(?<!1\.self_attn)\.q_proj", false),
            (r"(?!.*mlp).*_proj\Z", true),
            (r"model\.layers\.(?=1\.).*", true),
            (r"model\.layers\.(?=2\.).*", false),
            (r".*(?P<l>l)ayers.*se(?P=l)f_attn.*", true),
            (r".*\.(\w)_proj", true),
            (r".*(a)\1.*", false),
            (r"q_proj|model", false),
        ] {
            let pattern = Pattern::of_path("target", source).expect(source);
            assert_eq!(pattern.is_match(path), expected, "{source}");
            assert_eq!(pattern.check(), Ok(()), "{source}");
        }
    }

    #[test]
    fn an_end_begins_at_a_segment_and_its_groups_are_pefts() {
        for (source, expected) in [
            ("q_proj", true),
            ("proj", false),
            (r"(\w)_proj(?<!v_proj)", true),
            // The third group is this expression's own first.
            (r"a(t)\3n\.q_proj", true),
        ] {
            let pattern = Pattern::of_end("rank pattern", source).expect(source);
            assert_eq!(pattern.is_match("l.0.attn.q_proj"), expected, "{source}");
        }
    }

    #[test]
    fn steps_are_bounded_and_what_takes_more_is_an_error() {
        let pattern = Pattern::of_path("target", r"(\w+\w+)+\1!").expect("it compiles");
        assert!(!pattern.is_match("self_attention_output_projection_layer"));
        let error = pattern.check().expect_err("too many").to_string();
        assert!(error.contains("more than 100000 steps"), "{error}");
        assert!(Pattern::of_path("target", "(").is_err());
    }
}
