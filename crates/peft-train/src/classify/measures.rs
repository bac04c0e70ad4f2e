//! Measures of classifiers, as scikit-learn and SciPy define them.

/// True positives, false positives and false negatives of one class.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) hits: usize,
    pub(super) false_alarms: usize,
    pub(super) misses: usize,
}

impl Counts {
    /// `2 TP / (2 TP + FP + FN)`; none where the class occurs neither in truth nor in prediction.
    pub(super) fn f1(self) -> Option<f64> {
        let all = 2 * self.hits + self.false_alarms + self.misses;
        (all > 0).then(|| 2.0 * self.hits as f64 / all as f64)
    }

    fn add(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            false_alarms: self.false_alarms + other.false_alarms,
            misses: self.misses + other.misses,
        }
    }
}

/// What is counted of each class, for one prediction a row.
pub(super) fn count(truth: &[usize], predicted: &[usize], n_labels: usize) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); n_labels];
    for (truth, predicted) in truth.iter().zip(predicted) {
        if truth == predicted {
            counts[*truth].hits += 1;
        } else {
            counts[*truth].misses += 1;
            counts[*predicted].false_alarms += 1;
        }
    }
    counts
}

/// What is counted of each class, where each applies or not.
pub(super) fn count_each(
    truth: &[Vec<bool>],
    predicted: &[Vec<bool>],
    n_labels: usize,
) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); n_labels];
    for (truth, predicted) in truth.iter().zip(predicted) {
        add_each(&mut counts, truth, predicted);
    }
    counts
}

/// Count one row more, as [`count_each`] does.
pub(super) fn add_each(counts: &mut [Counts], truth: &[bool], predicted: &[bool]) {
    for (counts, pair) in counts.iter_mut().zip(truth.iter().zip(predicted)) {
        match pair {
            (true, true) => counts.hits += 1,
            (false, true) => counts.false_alarms += 1,
            (true, false) => counts.misses += 1,
            (false, false) => {}
        }
    }
}

/// The mean F1 over the classes that occur in truth or prediction.
pub(super) fn macro_f1(counts: &[Counts]) -> f64 {
    let each: Vec<f64> = counts.iter().filter_map(|counts| counts.f1()).collect();
    each.iter().sum::<f64>() / each.len().max(1) as f64
}

/// The F1 of all decisions together.
pub(super) fn micro_f1(counts: &[Counts]) -> f64 {
    let all = counts.iter().copied().reduce(Counts::add);
    all.and_then(Counts::f1).unwrap_or(0.0)
}

/// Pearson's correlation; zero where one side does not vary.
pub(super) fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    match aa > 0.0 && bb > 0.0 {
        true => ab / (aa * bb).sqrt(),
        false => 0.0,
    }
}

/// Spearman's correlation: Pearson's of the ranks, ties at their mean rank.
pub(super) fn spearman(a: &[f64], b: &[f64]) -> f64 {
    pearson(&ranks(a), &ranks(b))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|i| ranks[*i] = rank);
        before += tied.len();
    }
    ranks
}
