//! The flags of `peft combine`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How adapters become one. The names are PEFT's, and so is what they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum HowArg {
    /// The sum of what they add, exactly: ranks add up
    Cat,
    /// The same sum, the nearest of --rank
    Svd,
    /// What they add, the largest of each, where signs agree; the nearest of --rank
    #[value(alias = "ties-svd")]
    TiesSvd,
    /// What they add, some of it by chance; the nearest of --rank
    #[value(alias = "dare-linear-svd")]
    DareLinearSvd,
    /// What they add, some of it by chance, where signs agree; the nearest of --rank
    #[value(alias = "dare-ties-svd")]
    DareTiesSvd,
    /// What they add, the largest of each; the nearest of --rank
    #[value(alias = "magnitude-prune-svd")]
    MagnitudePruneSvd,
    /// Sums of the factors, which is no sum of what they add
    Linear,
    /// Factors, the largest values of each, where signs agree
    Ties,
    /// Factors, some of their values by chance
    #[value(alias = "dare-linear")]
    DareLinear,
    /// Factors, some of their values by chance, where signs agree
    #[value(alias = "dare-ties")]
    DareTies,
    /// Factors, the largest values of each
    #[value(alias = "magnitude-prune")]
    MagnitudePrune,
}

/// Which sign wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MajorityArg {
    /// That of the sum of the values
    Total,
    /// That of more adapters
    Frequency,
}

#[derive(Args)]
pub(crate) struct CombineArgs {
    /// Adapter directory; twice or more
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) adapter: Vec<PathBuf>,
    /// A weight for each adapter, in their order, of any sign
    #[arg(long, value_name = "N,N", value_delimiter = ',', required = true)]
    pub(crate) weights: Vec<f64>,
    /// How they become one
    #[arg(long, value_enum)]
    pub(crate) how: HowArg,
    /// svd and those that end in _svd: the rank; the largest of the adapters' if not given
    #[arg(long)]
    pub(crate) rank: Option<NonZeroUsize>,
    /// ties, dare, magnitude_prune: the part of the values that is kept, above 0 and at most 1
    #[arg(long)]
    pub(crate) density: Option<f64>,
    /// ties, dare_ties: which sign wins; total if not given
    #[arg(long, value_enum)]
    pub(crate) majority_sign: Option<MajorityArg>,
    /// dare: decides which values are kept
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Directory to write; it must not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// flex, ndarray, cuda or cuda:N, as far as built in
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
}
