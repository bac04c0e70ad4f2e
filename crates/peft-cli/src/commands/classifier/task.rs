//! [`Task`]: the labels of a task, and where they are from.

use peft_store::{Checkpoint, CheckpointError, HeadLabels, LabelSource, Labels, SavedAdapter};
use peft_train::{
    ClassifierTask, Dataset, HeadDescription, ListReading, NumberReading, ProblemType, TaskError,
};

use crate::error::CliError;

/// Whether a label of these files is a string.
fn any_names_labels(files: &[&Dataset]) -> Result<bool, CliError> {
    for rows in files {
        if rows.names_labels()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The labels of a task, what they are, and where they are from.
pub(in crate::commands) struct Task {
    pub(in crate::commands) of: ClassifierTask,
    pub(super) source: LabelSource,
}

/// An error for a decoder, which tells no labels, with what the rows are.
pub(in crate::commands) fn check_encoder(
    checkpoint: &Checkpoint,
    rows: &Dataset,
) -> Result<(), CliError> {
    match checkpoint.encoder_config() {
        Ok(_) => Ok(()),
        Err(error @ CheckpointError::WrongKind { .. }) => Err(CliError::Usage(format!(
            "{error}: {} has {} rows",
            rows.name(),
            rows.kind().keys()
        ))),
        Err(other) => Err(other.into()),
    }
}

impl Task {
    /// That of a head, for the rows of these files; none of them are there where texts are to be
    /// told.
    fn of_head(
        head: HeadLabels,
        checkpoint: &Checkpoint,
        files: &[&Dataset],
    ) -> Result<Self, CliError> {
        if let LabelSource::Head(dir) = &head.source
            && any_names_labels(files)?
            && let Some((name, id)) = head.labels.disagreement(checkpoint.fields())?
        {
            return Err(CliError::Usage(format!(
                "config.json in {}: `label2id` gives `{name}` the id {id}, and `id2label` gives that id another name, so what the rows call `{name}` cannot be told; make both say the same",
                dir.display()
            )));
        }
        let source = head.source;
        let description = HeadDescription {
            names: head.labels.names,
            problem_type: head.labels.problem_type,
            numbers: head.labels.numbers,
            of_tokens: head.of_tokens,
            source: source.to_string(),
        };
        let of = ClassifierTask::of_head(description, files);
        let of = of.map_err(|error| match (error, &source) {
            (error @ TaskError::OtherRows { .. }, LabelSource::Head(_)) => CliError::Usage(
                format!("{error}; train --new-head puts a fresh one in its place"),
            ),
            (error, _) => error.into(),
        })?;
        Ok(Self { of, source })
    }

    /// Of a run: the labels of what it begins with, or those of the rows for a fresh head.
    pub(in crate::commands) fn of_run(
        checkpoint: &Checkpoint,
        begins: Option<HeadLabels>,
        files: &[&Dataset],
        new_head: bool,
    ) -> Result<Self, CliError> {
        let head = match (begins, new_head) {
            (Some(head), _) => Some(head),
            (None, true) => None,
            (None, false) => HeadLabels::of_checkpoint(checkpoint)?,
        };
        match head {
            Some(head) => Self::of_head(head, checkpoint, files),
            None => Ok(Self {
                of: ClassifierTask::of_rows(files)?,
                source: LabelSource::Rows,
            }),
        }
    }

    /// Of a trained model.
    pub(in crate::commands) fn of_model(
        checkpoint: &Checkpoint,
        saved: Option<&SavedAdapter>,
        dataset: &Dataset,
    ) -> Result<Self, CliError> {
        match HeadLabels::of_model(checkpoint, saved)? {
            Some(head) => Self::of_head(head, checkpoint, &[dataset]),
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
        let head = HeadLabels::of_model(checkpoint, saved)?;
        head.map(|head| Self::of_head(head, checkpoint, &[]))
            .transpose()
    }

    /// Whether the head is a fresh one for the labels of the rows.
    pub(in crate::commands) fn is_fresh(&self) -> bool {
        self.source == LabelSource::Rows
    }

    /// The labels as files keep them.
    pub(in crate::commands) fn labels(&self) -> Labels {
        Labels {
            names: self.of.labels.names().to_vec(),
            problem_type: self.of.problem_type().map(str::to_owned),
            numbers: self.of.numbers().map(str::to_owned),
        }
    }

    /// What the task is, in a line.
    pub(in crate::commands) fn describe(&self) -> String {
        let labels = &self.of.labels;
        let what = match (self.of.of_tokens, self.of.problem) {
            (false, ProblemType::Regression) => {
                return format!("a value for each text, as {} has it", self.source);
            }
            (true, _) => "one for each word",
            (false, ProblemType::SingleLabel) => "one for each text",
            (false, ProblemType::MultiLabel) => "any number of them for each text",
        };
        let numbers = match (labels.lists(), labels.numbers()) {
            (ListReading::Each, _) => "0 or 1 for each label".into(),
            (ListReading::Named, NumberReading::Ids) => format!("ids: 0 is `{}`", labels.name(0)),
            (ListReading::Named, NumberReading::Names) => "names".into(),
        };
        format!(
            "{} labels of {} ({}), {what}; numbers are read as {numbers}",
            labels.len(),
            self.source,
            labels.shown()
        )
    }
}
