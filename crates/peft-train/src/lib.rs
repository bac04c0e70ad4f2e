//! Data, tokenisation, batching, training, evaluation and prediction.
//!
//! What requires gradients in a model trains, be that adapters or the whole of it. An [`Objective`] says what is minimised: [`NextToken`] for language models,
//! [`SequenceClassification`] and [`TokenClassification`] for classifiers. A [`Strategy`] may say what trains when: those of
//! `peft-layerwise`, or another. [`Trainer`] is the loop; with a [`TrunkCache`] it runs the frozen lower part of a model once for each row.
//!
//! # What is Burn's and what is not
//!
//! The optimizer, its records and gradient accumulation are `burn-optim`'s. The loop, the schedules, clipping and data loading are not: `burn-train`'s learner
//! averages gradients over batches and not over target tokens, so that batches of unequal targets would weigh wrongly; its clipping is per parameter and not
//! global; its schedulers keep state, where a function of the step resumes by itself; and `burn-dataset` brings a database to read lines of JSON.
//!
//! # What this crate does not do
//!
//! It reads and writes no checkpoints or adapters: `peft-store` does.
#![deny(missing_docs)]

mod batch;
mod classify;
mod data;
mod error;
mod eval;
mod generate;
mod loss;
mod objective;
mod padded;
mod tokenizer;
mod trainer;

pub use batch::{Batch, plan, plan_evaluation};
pub use classify::{
    ClassExample, ClassificationReport, EncodedClasses, EncodedTags, LabelSet, ListReading,
    NumberReading, Prediction, ProblemType, RegressionReport, SequenceClassification,
    SequenceReport, TagExample, Target, TokenClassification, UnknownLabel, classify,
    encode_classes, encode_tags, labels_fit, tag_words,
};
pub use data::{
    Dataset, EncodeOptions, Encoded, Example, LONGEST_ROW, Label, LabelName, Message, Row, RowKind,
    conversation, encode, pack, template_variables,
};
pub use error::{BadRow, TrainError, WrongSetting};
pub use eval::{EvalReport, choose, evaluate};
pub use generate::{GenerateConfig, TokenRules, generate};
pub use loss::target_nll;
pub use objective::{Cut, Digest, NextToken, Objective, Report, TrainExample, TrunkStates};
pub use padded::Padded;
pub use peft_layerwise::{AsGiven, Length, Strategy};
pub use tokenizer::{EncodeSpecial, Rendered, TextToken, TextTokenizer, WordEncoding};
pub use trainer::{
    Divergence, Evaluations, FoundState, Observer, Progress, Schedule, StateDir, StepReport,
    TrainConfig, TrainState, Trainer, TrunkCache, TrunkRefusal, TrunkReport, TrunkUse, Warmup,
    clip_global_norm, train,
};
