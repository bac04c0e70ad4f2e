//! The learning rate of a method where the caller gives none.

use super::{Method, OptimizerArg, TrainArgs};

impl Method {
    /// The peak learning rate; every method has its own, since what trains differs in size and in
    /// where it starts. `docs/methods.md` has what was measured.
    pub(crate) fn default_lr(self) -> f64 {
        match self {
            Self::Full | Self::Lisa | Self::Waveft => 3e-4,
            Self::Lora
            | Self::Oft
            | Self::TopLayers
            | Self::FreezeBottom
            | Self::Matching
            | Self::Gradual
            | Self::Badam
            | Self::Randlora
            | Self::Miss
            | Self::Delora
            | Self::Gralora
            | Self::Shira => 1e-3,
            Self::Adalora | Self::Hira | Self::Loha | Self::Lokr | Self::Boft => 3e-3,
            Self::TrainableTokens
            | Self::PTuning
            | Self::Head
            | Self::Hra
            | Self::Bitfit
            | Self::Norms
            | Self::Vera
            | Self::Vblora
            | Self::Road => 1e-2,
            Self::Ia3 | Self::PromptTuning | Self::PrefixTuning | Self::Fourierft => 3e-2,
            Self::C3a => 1e-1,
        }
    }
}

impl TrainArgs {
    /// That of the method; a projection, a network that makes a prefix, is trained as one. Lion's
    /// is lower, since its updates are of one size.
    pub(crate) fn default_lr(&self) -> f64 {
        let rate = match self.of_method.prefix_projection {
            true => Method::PTuning.default_lr(),
            false => self.method().default_lr(),
        };
        match self.learning.optimizer {
            OptimizerArg::Lion => rate / 5.0,
            OptimizerArg::Adamw
            | OptimizerArg::Adamw8Bit
            | OptimizerArg::Adafactor
            | OptimizerArg::Muon => rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_page_of_methods_has_the_same_rates() {
        let page = include_str!("../../../../docs/methods.md");
        for method in Method::value_variants() {
            let start = format!("| `{method}` | ");
            let lines = page.lines().filter_map(|line| line.strip_prefix(&start));
            let rate = lines
                .filter_map(|line| line.split(' ').next()?.parse().ok())
                .next();
            assert_eq!(rate, Some(method.default_lr()), "{method}");
        }
    }
}
