//! Classifiers of texts and words.

mod golden;
mod labels;
mod pairs;
mod run;
mod tiny;
