//! Values of the flags of methods.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use peft_layerwise::Every;
use peft_lora::{CordaMode, LoraInit};
use serde::{Serialize, Serializer};

use super::Method;

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What a prompt or a prefix starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InitArg {
    Random,
    Vocab,
    Text(String),
}

impl FromStr for InitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("text:")) {
            ("random", _) => Ok(Self::Random),
            ("vocab", _) => Ok(Self::Vocab),
            (_, Some("")) => Err("`text:` is followed by no text".into()),
            (_, Some(text)) => Ok(Self::Text(text.into())),
            _ => Err("it is `random`, `vocab`, or `text:` and a text".into()),
        }
    }
}

impl fmt::Display for InitArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Vocab => f.write_str("vocab"),
            Self::Text(text) => write!(f, "text:{text}"),
        }
    }
}

impl Serialize for InitArg {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the factors of LoRA start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoraInitArg(pub(crate) LoraInit);

impl FromStr for LoraInitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rounds = |text: &str| text.parse::<usize>().ok().filter(|n| (1..=64).contains(n));
        Ok(Self(match (text, text.strip_prefix("pissa_niter_")) {
            ("kaiming" | "true", _) => LoraInit::KaimingUniform,
            ("gaussian", _) => LoraInit::Gaussian,
            ("orthogonal", _) => LoraInit::Orthogonal,
            ("olora", _) => LoraInit::Olora,
            ("loftq", _) => LoraInit::Loftq,
            ("eva", _) => LoraInit::Eva,
            ("lora_ga", _) => LoraInit::LoraGa,
            ("corda_ipm", _) => LoraInit::Corda(CordaMode::InstructionPreviewed),
            ("corda_kpm", _) => LoraInit::Corda(CordaMode::KnowledgePreserved),
            ("pissa", _) => LoraInit::Pissa,
            (_, Some(n)) => {
                let rounds = rounds(n).ok_or("pissa_niter_N takes 1 to 64 rounds")?;
                LoraInit::PissaRandomised { rounds }
            }
            _ => {
                return Err(
                    "it is kaiming, gaussian, orthogonal, olora, pissa, pissa_niter_N, lora_ga, corda_ipm, corda_kpm, loftq or eva"
                        .into(),
                );
            }
        }))
    }
}

impl Serialize for LoraInitArg {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            LoraInit::KaimingUniform => serializer.serialize_str("kaiming"),
            LoraInit::Gaussian => serializer.serialize_str("gaussian"),
            LoraInit::Orthogonal => serializer.serialize_str("orthogonal"),
            LoraInit::Olora => serializer.serialize_str("olora"),
            LoraInit::Loftq => serializer.serialize_str("loftq"),
            LoraInit::Eva => serializer.serialize_str("eva"),
            LoraInit::LoraGa => serializer.serialize_str("lora_ga"),
            LoraInit::Corda(CordaMode::InstructionPreviewed) => {
                serializer.serialize_str("corda_ipm")
            }
            LoraInit::Corda(CordaMode::KnowledgePreserved) => serializer.serialize_str("corda_kpm"),
            LoraInit::Pissa => serializer.serialize_str("pissa"),
            LoraInit::PissaRandomised { rounds } => {
                serializer.collect_str(&format_args!("pissa_niter_{rounds}"))
            }
        }
    }
}

/// What makes the vectors of P-Tuning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EncoderArg {
    Mlp,
    Lstm,
}

/// How long a stage is: `100` steps, or `1epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EveryArg(pub(crate) Every);

impl FromStr for EveryArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text[digits.len()..].trim();
        let number = digits.parse::<usize>().ok().filter(|number| *number > 0);
        match (number, unit) {
            (Some(steps), "" | "step" | "steps") => Ok(Self(Every::Steps(steps))),
            (Some(epochs), "epoch" | "epochs") => Ok(Self(Every::Epochs(epochs))),
            _ => Err("it is a number of steps above 0, or of epochs as in `1epoch`".into()),
        }
    }
}

impl Serialize for EveryArg {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Every::Steps(steps) => serializer.serialize_u64(steps as u64),
            Every::Epochs(epochs) => serializer.collect_str(&format_args!("{epochs}epochs")),
        }
    }
}

/// Where gradual unfreezing begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FromArg {
    Top,
    Bottom,
}
