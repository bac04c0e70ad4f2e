//! What the task takes without a language model: the majority class, and logistic regression on
//! tf-idf.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use crate::{Outcome, lines};

/// Steps of full-batch gradient descent; the loss no longer moves in the third digit well before.
const STEPS: usize = 600;
/// Step size at the start, with momentum.
const RATE: f64 = 20.0;
const MOMENTUM: f64 = 0.9;
/// L2 penalty of the sum over rows, the inverse of scikit-learn's `C`; chosen on the validation
/// rows.
const PENALTIES: [f64; 5] = [0.03, 0.1, 0.3, 1.0, 3.0];

/// A row as its words, and its category.
type Row = (Vec<String>, String);
/// The weights of the words that a row has.
type Sparse = Vec<(usize, f64)>;

pub(crate) fn run(rows: &Path) -> Outcome<()> {
    let read = |name: &str| read(&rows.join(name));
    let (train, valid, test) = (
        read("train.jsonl")?,
        read("valid.jsonl")?,
        read("test.jsonl")?,
    );

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, category) in &train {
        *counts.entry(category).or_default() += 1;
    }
    let majority = counts
        .iter()
        .max_by_key(|(_, n)| **n)
        .map(|(name, _)| *name);
    let right = test
        .iter()
        .filter(|(_, category)| Some(category.as_str()) == majority)
        .count();
    println!(
        "majority class: accuracy {:.4} on {} test rows",
        right as f64 / test.len() as f64,
        test.len()
    );

    let classes: Vec<&str> = counts.keys().copied().collect();
    let tfidf = TfIdf::fit(&train);
    let class = |name: &str| classes.iter().position(|class| *class == name);
    let features = |rows: &[Row]| -> Outcome<Vec<(Sparse, usize)>> {
        rows.iter()
            .map(|(words, category)| {
                let class =
                    class(category).ok_or_else(|| format!("no training row is {category}"))?;
                Ok((tfidf.transform(words), class))
            })
            .collect()
    };
    let (train, valid, test) = (features(&train)?, features(&valid)?, features(&test)?);
    let mut best: Option<(f64, f64, f64)> = None;
    for penalty in PENALTIES {
        let weights = fit(&train, tfidf.index.len(), classes.len(), penalty);
        let score = (accuracy(&weights, &valid), accuracy(&weights, &test));
        println!(
            "  L2 {penalty}: {:.4} on the validation rows, {:.4} on the test rows",
            score.0, score.1
        );
        if best.is_none_or(|(valid, _, _)| score.0 > valid) {
            best = Some((score.0, score.1, penalty));
        }
    }
    if let Some((_, test, penalty)) = best {
        println!("tf-idf + logistic regression: accuracy {test:.4} (L2 {penalty})");
    }
    Ok(())
}

fn read(path: &Path) -> Outcome<Vec<Row>> {
    lines(path)?
        .iter()
        .map(|line| {
            let row: Value = serde_json::from_str(line)?;
            let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            Ok((words(&field("prompt")), field("completion")))
        })
        .collect()
}

/// Runs of two or more letters or digits in lower case, as scikit-learn's `TfidfVectorizer` takes
/// them.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.chars().count() >= 2)
        .map(str::to_owned)
        .collect()
}

/// Term frequency times smoothed inverse document frequency, each row of length one.
struct TfIdf {
    index: HashMap<String, usize>,
    idf: Vec<f64>,
}

impl TfIdf {
    fn fit(rows: &[Row]) -> Self {
        let mut documents: BTreeMap<&str, usize> = BTreeMap::new();
        for (words, _) in rows {
            for word in words.iter().collect::<BTreeSet<_>>() {
                *documents.entry(word).or_default() += 1;
            }
        }
        let n = rows.len() as f64;
        Self {
            index: documents
                .keys()
                .enumerate()
                .map(|(at, word)| ((*word).to_owned(), at))
                .collect(),
            idf: documents
                .values()
                .map(|count| ((1.0 + n) / (1.0 + *count as f64)).ln() + 1.0)
                .collect(),
        }
    }

    fn transform(&self, words: &[String]) -> Sparse {
        let mut weights: BTreeMap<usize, f64> = BTreeMap::new();
        for word in words {
            if let Some(&at) = self.index.get(word) {
                *weights.entry(at).or_default() += self.idf[at];
            }
        }
        let norm = weights.values().map(|w| w * w).sum::<f64>().sqrt();
        weights.into_iter().map(|(at, w)| (at, w / norm)).collect()
    }
}

/// Multinomial logistic regression: for each class a weight per word, then a bias.
fn fit(rows: &[(Sparse, usize)], n_words: usize, n_classes: usize, penalty: f64) -> Vec<Vec<f64>> {
    let mut weights = vec![vec![0.0; n_words + 1]; n_classes];
    let mut velocity = weights.clone();
    let n = rows.len() as f64;
    for _ in 0..STEPS {
        let mut gradient: Vec<Vec<f64>> = weights
            .iter()
            .map(|row| {
                let mut decay: Vec<f64> = row.iter().map(|w| penalty * w / n).collect();
                decay[n_words] = 0.0;
                decay
            })
            .collect();
        for (row, class) in rows {
            let scores = scores(&weights, row);
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
            for (k, score) in scores.iter().enumerate() {
                let error = ((score - top).exp() / total - f64::from(u8::from(k == *class))) / n;
                for (at, weight) in row {
                    gradient[k][*at] += error * weight;
                }
                gradient[k][n_words] += error;
            }
        }
        for ((weights, velocity), gradient) in weights.iter_mut().zip(&mut velocity).zip(&gradient)
        {
            for ((w, v), g) in weights.iter_mut().zip(velocity).zip(gradient) {
                *v = MOMENTUM * *v - RATE * g;
                *w += *v;
            }
        }
    }
    weights
}

fn scores(weights: &[Vec<f64>], row: &Sparse) -> Vec<f64> {
    weights
        .iter()
        .map(|class| {
            row.iter()
                .map(|(at, weight)| class[*at] * weight)
                .sum::<f64>()
                + class.last().copied().unwrap_or_default()
        })
        .collect()
}

fn accuracy(weights: &[Vec<f64>], rows: &[(Sparse, usize)]) -> f64 {
    let right = rows
        .iter()
        .filter(|(row, class)| {
            let scores = scores(weights, row);
            let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            best == Some(*class)
        })
        .count();
    right as f64 / rows.len() as f64
}
