//! The flags of the methods that adapt weights and are not of LoRA's family.

use clap::{Args, ValueEnum};
use peft_spectral::{WaveFtBasis, Wavelet};
use serde::{Serialize, Serializer};

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
    /// vblora: how many vectors the bank has; 256 if not given
    #[arg(long, value_name = "N", visible_alias = "num-vectors")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vectors: Option<usize>,
    /// vblora: the length of each; the largest that divides all sides, up to 256, if not given
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vector_length: Option<usize>,
    /// vblora: how many vectors are mixed; 2 if not given
    #[arg(long, value_name = "K", visible_alias = "topk")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<usize>,
    /// vblora: a file has what is mixed alone
    #[arg(long, visible_alias = "save-only-topk-weights")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) save_only_top_k: bool,
    /// oft, boft, c3a: how many inputs a block has; 32 if not given, of boft 4, of c3a the largest
    /// that divides all sides, up to 256
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
    /// delora: the norm that all directions together are held to; 15 if not given
    #[arg(long, value_name = "NORM", visible_alias = "delora-lambda")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lambda: Option<f64>,
    /// gralora: how many blocks there are along each side of a weight; 2 if not given
    #[arg(long, value_name = "N", visible_alias = "gralora-k")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blocks: Option<usize>,
    /// gralora: the rank of a LoRA of the whole weight beside its blocks; none if not given
    #[arg(long, value_name = "N", visible_alias = "hybrid-r")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hybrid_rank: Option<usize>,
    /// fourierft, waveft: how many coefficients a layer has; 1000 if not given, of waveft 2592
    #[arg(long, value_name = "N", visible_alias = "n-frequency")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coefficients: Option<usize>,
    /// fourierft, waveft: the scale; 150 if not given, of waveft 25
    #[arg(long, value_name = "SCALE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scaling: Option<f64>,
    /// waveft: db1 to db10, sym2 to sym10, coif1 to coif5, or none: places of the weight itself;
    /// db1 if not given
    #[arg(long, value_name = "NAME", value_parser = wave_basis, visible_alias = "wavelet-family")]
    #[serde(serialize_with = "basis_name", skip_serializing_if = "Option::is_none")]
    pub(crate) wavelet: Option<WaveFtBasis>,
    /// waveft: layers have coefficients by their sizes, and as many in all
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) proportional: bool,
}

fn basis_name<S: Serializer>(
    basis: &Option<WaveFtBasis>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let name = match basis {
        Some(WaveFtBasis::Wavelet(wavelet)) => wavelet.name(),
        Some(WaveFtBasis::Places) => "none",
        None => return serializer.serialize_none(),
    };
    serializer.serialize_str(name)
}

fn wave_basis(name: &str) -> Result<WaveFtBasis, String> {
    match name {
        "none" => Ok(WaveFtBasis::Places),
        name => Wavelet::try_from(name.to_owned()).map(WaveFtBasis::Wavelet),
    }
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
        const RANDOM: &[Method] = &[
            Method::Vera,
            Method::Randlora,
            Method::Shira,
            Method::Fourierft,
            Method::Waveft,
        ];
        const BLOCKS: &[Method] = &[Method::Oft, Method::C3a, Method::Boft];
        const WAVES: &[Method] = &[Method::Waveft, Method::Fourierft];
        const BANK: &[Method] = &[Method::Vblora];
        const GRALORA: &[Method] = &[Method::Gralora];
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
                &BLOCKS[2..],
            ),
            ("group-size", self.group_size.is_some(), ROAD),
            ("variant", self.variant.is_some(), ROAD),
            (
                "block-columns",
                self.block_columns.is_some(),
                &[Method::Miss],
            ),
            ("vectors", self.vectors.is_some(), BANK),
            ("vector-length", self.vector_length.is_some(), BANK),
            ("top-k", self.top_k.is_some(), BANK),
            ("save-only-top-k", self.save_only_top_k, BANK),
            ("lambda", self.lambda.is_some(), &[Method::Delora]),
            ("blocks", self.blocks.is_some(), GRALORA),
            ("hybrid-rank", self.hybrid_rank.is_some(), GRALORA),
            ("coefficients", self.coefficients.is_some(), WAVES),
            ("scaling", self.scaling.is_some(), WAVES),
            ("wavelet", self.wavelet.is_some(), &WAVES[..1]),
            ("proportional", self.proportional, &WAVES[..1]),
        ]
    }
}
