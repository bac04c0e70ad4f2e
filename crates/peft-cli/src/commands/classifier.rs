//! Classifiers of texts and of words: labels, problem types, and models with their heads.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_core::Transformer;
use peft_store::{Checkpoint, Headed, Labels};
use peft_train::{
    ClassExample, Dataset, LabelSet, ProblemType, RowKind, TagExample, TextTokenizer,
    encode_classes, encode_tags,
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

/// The labels of a task, and what they are.
pub(super) struct Task {
    pub(super) problem: ProblemType,
    pub(super) labels: LabelSet,
}

impl Task {
    /// By what is kept beside an adapter or in a config; `default` is what labels are that do not say it.
    fn new(
        labels: Labels,
        default: impl FnOnce(&[String]) -> ProblemType,
    ) -> Result<Self, CliError> {
        let named = labels.problem_type.as_deref();
        let problem = PROBLEMS.iter().find(|(_, name)| named == Some(*name));
        Ok(Self {
            problem: problem.map_or_else(|| default(&labels.names), |(problem, _)| *problem),
            labels: LabelSet::new(labels.names)?,
        })
    }

    /// Of a run: the checkpoint's labels where it has a head for them, or else those of the rows.
    pub(super) fn of_rows(checkpoint: &Checkpoint, dataset: &Dataset) -> Result<Self, CliError> {
        if let Some(labels) = head_labels(checkpoint) {
            return Self::new(labels, |_| ProblemType::of(dataset));
        }
        let problem = match dataset.kind() {
            RowKind::Tagged => ProblemType::SingleLabel,
            _ => ProblemType::of(dataset),
        };
        let labels = match problem {
            ProblemType::Regression => LabelSet::new(vec!["value".into()])?,
            _ => LabelSet::of(dataset)?,
        };
        Ok(Self { problem, labels })
    }

    /// Of a trained model: what is beside its adapter, or in its config.
    fn of_model(
        checkpoint: &Checkpoint,
        adapter: Option<&Path>,
        dataset: &Dataset,
    ) -> Result<Self, CliError> {
        let kept = adapter.map(Labels::read).transpose()?.flatten();
        match kept.or_else(|| head_labels(checkpoint)) {
            Some(labels) => Self::new(labels, |_| ProblemType::of(dataset)),
            None => Err(CliError::Usage(format!(
                "{} has no labels: neither a labels.json beside the adapter nor a head with `id2label`; train a head first",
                checkpoint.dir().display()
            ))),
        }
    }

    /// Of a trained model and whether it is of tokens; none where nothing has a head.
    pub(super) fn kept_with(
        checkpoint: &Checkpoint,
        adapter: Option<&Path>,
    ) -> Result<Option<(Self, bool)>, CliError> {
        let kept = adapter.map(Labels::read).transpose()?.flatten();
        let of_tokens = match (adapter, &kept) {
            (Some(dir), Some(_)) => Saved::open(dir)?.task_type() == Some("TOKEN_CLS"),
            _ => head_class(checkpoint).is_some_and(|class| class.ends_with(TOKEN_HEAD)),
        };
        let Some(labels) = kept.or_else(|| head_labels(checkpoint)) else {
            return Ok(None);
        };
        // What transformers takes one output for.
        let task = Self::new(labels, |names| match names.len() {
            1 => ProblemType::Regression,
            _ => ProblemType::SingleLabel,
        })?;
        Ok(Some((task, of_tokens)))
    }

    /// As they are kept.
    pub(super) fn kept(&self) -> Labels {
        let name = PROBLEMS
            .iter()
            .find(|(problem, _)| *problem == self.problem);
        Labels {
            names: self.labels.names().to_vec(),
            problem_type: name.map(|(_, name)| (*name).to_owned()),
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
        )?;
        say!(
            "{} labelled texts, {} cut",
            set.examples.len(),
            set.truncated
        );
        Ok(set.examples)
    }

    pub(super) fn tags(
        &self,
        rows: &Dataset,
        tokenizer: &TextTokenizer,
        max_length: usize,
        vocab_size: usize,
    ) -> Result<Vec<TagExample>, CliError> {
        let set = encode_tags(rows, tokenizer, &self.labels, max_length, vocab_size)?;
        say!(
            "{} tagged texts, {} cut, {} left out for having no tag",
            set.examples.len(),
            set.truncated,
            set.dropped
        );
        Ok(set.examples)
    }
}

/// The labels of a checkpoint that was saved with a head for them.
fn head_labels(checkpoint: &Checkpoint) -> Option<Labels> {
    let class = head_class(checkpoint)?;
    let headed = class.ends_with(TEXT_HEAD) || class.ends_with(TOKEN_HEAD);
    headed.then(|| Labels::of_config(checkpoint.fields()))?
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
    let taken = match adapter {
        Some(dir) => Saved::open(dir)?.virtual_tokens(),
        None => 0,
    };
    Ok(checkpoint.config().max_positions().saturating_sub(taken))
}

/// What `peft eval` finds on labelled rows.
pub(super) fn report(args: &EvalArgs, dataset: &Dataset) -> Result<Value, CliError> {
    let checkpoint = Checkpoint::open(&args.model.model)?;
    let (device, dtype): (Device, DType) = placed(&args.model)?;
    checkpoint.encoder_config()?;
    let adapter = args.adapter.as_deref();
    let (tokenizer, _) = tokenizer(&checkpoint, adapter)?;
    let task = Task::of_model(&checkpoint, adapter, dataset)?;
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
