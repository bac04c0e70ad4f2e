//! What a run says at its end: what was best, how long it took, and the commands to go on with.

use std::fs;
use std::path::{Path, PathBuf};

use peft_train::Evaluations;

use super::run::BEST;
use crate::args::TrainArgs;
use crate::say::say;

/// What the end of a run is judged by.
pub(super) struct Outcome {
    pub(super) evaluations: Evaluations,
    /// The loss that the run began at: before training, or in the first step.
    pub(super) start: Option<f64>,
    /// The loss that it ended at: the last validation, or the last steps.
    pub(super) end: Option<f64>,
    /// What evaluations are compared by, where it is not their loss.
    pub(super) measure: Option<String>,
    /// The loss of a guess that takes everything for equally likely.
    pub(super) uniform: Option<f64>,
}

/// Whether a run was of use, as far as its losses tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing speaks against it.
    Good,
    /// It ended no better than it began, or than a guess.
    NoBetter(String),
    /// It ended far worse than it began.
    Worse(String),
}

impl Outcome {
    pub(super) fn verdict(&self) -> Verdict {
        let (Some(start), Some(end)) = (self.start, self.end) else {
            return Verdict::Good;
        };
        if end > 1.25 * start + 0.5 {
            return Verdict::Worse(format!(
                "the loss rose from {start:.4} to {end:.4}: the run has diverged, and its learning rate was most likely too high"
            ));
        }
        let lowest = self
            .evaluations
            .lowest()
            .map_or(end, |lowest| lowest.min(end));
        match (self.evaluations, self.uniform) {
            (_, Some(uniform)) if lowest >= 0.995 * uniform => Verdict::NoBetter(format!(
                "the loss never fell below that of a uniform guess, {uniform:.4}: the model has learnt nothing of these rows"
            )),
            (
                Evaluations {
                    before: Some(before),
                    best: None,
                    ..
                },
                _,
            ) => Verdict::NoBetter(match &self.measure {
                None => format!(
                    "no evaluation was below the loss before training, {before:.4}: the model is no better for it"
                ),
                Some(name) => format!(
                    "no evaluation was better by {name} than the one before training: the model is no better for it"
                ),
            }),
            _ => Verdict::Good,
        }
    }
}

/// Say what was best, and how fast it went.
pub(super) fn show(args: &TrainArgs, outcome: &Outcome, seconds: f64, speed: Option<f64>) {
    let speed = speed.map_or_else(String::new, |speed| format!(", {speed:.0} target tokens/s"));
    say!(
        "took {seconds:.0} s{speed}, at a learning rate of {:e}{}",
        args.peak(),
        args.lr_origin
    );
    let before = outcome.evaluations.before;
    let before = before.map_or_else(String::new, |loss| format!(", {loss:.4} before training"));
    let measure = outcome.measure.as_deref();
    let by = measure.map_or_else(String::new, |name| format!(" by {name}"));
    if let Some((step, loss)) = outcome.evaluations.best {
        say!(
            "best{by}: step {step}, validation loss {loss:.4}{before}, in {}",
            args.out.join(BEST).display()
        );
    }
}

/// What a directory of the run is, for the verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputUse {
    /// A checkpoint.
    Model,
    /// An adapter that can be merged.
    Adapter,
    /// A prompt or a prefix, which cannot.
    Input,
}

/// The commands to go on with.
pub(super) fn commands(
    args: &TrainArgs,
    leaves: OutputUse,
    evaluations: Evaluations,
) -> Vec<String> {
    let best = evaluations.best.map(|_| args.out.join(BEST));
    let dir: PathBuf = best.unwrap_or_else(|| args.out.clone());
    let (dir, base) = (quoted(&dir), quoted(&args.model.model));
    let held = args.model.quantise.filter(|_| leaves != OutputUse::Model);
    let mut held = held.map_or_else(String::new, |held| format!(" --quantise {}", held.name()));
    if args.model.quantise_embeddings && leaves != OutputUse::Model {
        held.push_str(" --quantise-embeddings");
    }
    let model = match leaves {
        OutputUse::Model => format!("--model {dir}"),
        OutputUse::Adapter | OutputUse::Input => format!("--model {base} --adapter {dir}{held}"),
    };
    let rows = match args.valid.is_empty() {
        true => &args.train,
        false => &args.valid,
    };
    let rows: Vec<String> = rows.iter().map(|path| quoted(path)).collect();
    let mut rows = rows.join(" ");
    for (flag, value) in args.rows.given() {
        rows.push_str(&format!(" --{flag} {}", quoted(Path::new(&value))));
    }
    let mut lines = vec![
        format!("peft eval {model} --data {rows}"),
        format!("peft generate {model} --prompt TEXT"),
    ];
    if leaves == OutputUse::Adapter {
        let mut merged = args.out.as_os_str().to_owned();
        merged.push("-merged");
        lines.push(format!(
            "peft merge {model} --out {}",
            quoted(Path::new(&merged))
        ));
    }
    let impatient = args.patience.filter(|most| evaluations.waited >= *most);
    let longer = match (impatient, args.max_steps) {
        (Some(most), _) => format!("--patience {}", most.saturating_mul(2)),
        (None, Some(steps)) => format!("--max-steps {}", steps.saturating_mul(2)),
        (None, None) => format!("--epochs {}", args.epochs.saturating_mul(2)),
    };
    let out = quoted(&args.out);
    lines.push(format!("peft train --resume --out {out} {longer}"));
    lines
}

/// What the state is of which the last command goes on, with what it takes: it is three times as
/// large as what trains.
pub(super) fn state(path: &Path) -> String {
    let bytes = fs::metadata(path).map_or(0, |file| file.len());
    format!(
        "the last of these needs {} ({}), and nothing else does",
        path.display(),
        size(bytes)
    )
}

/// A number of bytes.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "._-/=:@%+,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(before: Option<f64>, best: Option<f64>, end: f64) -> Verdict {
        let evaluations = Evaluations {
            before,
            best: best.map(|loss| (3, loss)),
            waited: 0,
            least: None,
        };
        Outcome {
            evaluations,
            start: before.or(Some(4.0)),
            end: Some(end),
            measure: None,
            uniform: Some(5.0),
        }
        .verdict()
    }

    #[test]
    fn a_run_is_judged_by_its_losses() {
        assert_eq!(outcome(Some(4.0), Some(2.0), 2.5), Verdict::Good);
        assert_eq!(outcome(None, None, 2.5), Verdict::Good);
        assert!(matches!(outcome(Some(2.0), None, 5.0), Verdict::Worse(_)));
        assert!(matches!(
            outcome(Some(2.0), Some(1.9), 5.0),
            Verdict::Worse(_)
        ));
        assert!(matches!(
            outcome(Some(2.0), None, 2.1),
            Verdict::NoBetter(_)
        ));
        assert!(matches!(
            outcome(Some(5.1), Some(5.0), 5.0),
            Verdict::NoBetter(_)
        ));
    }

    #[test]
    fn sizes_are_told_in_three_units() {
        let said = [1, 999_999, 1_000_000, 1_630_000_000].map(size);
        assert_eq!(said, ["1 kB", "1000 kB", "1.0 MB", "1.6 GB"]);
    }

    #[test]
    fn paths_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("a/b-1.c")), "a/b-1.c");
        assert_eq!(quoted(Path::new("my run")), "'my run'");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
        assert_eq!(quoted(Path::new("$x")), "'$x'");
    }
}
