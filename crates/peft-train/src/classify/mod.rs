//! Classifiers of texts and of words: their rows, objectives, measures and predictions.

mod class_example;
mod classification_report;
mod fit;
mod label_set;
mod list_reading;
mod measures;
mod number_reading;
mod predict;
mod prediction;
mod problem;
mod regression_report;
mod sequence;
mod sequence_report;
mod tag_example;
mod target;
mod task;
mod token;
mod unknown_label;
mod wrong_label;

pub use class_example::{ClassExample, EncodedClasses, encode_classes};
pub use classification_report::ClassificationReport;
pub use fit::labels_fit;
pub use label_set::LabelSet;
pub use list_reading::ListReading;
pub use number_reading::NumberReading;
pub use predict::{classify, tag_words};
pub use prediction::Prediction;
pub use problem::ProblemType;
pub use regression_report::RegressionReport;
pub use sequence::SequenceClassification;
pub use sequence_report::SequenceReport;
pub use tag_example::{EncodedTags, TagExample, encode_tags};
pub use target::Target;
pub use task::{ClassifierTask, HeadDescription, TaskError};
pub use token::TokenClassification;
pub use unknown_label::UnknownLabel;
