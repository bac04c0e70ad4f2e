#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod batch;
mod classify;
mod data;
mod embed;
mod error;
mod eval;
mod generate;
mod loss;
mod objective;
mod padded_tokens;
mod store;
mod text_report;
mod tokenizer;
mod trainer;

pub use batch::{Batch, plan, plan_evaluation};
pub use classify::{
    ClassExample, ClassificationReport, ClassifierTask, EncodedClasses, EncodedTags, EntityReport,
    HeadDescription, LabelMeasures, LabelReport, LabelSet, ListReading, NumberReading, Prediction,
    ProblemType, RegressionReport, SequenceClassification, SequenceReport, TagExample, Target,
    TaskError, TextInput, TokenClassification, ToldReport, UnknownLabel, ValueReport, classify,
    encode_classes, encode_tags, labels_fit, tag_words, told_of_texts, told_of_words,
};
pub use data::{
    ColumnNames, Dataset, EncodeOptions, EncodedExamples, EncodedRow, Example, Instruction, Label,
    LabelName, Message, PromptTemplate, Prompts, Questions, Row, RowKind, RowOptions, TrainTurns,
    asked_tokens, conversation, encode, encode_row, pack, template_variables,
};
pub use embed::{Pool, embed};
pub use error::{BadRow, TrainError, WrongSetting};
pub use eval::{EvalReport, choose, evaluate};
pub use generate::{GenerateConfig, ReadText, TokenRules, generate, generate_all, generate_behind};
pub use loss::target_nll;
pub use objective::{
    Answered, BlockwiseLoss, NextToken, Objective, PackedNextToken, Question, Regularisation,
    Report, TrainExample, TrunkStates, digest_of,
};
pub use padded_tokens::PaddedTokens;
pub use peft_core::{AdapterSchedule, Digest};
pub use peft_data::{DataFileError, RowPlace};
pub use peft_layerwise::{AllTrainable, Length, Strategy};
pub use store::{ExampleStore, Examples};
pub use text_report::{TextReport, rouge_l};
pub use tokenizer::{
    AddTokensError, EncodeSpecial, Rendering, TextEncoding, TextStream, TextToken, TextTokenizer,
    WordEncoding, with_tokens,
};
pub use trainer::{
    Divergence, Evaluations, FoundState, LEAST, LostDevice, Observer, Optimizer, Progress, RunSeat,
    RunsAtOnce, Schedule, StateDir, StepReport, TrainConfig, TrainState, Trainer, TrunkCache,
    TrunkRefusal, TrunkReport, TrunkUse, Warmup, clip_global_norm, train,
};
