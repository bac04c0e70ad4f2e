//! [`Lengths`]: how long rows are.

use serde_json::{Value, json};

/// The most bars of a histogram, and the signs of its longest.
const BARS: usize = 10;
const WIDTH: usize = 40;

/// How long rows are, in tokens.
pub(super) struct Lengths {
    sorted: Vec<usize>,
}

impl Lengths {
    pub(super) fn new(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        Self { sorted: lengths }
    }

    /// The length that this part of the rows has at most, in percent.
    fn at(&self, percent: usize) -> usize {
        let last = self.sorted.len().saturating_sub(1);
        let rank = (self.sorted.len() * percent)
            .div_ceil(100)
            .saturating_sub(1);
        self.sorted.get(rank.min(last)).copied().unwrap_or_default()
    }

    /// Percentiles by their names.
    fn percentiles(&self) -> [(&'static str, usize); 7] {
        [
            ("min", self.at(0)),
            ("p25", self.at(25)),
            ("p50", self.at(50)),
            ("p75", self.at(75)),
            ("p90", self.at(90)),
            ("p99", self.at(99)),
            ("max", self.at(100)),
        ]
    }

    /// Ranges of one width, with how many rows are in each.
    fn bars(&self) -> Vec<(usize, usize, usize)> {
        let (least, most) = (self.at(0), self.at(100));
        let width = (most - least + 1).div_ceil(BARS).max(1);
        let bar = |n: usize| {
            let (from, to) = (least + n * width, least + (n + 1) * width);
            let below = |end: usize| self.sorted.partition_point(|length| *length < end);
            (from, to - 1, below(to) - below(from))
        };
        let n = (most - least + 1).div_ceil(width);
        (0..n).map(bar).collect()
    }

    pub(super) fn report(&self) -> Value {
        let mut report = json!({});
        for (name, length) in self.percentiles() {
            report[name] = json!(length);
        }
        report["sum"] = json!(self.sorted.iter().sum::<usize>());
        let bars = self.bars().into_iter();
        report["histogram"] = bars
            .map(|(from, to, rows)| json!({ "from": from, "to": to, "rows": rows }))
            .collect();
        report
    }

    /// As lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let shown = self
            .percentiles()
            .map(|(name, length)| format!("{name} {length}"));
        let mut lines = vec![format!("  tokens a row: {}", shown.join(", "))];
        let bars = self.bars();
        let most = bars
            .iter()
            .map(|(_, _, rows)| *rows)
            .max()
            .unwrap_or(1)
            .max(1);
        let digits = self.at(100).to_string().len();
        for (from, to, rows) in bars {
            let signs = (rows * WIDTH).div_ceil(most);
            lines.push(format!(
                "  {from:>digits$} to {to:>digits$} {:WIDTH$} {rows}",
                "█".repeat(signs)
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_bars_have_every_row() {
        let lengths = Lengths::new((1..=100).rev().collect());
        assert_eq!(
            lengths.percentiles().map(|(_, n)| n),
            [1, 25, 50, 75, 90, 99, 100]
        );
        let bars = lengths.bars();
        assert_eq!(
            (bars[0], bars[9], bars.len()),
            ((1, 10, 10), (91, 100, 10), 10)
        );
        for lengths in [vec![7], vec![3, 3, 4], vec![1, 1000], vec![0, 11]] {
            let n = lengths.len();
            let lengths = Lengths::new(lengths);
            let rows: usize = lengths.bars().iter().map(|(_, _, rows)| rows).sum();
            assert_eq!(rows, n);
            assert!(lengths.bars().len() <= BARS);
        }
    }
}
