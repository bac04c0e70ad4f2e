//! WordNet's `data.*` files, as `wndb(5WN)` describes them.

use std::path::Path;

use crate::{Outcome, lines};

/// A set of words with one meaning.
pub(crate) struct Synset {
    /// The words, spaces as spaces.
    pub(crate) words: Vec<String>,
    /// The number of the lexicographer file that it comes from.
    pub(crate) file: usize,
    pub(crate) noun: bool,
    /// What the gloss says before its examples.
    pub(crate) definition: String,
    /// The quoted examples of the gloss.
    pub(crate) examples: Vec<String>,
}

/// All synsets, nouns first, in the order of the files.
pub(crate) fn read(dir: &Path) -> Outcome<Vec<Synset>> {
    let mut synsets = Vec::new();
    for part in ["noun", "verb", "adj", "adv"] {
        let path = dir.join(format!("data.{part}"));
        for (at, line) in lines(&path)?.iter().enumerate() {
            // The licence at the top is indented.
            if line.starts_with(' ') {
                continue;
            }
            let synset = parse(line, part == "noun")
                .ok_or_else(|| format!("{}:{}: not a synset", path.display(), at + 1))?;
            synsets.push(synset);
        }
    }
    Ok(synsets)
}

fn parse(line: &str, noun: bool) -> Option<Synset> {
    let (fields, gloss) = line.split_once(" | ")?;
    let mut fields = fields.split(' ').skip(1);
    let file = fields.next()?.parse().ok()?;
    let n_words = usize::from_str_radix(fields.nth(1)?, 16).ok()?;
    let words = (0..n_words)
        .map(|_| {
            let word = fields.next()?;
            fields.next()?;
            // Adjectives carry a syntactic marker: galore(ip).
            let word = word.split('(').next().unwrap_or(word);
            Some(word.replace('_', " "))
        })
        .collect::<Option<Vec<_>>>()?;
    let mut parts = gloss.trim().split('"');
    let definition = parts.next()?;
    // Quoted and unquoted text take turns.
    let examples = parts
        .step_by(2)
        .map(|example| example.trim().to_owned())
        .filter(|example| !example.is_empty())
        .collect();
    Some(Synset {
        words,
        file,
        noun,
        definition: definition
            .trim()
            .trim_end_matches([';', ':', ','])
            .trim()
            .to_owned(),
        examples,
    })
}
