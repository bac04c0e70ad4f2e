//! [`AdapterInfo`]: what an adapter's files say of it beside its method.

use std::fmt;

use burn::module::Module;
use serde_json::{Map, Value};

use super::base::digest;

/// Fields that say what an adapter is for or where it began, and not what it computes.
const DESCRIPTIVE: [&str; 8] = [
    "auto_mapping",
    "base_model_name_or_path",
    "prompt_tuning_init",
    "prompt_tuning_init_text",
    "revision",
    "task_type",
    "tokenizer_kwargs",
    "tokenizer_name_or_path",
];

/// What an adapter is for, as PEFT names it (`task_type`).
///
/// PEFT chooses by it the class that wraps the model. An adapter of weights works without; vectors
/// before a text are put there by that class alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskType {
    /// Continuing a text: `CAUSAL_LM`.
    CausalLm,
    /// The class of a text: `SEQ_CLS`.
    SequenceClassification,
    /// The class of each token: `TOKEN_CLS`.
    TokenClassification,
    /// Embeddings, or the states of any other model: `FEATURE_EXTRACTION`.
    FeatureExtraction,
}

impl TaskType {
    /// PEFT's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CausalLm => "CAUSAL_LM",
            Self::SequenceClassification => "SEQ_CLS",
            Self::TokenClassification => "TOKEN_CLS",
            Self::FeatureExtraction => "FEATURE_EXTRACTION",
        }
    }
}

impl fmt::Display for TaskType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an adapter's files say of it beside its method: what model it is of, and what it is for.
///
/// ```
/// use peft_store::{AdapterInfo, TaskType};
///
/// let about = AdapterInfo::new().with_base("my-model").with_task(TaskType::CausalLm);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdapterInfo {
    base: Option<String>,
    base_digest: Option<String>,
    task: Option<TaskType>,
    replaced: Vec<String>,
    /// The fields of the directory that it was read from.
    kept: Map<String, Value>,
}

impl AdapterInfo {
    /// Nothing beside the method.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that these fields say, of the directory that an adapter was read from.
    pub(crate) fn of_fields(kept: Map<String, Value>) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }

    /// What these fields say of the base and the task alone.
    pub(super) fn of_base(fields: &Map<String, Value>) -> Self {
        let of = |field: &&str| {
            fields
                .get(*field)
                .map(|value| ((*field).into(), value.clone()))
        };
        Self::of_fields(DESCRIPTIVE.iter().filter_map(of).collect())
    }

    /// The base model's name or path, as readers of the directory are to find it.
    #[must_use]
    pub fn with_base(self, name: impl Into<String>) -> Self {
        let base = Some(name.into());
        Self { base, ..self }
    }

    /// What the adapter is for.
    #[must_use]
    pub fn with_task(self, task: TaskType) -> Self {
        let task = Some(task);
        Self { task, ..self }
    }

    /// The paths of the base's weights that came out of the adapter's file, as
    /// [`AttachReport::replaced`](peft_core::AttachReport::replaced) names them: they are written
    /// with it again.
    #[must_use]
    pub fn with_replaced(self, replaced: Vec<String>) -> Self {
        Self { replaced, ..self }
    }

    /// The digest of the base under adapter `name` of `model`, which each save computes otherwise:
    /// for those who save often. What is replaced is said before.
    #[must_use]
    pub fn with_digest_of<M: Module>(self, model: &M, name: &str) -> Self {
        let base_digest = Some(digest(model, name, &self.replaced));
        Self {
            base_digest,
            ..self
        }
    }

    /// Whether the task is said, be it that there is none.
    pub(super) fn knows_task(&self) -> bool {
        self.task.is_some() || self.kept.contains_key("task_type")
    }

    /// The paths of the base's weights that are written.
    pub(super) fn replaced(&self) -> &[String] {
        &self.replaced
    }

    /// A field of the directory that the adapter was read from.
    pub(super) fn kept(&self, field: &str) -> Option<&Value> {
        self.kept.get(field)
    }

    /// The digest of the base under adapter `name` of `model`.
    pub(crate) fn base_digest<M: Module>(&self, model: &M, name: &str) -> String {
        match &self.base_digest {
            Some(digest) => digest.clone(),
            None => digest(model, name, &self.replaced),
        }
    }

    /// Add to the fields of a method what is told here; fields that nothing here writes, and those
    /// that only describe, are kept.
    pub(crate) fn complete(&self, written: &mut Map<String, Value>) {
        for (field, value) in &self.kept {
            if !written.contains_key(field) || DESCRIPTIVE.contains(&field.as_str()) {
                written.insert(field.clone(), value.clone());
            }
        }
        if let Some(base) = &self.base {
            written.insert("base_model_name_or_path".into(), base.clone().into());
        }
        if let Some(task) = self.task {
            written.insert("task_type".into(), task.name().into());
        }
        written.sort_keys();
    }
}
