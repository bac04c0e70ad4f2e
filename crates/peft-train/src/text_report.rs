//! [`TextReport`]: how near texts are to those that they should be.

use serde::Serialize;

/// The words of a text that are compared, at most: the work grows with their square.
const WORDS: usize = 1 << 13;

/// How near texts are to those that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TextReport {
    /// The fraction that is the same but for white space at both ends.
    pub exact_match: f64,
    /// The mean of [`rouge_l`].
    pub rouge_l: f64,
    /// Rows.
    pub examples: usize,
}

impl TextReport {
    /// Of pairs of a text and what it should be, none of which is kept; none where there are no
    /// pairs.
    ///
    /// # Errors
    ///
    /// What a pair is not had for.
    pub fn of<T: AsRef<str>, R: AsRef<str>, E>(
        pairs: impl IntoIterator<Item = Result<(T, R), E>>,
    ) -> Result<Option<Self>, E> {
        let (mut same, mut rouge, mut examples) = (0, 0.0, 0);
        for pair in pairs {
            let (text, reference) = pair?;
            let (text, reference) = (text.as_ref(), reference.as_ref());
            examples += 1;
            same += usize::from(text.trim() == reference.trim());
            rouge += rouge_l(text, reference);
        }
        Ok((examples > 0).then(|| Self {
            exact_match: same as f64 / examples as f64,
            rouge_l: rouge / examples as f64,
            examples,
        }))
    }
}

/// ROUGE-L (Lin 2004, <https://aclanthology.org/W04-1013>): the F1 of the longest common
/// subsequence of the words of both texts; 0 where either has none.
///
/// Words are runs of letters and digits in lower case, as in the `rouge_score` package without its
/// stemmer, and of any script, which that package leaves out. The first 8192 of each are compared.
pub fn rouge_l(text: &str, reference: &str) -> f64 {
    let (text, reference) = (text.to_lowercase(), reference.to_lowercase());
    let (found, wanted) = (words(&text), words(&reference));
    match common(&found, &wanted) {
        0 => 0.0,
        common => 2.0 * common as f64 / (found.len() + wanted.len()) as f64,
    }
}

fn words(text: &str) -> Vec<&str> {
    let words = text.split(|char: char| !char.is_alphanumeric());
    words.filter(|word| !word.is_empty()).take(WORDS).collect()
}

/// The length of the longest common subsequence.
fn common(a: &[&str], b: &[&str]) -> usize {
    let mut lengths = vec![0; b.len() + 1];
    for word in a {
        let mut before = 0;
        for (j, other) in b.iter().enumerate() {
            let above = lengths[j + 1];
            lengths[j + 1] = match word == other {
                true => before + 1,
                false => above.max(lengths[j]),
            };
            before = above;
        }
    }
    lengths[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of `rouge_score` 0.1.2 for `RougeScorer(["rougeL"])`, by its definition.
    #[test]
    fn the_longest_common_subsequence_is_measured() {
        for (text, reference, expected) in [
            ("police kill the gunman", "police killed the gunman", 0.75),
            ("the gunman kill police", "police killed the gunman", 0.5),
            ("The CAT, sat!", "the cat sat on the mat", 2.0 * 3.0 / 9.0),
            ("a b c d", "d c b a", 0.25),
            ("été là", "Été là", 1.0),
            ("", "word", 0.0),
            ("...", "...", 0.0),
        ] {
            let found = rouge_l(text, reference);
            assert!((found - expected).abs() < 1e-12, "{text}: {found}");
        }
    }

    #[test]
    fn a_report_is_of_all_pairs() {
        let pairs = [("cat\n", " cat"), ("a cat", "cat"), ("dog", "cat")];
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().copied();
            TextReport::of(pairs.map(Ok::<_, std::convert::Infallible>)).expect("no errors")
        };
        let report = of(&pairs).expect("there are pairs");
        assert_eq!((report.exact_match, report.examples), (1.0 / 3.0, 3));
        let expected = (1.0 + 2.0 / 3.0) / 3.0;
        assert!((report.rouge_l - expected).abs() < 1e-12);
        assert_eq!(of(&[]), None);
    }
}
