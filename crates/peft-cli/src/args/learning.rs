//! [`LearningArgs`]: how a run learns, and what it shows of that.

use clap::{Args, ValueEnum};
use peft_train::{Optimizer, Regularisation};
use serde::Serialize;

/// How a run learns, and what it shows of that.
#[derive(Args, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LearningArgs {
    /// How gradients become updates; adamw-8bit keeps AdamW's moments in a quarter of the memory;
    /// lion takes a fifth of the others' learning rate if --lr is not given
    #[arg(long, value_enum, default_value = "adamw")]
    pub(crate) optimizer: OptimizerArg,
    /// The share of the loss that is the mean over all tokens, or labels, rather than the right
    /// one's; in training alone
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) label_smoothing: f64,
    /// Noise of NEFTune on the embeddings, in training alone: 5 is usual for chats
    #[arg(long, value_name = "ALPHA", default_value_t = 0.0)]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) neftune_alpha: f64,
    /// The measure by which the best evaluation is kept and --patience waits: exact-match of text,
    /// rouge-l of generated answers, accuracy or macro-f1 of labels, pearson or spearman of values;
    /// the loss if not given
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eval_metric: Option<String>,
    /// Show the model's answers to so many validation rows at each evaluation, and keep them for
    /// `report`
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[serde(skip_serializing_if = "none")]
    pub(crate) samples: usize,
    /// Write the curves as TensorBoard reads them, into OUT/tensorboard
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tensorboard: bool,
    /// Keep nothing, but try rising learning rates, a step each, and say which one is good; on
    /// --max-steps steps, 100 if not given; --lr plays no part in it
    #[arg(long, conflicts_with_all = ["resume", "sweep", "runs"])]
    #[serde(skip)]
    pub(crate) lr_find: bool,
}

/// Whether a flag is as if it were not given.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn none(value: &usize) -> bool {
    *value == 0
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OptimizerArg {
    Adamw,
    #[value(name = "adamw-8bit")]
    #[serde(rename = "adamw-8bit")]
    Adamw8Bit,
    Lion,
    Adafactor,
    Muon,
}

impl OptimizerArg {
    /// Numbers in f32 that it keeps of each number that trains; Adafactor's rows and columns as
    /// they are beside factors of rank 8, and far fewer beside whole weights.
    pub(crate) fn moments(self) -> f64 {
        match self {
            Self::Adamw => 2.0,
            // Of each a byte, and of 256 a scale.
            Self::Adamw8Bit => 2.0 * (1.0 + 4.0 / 256.0) / 4.0,
            Self::Lion | Self::Muon => 1.0,
            Self::Adafactor => 0.125,
        }
    }

    /// The same of small tensors.
    pub(crate) fn small_moments(self) -> f64 {
        match self {
            Self::Adamw8Bit => Self::Adamw.moments(),
            Self::Adamw | Self::Lion | Self::Adafactor | Self::Muon => self.moments(),
        }
    }

    /// The trainer's.
    pub(crate) fn kind(self) -> Optimizer {
        match self {
            Self::Adamw => Optimizer::AdamW,
            Self::Adamw8Bit => Optimizer::AdamW8Bit,
            Self::Lion => Optimizer::Lion,
            Self::Adafactor => Optimizer::Adafactor,
            Self::Muon => Optimizer::Muon,
        }
    }
}

impl LearningArgs {
    /// What training alone does.
    pub(crate) fn regularisation(&self) -> Regularisation {
        Regularisation {
            label_smoothing: self.label_smoothing,
            noise_alpha: self.neftune_alpha,
        }
    }
}
