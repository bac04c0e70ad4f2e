//! The flags of the methods that adapt weights and are not of LoRA's family.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Method;

/// What they take beside what they share with LoRA.
#[derive(Args, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SiblingArgs {
    /// lokr: what the sides of a layer are divided by; next to their roots if not given
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) factor: Option<usize>,
    /// lokr: the first factor is a product of two as well, where the rank is small enough
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) decompose_both: bool,
    /// loha, lokr: how often an output of a layer gets nothing from the adapter in a step
    #[arg(long, value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rank_dropout: Option<f64>,
    /// loha, lokr: how often all outputs of a layer get nothing
    #[arg(long, value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) module_dropout: Option<f64>,
    /// vera, randlora: what the random matrices are drawn by; 0 if not given
    #[arg(long, value_name = "SEED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) projection_seed: Option<u64>,
    /// vera: leave the random matrices out of the file, which has their seed
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_save_projection: bool,
    /// oft, boft: how many inputs a block has; 32 if not given, of boft 4
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) block_size: Option<usize>,
    /// oft: exact rotations, and not five terms of their series
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) exact: bool,
    /// oft: all blocks of a layer are rotated alike
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) share_blocks: bool,
    /// boft: how many rotations there are; 1 if not given
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) butterfly_factors: Option<usize>,
    /// road: how many outputs a group has, whose first half is paired with the second; 64 if not
    /// given
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_size: Option<usize>,
    /// road: which angles and scales there are; road-1 if not given
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<VariantArg>,
    /// miss: columns of the block, which stand for all outputs by turns; all if not given
    #[arg(long, value_name = "N", visible_alias = "mini-r")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) block_columns: Option<usize>,
}

/// The variants of RoAd, by PEFT's names.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VariantArg {
    /// One for each pair
    #[value(name = "road-1", alias = "road_1")]
    #[serde(rename = "road-1")]
    Pair,
    /// One for each output
    #[value(name = "road-2", alias = "road_2")]
    #[serde(rename = "road-2")]
    Output,
    /// Two for each output
    #[value(name = "road-4", alias = "road_4")]
    #[serde(rename = "road-4")]
    Both,
}

impl SiblingArgs {
    /// Each flag, whether it was given, and the methods that take it.
    pub(super) fn all(&self) -> Vec<(&'static str, bool, &'static [Method])> {
        const LYCORIS: &[Method] = &[Method::Loha, Method::Lokr];
        const LOKR: &[Method] = &[Method::Lokr];
        const RANDOM: &[Method] = &[Method::Vera, Method::Randlora];
        const BLOCKS: &[Method] = &[Method::Oft, Method::Boft];
        const OFT: &[Method] = &[Method::Oft];
        const ROAD: &[Method] = &[Method::Road];
        vec![
            ("factor", self.factor.is_some(), LOKR),
            ("decompose-both", self.decompose_both, LOKR),
            ("rank-dropout", self.rank_dropout.is_some(), LYCORIS),
            ("module-dropout", self.module_dropout.is_some(), LYCORIS),
            ("projection-seed", self.projection_seed.is_some(), RANDOM),
            ("no-save-projection", self.no_save_projection, &RANDOM[..1]),
            ("block-size", self.block_size.is_some(), BLOCKS),
            ("exact", self.exact, OFT),
            ("share-blocks", self.share_blocks, OFT),
            (
                "butterfly-factors",
                self.butterfly_factors.is_some(),
                &BLOCKS[1..],
            ),
            ("group-size", self.group_size.is_some(), ROAD),
            ("variant", self.variant.is_some(), ROAD),
            (
                "block-columns",
                self.block_columns.is_some(),
                &[Method::Miss],
            ),
        ]
    }
}
