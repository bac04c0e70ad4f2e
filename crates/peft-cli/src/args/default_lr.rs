//! The learning rate of a method where the caller gives none.

use super::Method;

impl Method {
    /// The peak learning rate; every method has its own, since what trains differs in size and in
    /// where it starts. `docs/methods.md` has what was measured.
    pub(crate) fn default_lr(self) -> f64 {
        match self {
            Self::Full | Self::Lisa => 3e-4,
            Self::Lora
            | Self::TopLayers
            | Self::FreezeBottom
            | Self::Matching
            | Self::Gradual
            | Self::Badam => 1e-3,
            Self::PTuning | Self::Head => 3e-3,
            Self::Ia3 | Self::PrefixTuning | Self::Bitfit | Self::Norms => 1e-2,
            Self::PromptTuning => 3e-2,
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
