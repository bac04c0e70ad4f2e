//! Classifiers of texts and words.

mod golden;
mod labels;
mod run;
mod tiny;
