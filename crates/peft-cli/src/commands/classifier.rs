//! Classifiers of texts and of words: labels, problem types, and models with their heads.

use std::fmt;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_core::{Transformer, nearest};
use peft_store::{Checkpoint, CheckpointConfig, Headed, Labels};
use peft_train::{
    ClassExample, Dataset, LabelSet, NumberReading, ProblemType, RowKind, TagExample, Target,
    TextTokenizer, TrainError, encode_classes, encode_tags, labels_fit,
};
use serde_json::{Value, json};

use super::adapted::{Adapted, Saved, bare};
use super::tokenizer::tokenizer;
use crate::args::EvalArgs;
use crate::device::placed;
use crate::error::CliError;
use crate::say::say;

/// The words of transformers for what labels are.
const PROBLEMS: [(ProblemType, &str); 3] = [
    (ProblemType::SingleLabel, "single_label_classification"),
    (ProblemType::MultiLabel, "multi_label_classification"),
    (ProblemType::Regression, "regression"),
];

/// What the names of classes with a head end in.
const TEXT_HEAD: &str = "ForSequenceClassification";
const TOKEN_HEAD: &str = "ForTokenClassification";

/// How a file of labels calls the readings of numbers.
const NUMBERS: [(NumberReading, &str); 2] =
    [(NumberReading::Ids, "ids"), (NumberReading::Names, "names")];

/// Where labels come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The rows that a run trains on, for a fresh head.
    Rows,
    /// The head of a checkpoint.
    Head(PathBuf),
    /// What was trained before.
    Trained(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("the training rows"),
            Self::Head(dir) => write!(f, "the head in {}", dir.display()),
            Self::Trained(dir) => write!(f, "{}", dir.display()),
        }
    }
}

/// The labels of a head that there is.
pub(super) struct Kept {
    pub(super) labels: Labels,
    /// Whether it is of tokens; none where nothing says it.
    pub(super) of_tokens: Option<bool>,
    source: Source,
}

impl Kept {
    /// Those of the head in a checkpoint's files, if it has one.
    pub(super) fn of_head(checkpoint: &Checkpoint) -> Result<Option<Self>, CliError> {
        if !matches!(checkpoint.config(), CheckpointConfig::Encoder(_)) {
            return Ok(None);
        }
        let dir = checkpoint.dir();
        let outputs = checkpoint.outputs()?;
        let of_tokens = match head_class(checkpoint) {
            Some(class) if class.ends_with(TEXT_HEAD) => Some(false),
            Some(class) if class.ends_with(TOKEN_HEAD) => Some(true),
            None if outputs.is_some() => None,
            Some(class) if outputs.is_some() => {
                return Err(CliError::Usage(format!(
                    "{} has the head of a {class}, which tells no labels; train --new-head puts a fresh one in its place",
                    dir.display()
                )));
            }
            _ => return Ok(None),
        };
        let labels = Labels::of_config(checkpoint.fields(), outputs)?;
        Ok(labels.map(|labels| Self {
            labels,
            of_tokens,
            source: Source::Head(dir.into()),
        }))
    }

    /// Those of what was trained: kept beside it, or else as many as its head has outputs; of the checkpoint's head where it has none of its own.
    pub(super) fn of_trained(
        checkpoint: &Checkpoint,
        dir: &Path,
    ) -> Result<Option<Self>, CliError> {
        let saved = Saved::open(dir)?;
        let of_tokens = match saved.task_type() {
            Some("FEATURE_EXTRACTION") => return Ok(None),
            Some("TOKEN_CLS") => Some(true),
            Some("SEQ_CLS") => Some(false),
            _ => None,
        };
        let (beside, outputs) = (Labels::read(dir)?, saved.outputs()?);
        if let (Some(labels), Some(outputs)) = (&beside, outputs)
            && labels.names.len() != outputs
        {
            return Err(CliError::Usage(format!(
                "labels.json in {} names {} labels, but the head beside it has {outputs} outputs",
                dir.display(),
                labels.names.len()
            )));
        }
        let labels = match (beside, outputs) {
            (Some(labels), _) => labels,
            (None, outputs) => {
                let head = Self::of_head(checkpoint);
                match outputs {
                    None => {
                        return Ok(head?.map(|head| Self {
                            of_tokens: of_tokens.or(head.of_tokens),
                            ..head
                        }));
                    }
                    // The base's own names, where it has as many; its head is not read.
                    Some(outputs) => match head.ok().flatten() {
                        Some(head) if head.labels.names.len() == outputs => head.labels,
                        _ => Labels {
                            names: Labels::unnamed(outputs),
                            problem_type: None,
                            numbers: None,
                        },
                    },
                }
            }
        };
        Ok(Some(Self {
            labels,
            of_tokens,
            source: Source::Trained(dir.into()),
        }))
    }

    /// Those of a model, with its adapter if there is one.
    pub(super) fn of_model(
        checkpoint: &Checkpoint,
        adapter: Option<&Path>,
    ) -> Result<Option<Self>, CliError> {
        match adapter {
            Some(dir) => Self::of_trained(checkpoint, dir),
            None => Self::of_head(checkpoint),
        }
    }
}

/// The checkpoint without its head, where what was trained has one of its own.
pub(super) fn without_head(
    checkpoint: Checkpoint,
    adapter: Option<&Path>,
) -> Result<Checkpoint, CliError> {
    let outputs = adapter.map(|dir| Saved::open(dir)?.outputs()).transpose()?;
    Ok(match outputs.flatten() {
        Some(_) => checkpoint.with_new_head(),
        None => checkpoint,
    })
}

/// The labels of a task, and what they are.
pub(super) struct Task {
    pub(super) problem: ProblemType,
    pub(super) labels: LabelSet,
    pub(super) of_tokens: bool,
    source: Source,
}

impl Task {
    /// By what is kept, for the rows of these files; none of them are there where texts are to be told.
    fn of_kept(kept: Kept, checkpoint: &Checkpoint, files: &[&Dataset]) -> Result<Self, CliError> {
        let n = kept.labels.names.len();
        let tagged = files.first().map(|rows| rows.kind() == RowKind::Tagged);
        let of_tokens = kept.of_tokens.or(tagged).unwrap_or(false);
        if tagged.is_some_and(|tagged| tagged != of_tokens) {
            let (has, are) = match of_tokens {
                true => ("tags words", "labelled texts"),
                false => ("labels texts", "tagged words"),
            };
            let fresh = match kept.source {
                Source::Head(_) => "; train --new-head puts a fresh one in its place",
                Source::Trained(_) | Source::Rows => "",
            };
            return Err(CliError::Usage(format!(
                "{} {has}, but the rows are {are}{fresh}",
                kept.source
            )));
        }
        if let Source::Head(dir) = &kept.source
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
        let labels = LabelSet::new(kept.labels.names)?;
        let labels = match kept.labels.numbers.as_deref() {
            None => labels.settled(files)?,
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
        Ok(Self {
            problem,
            labels,
            of_tokens,
            source: kept.source,
        })
    }

    /// Of a run: the labels of what it begins with, or those of the rows for a fresh head.
    pub(super) fn of_run(
        checkpoint: &Checkpoint,
        begins: Option<Kept>,
        files: &[&Dataset],
        new_head: bool,
    ) -> Result<Self, CliError> {
        let kept = match (begins, new_head) {
            (Some(kept), _) => Some(kept),
            (None, true) => None,
            (None, false) => Kept::of_head(checkpoint)?,
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
            source: Source::Rows,
        })
    }

    /// Of a trained model.
    fn of_model(
        checkpoint: &Checkpoint,
        adapter: Option<&Path>,
        dataset: &Dataset,
    ) -> Result<Self, CliError> {
        match Kept::of_model(checkpoint, adapter)? {
            Some(kept) => Self::of_kept(kept, checkpoint, &[dataset]),
            None => Err(CliError::Usage(format!(
                "{} has no labels: neither a head beside the adapter nor one in the model; train a head first",
                checkpoint.dir().display()
            ))),
        }
    }

    /// Of a trained model, to tell new texts; none where nothing has a head.
    pub(super) fn to_tell(
        checkpoint: &Checkpoint,
        adapter: Option<&Path>,
    ) -> Result<Option<Self>, CliError> {
        let kept = Kept::of_model(checkpoint, adapter)?;
        kept.map(|kept| Self::of_kept(kept, checkpoint, &[]))
            .transpose()
    }

    /// Whether the head is a fresh one for the labels of the rows.
    pub(super) fn is_fresh(&self) -> bool {
        self.source == Source::Rows
    }

    /// As they are kept. How numbers are read is kept where it could be asked again.
    pub(super) fn kept(&self) -> Labels {
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
    pub(super) fn describe(&self) -> String {
        let what = match (self.of_tokens, self.problem) {
            (false, ProblemType::Regression) => {
                return format!("a value for each text, as {} has it", self.source);
            }
            (true, _) => "one for each word",
            (false, ProblemType::SingleLabel) => "one for each text",
            (false, ProblemType::MultiLabel) => "any number of them for each text",
        };
        let numbers = match self.labels.numbers() {
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

    /// An error of rows, with where the labels come from where it is they that do not fit.
    fn explained(&self, error: TrainError, rows: &Dataset) -> CliError {
        let of_labels = matches!(error, TrainError::Rows { .. })
            && !labels_fit(rows, self.problem, &self.labels);
        match (of_labels, &self.source) {
            (false, _) => error.into(),
            (true, Source::Head(_)) => CliError::Usage(format!(
                "{error}\n  the labels are those of {}; train --new-head puts a fresh one in its place, for the labels of the rows",
                self.source
            )),
            (true, Source::Rows | Source::Trained(_)) => CliError::Usage(format!(
                "{error}\n  the labels are those of {}",
                self.source
            )),
        }
    }

    pub(super) fn texts(
        &self,
        rows: &Dataset,
        tokenizer: &TextTokenizer,
        max_length: usize,
        vocab_size: usize,
    ) -> Result<Vec<ClassExample>, CliError> {
        let set = encode_classes(
            rows,
            tokenizer,
            self.problem,
            &self.labels,
            max_length,
            vocab_size,
        )
        .map_err(|error| self.explained(error, rows))?;
        say!(
            "{} labelled texts, {} cut",
            set.examples.len(),
            set.truncated
        );
        if let (Some(target), true) = (set.only_target(), set.examples.len() > 1) {
            self.warn_of_one(rows, &self.shown(target));
        }
        Ok(set.examples)
    }

    pub(super) fn tags(
        &self,
        rows: &Dataset,
        tokenizer: &TextTokenizer,
        max_length: usize,
        vocab_size: usize,
    ) -> Result<Vec<TagExample>, CliError> {
        let set = encode_tags(rows, tokenizer, &self.labels, max_length, vocab_size)
            .map_err(|error| self.explained(error, rows))?;
        say!(
            "{} tagged texts, {} cut, {} left out for having no tag",
            set.examples.len(),
            set.truncated,
            set.dropped
        );
        if let (Some(tag), true) = (set.only_tag(), set.examples.len() > 1) {
            self.warn_of_one(rows, &self.shown(&Target::Class(tag)));
        }
        Ok(set.examples)
    }

    fn warn_of_one(&self, rows: &Dataset, target: &str) {
        say!(
            "warning: all rows of {} have {target}: what is told of them says nothing of other texts, and a model that is trained on them alone says it of every text",
            rows.path().display()
        );
    }

    fn shown(&self, target: &Target) -> String {
        match target {
            Target::Class(id) => format!("the label `{}`", self.labels.name(*id)),
            Target::Value(value) => format!("the value {value}"),
            Target::Classes(applies) => {
                let names = self.labels.names().iter().zip(applies);
                let names: Vec<&str> = names
                    .filter(|(_, on)| **on)
                    .map(|(name, _)| name.as_str())
                    .collect();
                format!("the labels [{}]", names.join(", "))
            }
        }
    }
}

/// A problem by its name, which must be one of a head with `n` outputs.
fn of_name(named: &str, n: usize, source: &Source) -> Result<ProblemType, CliError> {
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

/// The class of transformers that a checkpoint is of.
fn head_class(checkpoint: &Checkpoint) -> Option<&str> {
    let classes = checkpoint.fields().get("architectures")?.as_array()?;
    classes.first()?.as_str()
}

/// A model with its adapter, ready to be evaluated.
pub(super) fn adapted<M: Transformer>(
    Headed { model, fresh }: Headed<M>,
    adapter: Option<&Path>,
    checkpoint: &Checkpoint,
) -> Result<Adapted<M>, CliError> {
    let mut model = bare(model);
    match adapter {
        Some(dir) => {
            let whole = Saved::open(dir)?.attach(&mut model)?;
            let missing = fresh.iter().find(|module| {
                let within = format!("{module}.");
                let held = |path: &String| {
                    path.starts_with(&within) || path.contains(&format!(".{within}"))
                };
                !whole.iter().any(held)
            });
            if let Some(module) = missing {
                return Err(CliError::Usage(format!(
                    "neither {} nor {} has the weights of `{module}`",
                    checkpoint.dir().display(),
                    dir.display()
                )));
            }
        }
        None => {
            if let Some(module) = fresh.first() {
                return Err(CliError::Usage(format!(
                    "{} has no weights of `{module}`; give the adapter that was trained with it",
                    checkpoint.dir().display()
                )));
            }
        }
    }
    Ok(model.valid())
}

/// The positions that an adapter leaves for a text.
pub(super) fn positions(
    checkpoint: &Checkpoint,
    adapter: Option<&Path>,
) -> Result<usize, CliError> {
    let all = checkpoint.config().max_positions();
    let Some(dir) = adapter else {
        return Ok(all);
    };
    let taken = Saved::open(dir)?.virtual_tokens();
    let left = all.checked_sub(taken).filter(|left| *left > 0);
    left.ok_or_else(|| {
        CliError::Usage(format!(
            "{} takes {taken} positions, but the model has {all} in all",
            dir.display()
        ))
    })
}

/// What `peft eval` finds on labelled rows.
pub(super) fn report(args: &EvalArgs, dataset: &Dataset) -> Result<Value, CliError> {
    let checkpoint = super::opened(&args.model)?;
    let (device, dtype): (Device, DType) = placed(&args.model)?;
    checkpoint.encoder_config()?;
    let adapter = args.adapter.as_deref();
    let (tokenizer, _) = tokenizer(&checkpoint, adapter)?;
    let task = Task::of_model(&checkpoint, adapter, dataset)?;
    say!("{}", task.describe());
    let checkpoint = without_head(checkpoint, adapter)?;
    let longest = positions(&checkpoint, adapter)?;
    let max_length = args.max_length.unwrap_or(longest).min(longest);
    let (vocab, n) = (checkpoint.config().vocab_size(), task.labels.len());
    Ok(match dataset.kind() {
        RowKind::Tagged => {
            let rows = task.tags(dataset, &tokenizer, max_length, vocab)?;
            let loaded = checkpoint.load_tagger(n, &device, dtype)?;
            let model = adapted(loaded, adapter, &checkpoint)?;
            let objective = peft_train::TokenClassification;
            json!(peft_train::Objective::evaluate(
                &objective,
                &model,
                &rows,
                args.batch_size
            ))
        }
        _ => {
            let rows = task.texts(dataset, &tokenizer, max_length, vocab)?;
            let loaded = checkpoint.load_classifier(n, &device, dtype)?;
            let model = adapted(loaded, adapter, &checkpoint)?;
            let objective = peft_train::SequenceClassification {
                problem: task.problem,
            };
            json!(peft_train::Objective::evaluate(
                &objective,
                &model,
                &rows,
                args.batch_size
            ))
        }
    })
}
