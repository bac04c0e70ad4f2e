//! [`Sample`]: what one measured process printed.

use std::io;
use std::process::{Command, Stdio};

use crate::shell::shown;

/// One process's figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Median seconds a step.
    pub(crate) seconds: f64,
    /// The high-water mark of resident memory, in KiB.
    pub(crate) peak_kib: u64,
    /// Parameters that train.
    pub(crate) trainable: u64,
    /// A loss, where the process printed one.
    pub(crate) loss: Option<f64>,
    /// Seconds that the step's products alone would take, where the process printed them.
    pub(crate) floor: Option<f64>,
    /// What the base's weights take, in KiB, where the process printed it.
    pub(crate) base_kib: Option<u64>,
}

impl Sample {
    /// Run the command and read its figures from `seconds=S peak_kib=N trainable=N`
    /// on stdout, with `loss=X`, `floor=S` and `base_kib=N` where the program knows them.
    pub(crate) fn of(command: Command) -> io::Result<Self> {
        Ok(Self::with_tokens(command)?.0)
    }

    /// The same, and the tokens that the program printed as `tokens=A,B,..`, if any.
    pub(crate) fn with_tokens(mut command: Command) -> io::Result<(Self, Vec<u32>)> {
        let output = command.stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let what = shown(&command);
            return Err(io::Error::other(format!(
                "`{what}` failed: {}",
                output.status
            )));
        }
        let sample = Self::parse(&text).ok_or_else(|| {
            let what = shown(&command);
            io::Error::other(format!("`{what}` printed no figures, but `{text}`"))
        })?;
        let tokens = text
            .split_whitespace()
            .find_map(|word| word.strip_prefix("tokens="));
        let tokens = tokens.into_iter().flat_map(|tokens| tokens.split(','));
        Ok((
            sample,
            tokens.filter_map(|token| token.parse().ok()).collect(),
        ))
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |key: &str| {
            let words = &mut text.split_whitespace();
            words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        Some(Self {
            seconds: field("seconds")?.parse().ok()?,
            peak_kib: field("peak_kib")?.parse().ok()?,
            trainable: field("trainable")?.parse().ok()?,
            loss: field("loss").and_then(|loss| loss.parse().ok()),
            floor: field("floor").and_then(|floor| floor.parse().ok()),
            base_kib: field("base_kib").and_then(|kib| kib.parse().ok()),
        })
    }
}

/// The middle value, the upper of the two where there are two.
pub(crate) fn median<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_figures_and_refuses_a_missing_one() {
        let sample = Sample::parse("seconds=0.5100 peak_kib=42 trainable=7 loss=8.98\n");
        let expected = Sample {
            seconds: 0.51,
            peak_kib: 42,
            trainable: 7,
            loss: Some(8.98),
            floor: None,
            base_kib: None,
        };
        assert_eq!(sample, Some(expected));
        assert_eq!(Sample::parse("seconds=0.51 trainable=7"), None);
    }

    #[test]
    fn median_of_three_and_of_none() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median::<f64>([]), None);
    }
}
