//! [`Task`]: the labels of a task, and what they are.

use peft_core::nearest;
use peft_store::{Checkpoint, HeadLabels, LabelSource, Labels, SavedAdapter};
use peft_train::{Dataset, LabelSet, ListReading, NumberReading, ProblemType, RowKind};

use crate::error::CliError;

/// The words of transformers for what labels are.
const PROBLEMS: [(ProblemType, &str); 3] = [
    (ProblemType::SingleLabel, "single_label_classification"),
    (ProblemType::MultiLabel, "multi_label_classification"),
    (ProblemType::Regression, "regression"),
];

/// How a file of labels calls the readings of numbers.
const NUMBERS: [(NumberReading, &str); 2] =
    [(NumberReading::Ids, "ids"), (NumberReading::Names, "names")];

/// The labels of a task, and what they are.
pub(in crate::commands) struct Task {
    pub(in crate::commands) problem: ProblemType,
    pub(in crate::commands) labels: LabelSet,
    pub(in crate::commands) of_tokens: bool,
    pub(super) source: LabelSource,
}

impl Task {
    /// By what is kept, for the rows of these files; none of them are there where texts are to be
    /// told.
    fn of_kept(
        kept: HeadLabels,
        checkpoint: &Checkpoint,
        files: &[&Dataset],
    ) -> Result<Self, CliError> {
        let n = kept.labels.names.len();
        let tagged = files.first().map(|rows| rows.kind() == RowKind::Tagged);
        let of_tokens = kept.of_tokens.or(tagged).unwrap_or(false);
        if tagged.is_some_and(|tagged| tagged != of_tokens) {
            let (has, are) = match of_tokens {
                true => ("tags words", "labelled texts"),
                false => ("labels texts", "tagged words"),
            };
            let fresh = match kept.source {
                LabelSource::Head(_) => "; train --new-head puts a fresh one in its place",
                LabelSource::Trained(_) | LabelSource::Rows => "",
            };
            return Err(CliError::Usage(format!(
                "{} {has}, but the rows are {are}{fresh}",
                kept.source
            )));
        }
        if let LabelSource::Head(dir) = &kept.source
            && files.iter().any(|rows| rows.names_labels())
            && let Some((name, id)) = kept.labels.disagreement(checkpoint.fields())?
        {
            return Err(CliError::Usage(format!(
                "config.json in {}: `label2id` gives `{name}` the id {id}, and `id2label` gives that id another name, so what the rows call `{name}` cannot be told; make both say the same",
                dir.display()
            )));
        }
        let problem = match (of_tokens, kept.labels.problem_type.as_deref()) {
            (true, _) => ProblemType::SingleLabel,
            // What transformers takes one output for, and several by their labels.
            (false, None) if n == 1 => ProblemType::Regression,
            (false, None) => match files.iter().any(|rows| rows.has_lists()) {
                true => ProblemType::MultiLabel,
                false => ProblemType::SingleLabel,
            },
            (false, Some(named)) => of_name(named, n, &kept.source)?,
        };
        let labels = LabelSet::new(kept.labels.names)
            .map_err(|error| CliError::Usage(format!("{}: {error}", kept.source)))?;
        let labels = match kept.labels.numbers.as_deref() {
            None => labels,
            Some(named) => {
                let found = NUMBERS.iter().find(|(_, name)| *name == named);
                let (numbers, _) = found.ok_or_else(|| {
                    CliError::Usage(format!(
                        "{}: numbers are read as `{named}`, which is neither `ids` nor `names`",
                        kept.source
                    ))
                })?;
                labels.with_numbers(*numbers)
            }
        };
        let labels = labels.settled(files)?;
        Ok(Self {
            problem,
            labels,
            of_tokens,
            source: kept.source,
        })
    }

    /// Of a run: the labels of what it begins with, or those of the rows for a fresh head.
    pub(in crate::commands) fn of_run(
        checkpoint: &Checkpoint,
        begins: Option<HeadLabels>,
        files: &[&Dataset],
        new_head: bool,
    ) -> Result<Self, CliError> {
        let kept = match (begins, new_head) {
            (Some(kept), _) => Some(kept),
            (None, true) => None,
            (None, false) => HeadLabels::of_checkpoint(checkpoint)?,
        };
        if let Some(kept) = kept {
            return Self::of_kept(kept, checkpoint, files);
        }
        let Some(rows) = files.first() else {
            return Err(CliError::Usage("there are no rows".into()));
        };
        let of_tokens = rows.kind() == RowKind::Tagged;
        let problem = match of_tokens {
            true => ProblemType::SingleLabel,
            false => ProblemType::of(rows),
        };
        let labels = match problem {
            ProblemType::Regression => LabelSet::new(vec!["value".into()])?,
            ProblemType::SingleLabel | ProblemType::MultiLabel => LabelSet::of(rows)?,
        };
        if let (ProblemType::SingleLabel, [name]) = (problem, labels.names()) {
            return Err(CliError::Usage(format!(
                "{}: the only label is `{name}`; with one class there is nothing to tell apart, and the loss is 0 from the start",
                rows.path().display()
            )));
        }
        Ok(Self {
            problem,
            labels,
            of_tokens,
            source: LabelSource::Rows,
        })
    }

    /// Of a trained model.
    pub(super) fn of_model(
        checkpoint: &Checkpoint,
        saved: Option<&SavedAdapter>,
        dataset: &Dataset,
    ) -> Result<Self, CliError> {
        match HeadLabels::of_model(checkpoint, saved)? {
            Some(kept) => Self::of_kept(kept, checkpoint, &[dataset]),
            None => Err(CliError::Usage(format!(
                "{} has no labels: neither a head beside the adapter nor one in the model; train a head first",
                checkpoint.dir().display()
            ))),
        }
    }

    /// Of a trained model, to tell new texts; none where nothing has a head.
    pub(in crate::commands) fn to_tell(
        checkpoint: &Checkpoint,
        saved: Option<&SavedAdapter>,
    ) -> Result<Option<Self>, CliError> {
        let kept = HeadLabels::of_model(checkpoint, saved)?;
        kept.map(|kept| Self::of_kept(kept, checkpoint, &[]))
            .transpose()
    }

    /// Whether the head is a fresh one for the labels of the rows.
    pub(in crate::commands) fn is_fresh(&self) -> bool {
        self.source == LabelSource::Rows
    }

    /// As they are kept. How numbers are read is kept where it could be asked again.
    pub(in crate::commands) fn kept(&self) -> Labels {
        let name = PROBLEMS
            .iter()
            .find(|(problem, _)| *problem == self.problem);
        let numbers = self.labels.settled_numbers();
        let numbers = NUMBERS.iter().find(|(of, _)| Some(*of) == numbers);
        Labels {
            names: self.labels.names().to_vec(),
            problem_type: name.map(|(_, name)| (*name).to_owned()),
            numbers: numbers.map(|(_, name)| (*name).to_owned()),
        }
    }

    /// What the task is, in a line.
    pub(in crate::commands) fn describe(&self) -> String {
        let what = match (self.of_tokens, self.problem) {
            (false, ProblemType::Regression) => {
                return format!("a value for each text, as {} has it", self.source);
            }
            (true, _) => "one for each word",
            (false, ProblemType::SingleLabel) => "one for each text",
            (false, ProblemType::MultiLabel) => "any number of them for each text",
        };
        let lists = self.labels.lists();
        let numbers = match self.labels.numbers() {
            _ if lists == ListReading::Each => "0 or 1 for each label".into(),
            NumberReading::Ids => format!("ids: 0 is `{}`", self.labels.name(0)),
            NumberReading::Names => "names".into(),
        };
        format!(
            "{} labels of {} ({}), {what}; numbers are read as {numbers}",
            self.labels.len(),
            self.source,
            self.labels.shown()
        )
    }
}

/// A problem by its name, which must be one of a head with `n` outputs.
fn of_name(named: &str, n: usize, source: &LabelSource) -> Result<ProblemType, CliError> {
    let known = PROBLEMS.iter().find(|(_, name)| *name == named);
    let Some((problem, _)) = known else {
        let names = PROBLEMS.map(|(_, name)| name.to_owned());
        let near = nearest(named, &names).unwrap_or_else(|| names.join(", "));
        return Err(CliError::Usage(format!(
            "`problem_type` of {source} is `{named}`, which is none; did you mean {near}?"
        )));
    };
    let expected = match problem {
        ProblemType::Regression if n != 1 => "one output",
        ProblemType::SingleLabel if n < 2 => "two outputs or more",
        _ => return Ok(*problem),
    };
    Err(CliError::Usage(format!(
        "`problem_type` of {source} is `{named}`, which takes {expected}, but there are {n}; train --new-head puts a fresh head in its place"
    )))
}
