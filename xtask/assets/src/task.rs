//! The downstream task, and the text that is left for pre-training.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::json;

use crate::Outcome;
use crate::vocabulary::EOS;
use crate::wordnet::Synset;

/// The 16 largest noun files that stand for a category (`lexnames(5WN)`): number and name.
const CATEGORIES: [(usize, &str); 16] = [
    (4, "act"),
    (5, "animal"),
    (6, "artifact"),
    (7, "attribute"),
    (8, "body"),
    (9, "cognition"),
    (10, "communication"),
    (13, "food"),
    (14, "group"),
    (15, "location"),
    (17, "object"),
    (18, "person"),
    (20, "plant"),
    (23, "quantity"),
    (26, "state"),
    (27, "substance"),
];
/// Rows of each category.
const TEST: usize = 100;
const VALID: usize = 32;
const TRAIN: usize = 250;
const SEED: u64 = 0;
/// A definition of fewer words says too little to tell its category.
const MIN_WORDS: usize = 3;

/// A definition and its category.
pub(crate) struct Row {
    definition: String,
    category: &'static str,
}

pub(crate) struct Split {
    train: Vec<Row>,
    valid: Vec<Row>,
    test: Vec<Row>,
    corpus: Vec<String>,
}

/// Draws test, validation and training rows, the same number of each category; no word of one is a
/// word of another, and the corpus has no synset that shares a word or a definition with any row.
pub(crate) fn split(synsets: &[Synset]) -> Outcome<Split> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut by_category: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, synset) in synsets.iter().enumerate() {
        let category = CATEGORIES.iter().find(|(file, _)| *file == synset.file);
        if let (true, Some((_, name))) = (synset.noun, category)
            && synset.definition.split(' ').count() >= MIN_WORDS
        {
            by_category.entry(name).or_default().push(index);
        }
    }
    for indices in by_category.values_mut() {
        indices.shuffle(&mut rng);
    }

    // Words and definitions that rows have used up.
    let mut words: HashSet<String> = HashSet::new();
    let mut definitions: HashSet<String> = HashSet::new();
    let mut taken: HashSet<usize> = HashSet::new();
    let mut draw = |n: usize, what: &str| -> Outcome<Vec<Row>> {
        let mut rows = Vec::new();
        let mut new_words = HashSet::new();
        for (_, category) in CATEGORIES {
            let mut drawn = 0;
            for &index in &by_category[category] {
                let synset = &synsets[index];
                let key = synset.definition.to_lowercase();
                if drawn == n
                    || taken.contains(&index)
                    || definitions.contains(&key)
                    || keys(synset).any(|word| words.contains(&word))
                {
                    continue;
                }
                taken.insert(index);
                definitions.insert(key);
                new_words.extend(keys(synset));
                rows.push(Row {
                    definition: synset.definition.clone(),
                    category,
                });
                drawn += 1;
            }
            if drawn < n {
                return Err(format!("{what}: {category} has only {drawn} of {n} rows").into());
            }
        }
        words.extend(new_words);
        rows.shuffle(&mut rng);
        Ok(rows)
    };
    let test = draw(TEST, "test")?;
    let valid = draw(VALID, "validation")?;
    let train = draw(TRAIN, "training")?;

    let mut corpus: Vec<String> = synsets
        .iter()
        .filter(|synset| {
            !definitions.contains(&synset.definition.to_lowercase())
                && !keys(synset).any(|word| words.contains(&word))
        })
        .flat_map(texts)
        .collect();
    corpus.shuffle(&mut rng);
    Ok(Split {
        train,
        valid,
        test,
        corpus,
    })
}

fn keys(synset: &Synset) -> impl Iterator<Item = String> {
    synset.words.iter().map(|word| word.to_lowercase())
}

/// A synset as two texts: its words before the definition and the examples, and after the
/// definition alone, as the task has the category there.
fn texts(synset: &Synset) -> [String; 2] {
    let words = synset.words.join(", ");
    let definition = &synset.definition;
    let examples: String = synset
        .examples
        .iter()
        .map(|example| format!("; {example}"))
        .collect();
    [
        format!("{words}: {definition}{examples}{EOS}"),
        format!("{definition}. word: {words}{EOS}"),
    ]
}

pub(crate) fn write(split: &Split, rows: &Path, corpus: &Path) -> Outcome<()> {
    fs::create_dir_all(rows)?;
    if let Some(dir) = corpus.parent() {
        fs::create_dir_all(dir)?;
    }
    for (name, part) in [
        ("train", &split.train),
        ("valid", &split.valid),
        ("test", &split.test),
    ] {
        let lines: String = part
            .iter()
            .map(|row| {
                let prompt = format!("{}. category:", row.definition);
                let completion = format!(" {}", row.category);
                format!("{}\n", json!({"prompt": prompt, "completion": completion}))
            })
            .collect();
        fs::write(rows.join(name).with_extension("jsonl"), lines)?;
        println!("{name}: {} rows", part.len());
    }
    let lines: String = split
        .corpus
        .iter()
        .map(|text| format!("{}\n", json!({ "text": text })))
        .collect();
    println!(
        "{}: {} rows, {} bytes",
        corpus.display(),
        split.corpus.len(),
        lines.len()
    );
    fs::write(corpus, lines)?;
    Ok(())
}
