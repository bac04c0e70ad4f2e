//! Where a model is and how it runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use peft_kernels::PackedFormat;
use peft_store::Quantise;
use serde::Serialize;

use super::Method;

/// What linear layers are held in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HoldArg {
    /// Four bits, those of a normal distribution, and a scale for 64: bitsandbytes' nf4
    #[value(alias = "4")]
    Nf4,
    /// The same with scales in eight bits, 4.13 bits a value for 4.5: bitsandbytes' double
    /// quantisation
    Nf4Double,
    /// Eight bits and a scale for 32: ggml's q8_0
    #[value(alias = "8")]
    Q8,
    /// Dense
    None,
}

impl HoldArg {
    /// What a checkpoint is told.
    pub(crate) fn of(given: Option<Self>) -> Quantise {
        match given {
            Some(Self::Nf4) => Quantise::To(PackedFormat::Nf4),
            Some(Self::Nf4Double) => Quantise::To(PackedFormat::Nf4Double),
            Some(Self::Q8) => Quantise::To(PackedFormat::Q8_0),
            Some(Self::None) => Quantise::Dense,
            None => Quantise::AsStored,
        }
    }

    /// Whether linear layers are in blocks.
    pub(crate) fn is_packed(self) -> bool {
        self != Self::None
    }

    /// As it is given.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nf4 => "nf4",
            Self::Nf4Double => "nf4-double",
            Self::Q8 => "q8",
            Self::None => "none",
        }
    }
}

impl Method {
    /// Whether it trains the weights of linear layers themselves, as far as it is known without a
    /// model.
    pub(crate) fn trains_linear_layers(self) -> bool {
        const OTHERS: [Method; 4] = [
            Method::Head,
            Method::Bitfit,
            Method::Norms,
            Method::Matching,
        ];
        self.is_layerwise() && !OTHERS.contains(&self)
    }
}

/// Where a model is and how it runs.
#[derive(Args, Clone, Serialize)]
pub(crate) struct ModelArgs {
    /// Checkpoint directory: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Directory whose tokenizer.json, and chat template if it has one, is used instead of the
    /// model's own
    #[arg(long, value_name = "DIR")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// flex, ndarray, cuda or cuda:N, as far as built in; remote:ws://HOST:PORT for the first
    /// device of a `peft worker`, remote:ws://HOST:PORT/1 for its second. Of several, as in
    /// cuda:0,cuda:1, each computes its share of every batch, in `train`; the first also sums,
    /// updates and evaluates. With --split-model each holds its share of the blocks
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
    /// Divide the model's blocks among the devices, in their order and by their size, in place of
    /// the rows: for a model that one device does not hold. The first also holds what is in no
    /// block, as the embedding
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) split_model: bool,
    /// File with the token that workers ask for; that of the variable PEFT_WORKER_TOKEN if none is
    /// given
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// What the base model is held in: f32, bf16 or f16; all that is no product with its weights is
    /// f32
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: String,
    /// What the linear layers of the model's blocks are held in, packed when they are read: nf4 or
    /// q8 (or bits: 4, 8), with --device flex; none for --dtype. As the file has them if not given,
    /// which in a GGUF file may be packed
    #[arg(long, value_enum, visible_aliases = ["quantize", "base-bits"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quantise: Option<HoldArg>,
    /// Hold the embedding and the output layer so too, of a language model: they are a fifth of a
    /// small one, and do not train then
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) quantise_embeddings: bool,
    /// Load the model even if the machine's memory does not seem to hold it
    #[arg(long)]
    #[serde(skip)]
    pub(crate) any_size: bool,
    /// Threads that compute; one a core if not given. Results have the same bits on any number
    #[arg(long, value_name = "N")]
    #[serde(skip)]
    pub(crate) threads: Option<usize>,
}

impl ModelArgs {
    /// The devices, by name.
    pub(crate) fn devices(&self) -> Vec<&str> {
        self.device.split(',').map(str::trim).collect()
    }
}
