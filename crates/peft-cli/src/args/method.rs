//! The flags of methods: each is for some of them only.

mod name;
mod siblings;

use clap::Args;
use serde::Serialize;

pub(crate) use self::name::Method;
use self::name::{
    ADALORA, ADAPTERS, DROPPING, LAYERED, LAYERWISE, LORA, RANKED, SCALED, SCHEDULED, TOKENS,
    VIRTUAL, WEIGHTS,
};
use self::siblings::SiblingArgs;
pub(crate) use self::siblings::VariantArg;
pub(crate) use super::method_values::{EncoderArg, EveryArg, FromArg, InitArg, LoraInitArg};
use crate::error::CliError;

/// LoRA's rank where the caller does not say.
const RANK: usize = 8;
/// Those of methods whose rank costs little, or nothing.
const VERA_RANK: usize = 256;
const VBLORA_RANK: usize = 4;
const RANDLORA_RANK: usize = 32;

/// Positions of a prompt or a prefix where the caller does not say.
const VIRTUAL_TOKENS: usize = 20;

/// What methods take beside what every run takes.
#[derive(Args, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Of a method")]
pub(crate) struct MethodArgs {
    /// The rank, of adalora the mean rank at the end; 8 if not given, of vera 256, of
    /// randlora 32, of vblora 4
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rank: Option<usize>,
    /// alpha, which by the rank is the scale; twice the rank, or that at first, if not given,
    /// of randlora twenty times
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alpha: Option<f64>,
    /// lora: scale by alpha / √rank
    #[arg(long)]
    pub(crate) rslora: bool,
    /// lora: DoRA, a magnitude for each column of the adapted weight
    #[arg(long, visible_alias = "use-dora")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dora: bool,
    /// lora: a bias of B
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) lora_bias: bool,
    /// lora: LoRA-FA, A stays what it starts as and no input is kept for it
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) lora_fa: bool,
    /// lora: LoRA+, the learning rate of B by that of A
    #[arg(long, value_name = "RATIO", visible_alias = "loraplus-lr-ratio")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lora_plus_ratio: Option<f64>,
    /// lora: what the factors start from: kaiming, as if not given, gaussian, orthogonal; olora,
    /// pissa, pissa_niter_N (N rounds), parts of the weight, and of the training rows lora_ga,
    /// directions of gradients, corda_ipm and corda_kpm, parts of the weight by what layers read,
    /// all saved as LoRA of twice the rank; loftq, what --quantise leaves out; eva, what layers
    /// read of the training rows
    #[arg(long, value_name = "INIT", visible_alias = "init-lora-weights")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lora_init: Option<LoraInitArg>,
    /// adalora: the rank of each layer at first; half more than --rank if not given
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init_rank: Option<usize>,
    /// adalora: steps in which all ranks are left; a tenth of all if not given
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) t_init: Option<usize>,
    /// adalora: steps at the end in which what is left stays; a third of all if not given
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) t_final: Option<usize>,
    /// adalora: steps between two looks at the ranks; 1 if not given
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delta_t: Option<usize>,
    /// adalora: what being far from orthonormal adds to the loss; 0.5 if not given
    #[arg(long, value_name = "WEIGHT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orthogonal_weight: Option<f64>,
    /// lora, adalora, vera, randlora, vblora, miss, hira, delora, gralora: dropout on the adapter's
    /// input
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropout: Option<f64>,
    /// Adapters of weights: layers to adapt by suffix, or by one regular expression over whole
    /// paths as regex:EXPRESSION, or all-linear, which it is if not given; ia3 takes keys, values
    /// and the feed-forward input for all-linear
    #[arg(long, visible_alias = "target-modules", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) targets: Vec<String>,
    /// Adapters of weights: layers to leave out by suffix
    #[arg(long, visible_alias = "exclude-modules", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<String>,
    /// Adapters of weights: adapt only the last N layers
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_layers: Option<usize>,
    /// trainable-tokens: the tokens whose rows of the embedding train, by their numbers; lora:
    /// those that train beside it
    #[arg(
        long,
        value_name = "N,N",
        value_delimiter = ',',
        visible_alias = "trainable-token-indices"
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) token_ids: Vec<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) sibling: SiblingArgs,
    /// Adapters and prompts: modules that train whole beside them, by suffix
    #[arg(long, value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) modules_to_save: Vec<String>,
    /// prompt-tuning, p-tuning, prefix-tuning: how many positions; 20 if not given
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_tokens: Option<usize>,
    /// prompt-tuning, prefix-tuning: random, vocab (prompt-tuning's if not given) or text:TEXT
    #[arg(long, value_name = "INIT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_init: Option<InitArg>,
    /// p-tuning: what makes the vectors; mlp if not given
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encoder: Option<EncoderArg>,
    /// p-tuning, prefix-tuning with --prefix-projection: the encoder's width; else the model's
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encoder_hidden: Option<usize>,
    /// prefix-tuning: train the keys and values through a projection
    #[arg(long)]
    pub(crate) prefix_projection: bool,
    /// top-layers, freeze-bottom, lisa: how many blocks
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layers: Option<usize>,
    /// gradual, lisa, badam: how long a stage is, in steps or as 1epoch
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<EveryArg>,
    /// gradual: where it begins; top if not given
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<FromArg>,
    /// matching: a regular expression that a parameter's whole path must match
    #[arg(long, value_name = "REGEX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) params: Option<String>,
    /// Methods of the model's own parameters: a block learns at this times the rate of the next
    #[arg(long, value_name = "FACTOR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layer_decay: Option<f64>,
    /// Methods that train the model's own parameters: run the frozen blocks below them once for
    /// each row and keep what they give
    #[arg(long)]
    pub(crate) cache_trunk: bool,
}

impl MethodArgs {
    /// Put in what a method takes where the caller does not say.
    pub(crate) fn complete(&mut self, method: Method) {
        if RANKED.contains(&method) {
            let rank = *self.rank.get_or_insert(match method {
                Method::Vera => VERA_RANK,
                Method::Randlora => RANDLORA_RANK,
                Method::Vblora => VBLORA_RANK,
                _ => RANK,
            });
            let alpha = match method {
                Method::Adalora => {
                    let more = rank.saturating_mul(3).div_ceil(2);
                    2.0 * *self.init_rank.get_or_insert(more) as f64
                }
                // As PEFT's.
                Method::Randlora => 20.0 * rank as f64,
                _ => 2.0 * rank as f64,
            };
            if SCALED.contains(&method) {
                self.alpha.get_or_insert(alpha);
            }
        }
        if DROPPING.contains(&method) {
            self.dropout.get_or_insert(0.0);
        }
        if VIRTUAL.contains(&method) {
            self.virtual_tokens.get_or_insert(VIRTUAL_TOKENS);
        }
    }

    /// How many positions a method takes from a text.
    pub(crate) fn n_virtual_tokens(&self, method: Method) -> usize {
        match VIRTUAL.contains(&method) {
            true => self.virtual_tokens.unwrap_or(VIRTUAL_TOKENS),
            false => 0,
        }
    }

    /// The flags that were given, and the methods that take them.
    pub(crate) fn given(&self) -> Vec<(&'static str, &'static [Method])> {
        const PROMPT_AND_PREFIX: &[Method] = &[Method::PromptTuning, Method::PrefixTuning];
        const ENCODED: &[Method] = &[Method::PTuning, Method::PrefixTuning];
        let all: [(&str, bool, &[Method]); 30] = [
            ("rank", self.rank.is_some(), RANKED),
            ("init-rank", self.init_rank.is_some(), ADALORA),
            ("t-init", self.t_init.is_some(), ADALORA),
            ("t-final", self.t_final.is_some(), ADALORA),
            ("delta-t", self.delta_t.is_some(), ADALORA),
            (
                "orthogonal-weight",
                self.orthogonal_weight.is_some(),
                ADALORA,
            ),
            ("alpha", self.alpha.is_some(), SCALED),
            ("rslora", self.rslora, LORA),
            ("dora", self.dora, LORA),
            ("lora-bias", self.lora_bias, LORA),
            ("lora-fa", self.lora_fa, LORA),
            ("lora-plus-ratio", self.lora_plus_ratio.is_some(), LORA),
            ("lora-init", self.lora_init.is_some(), LORA),
            ("dropout", self.dropout.is_some(), DROPPING),
            ("targets", !self.targets.is_empty(), WEIGHTS),
            ("exclude", !self.exclude.is_empty(), WEIGHTS),
            ("last-layers", self.last_layers.is_some(), WEIGHTS),
            (
                "modules-to-save",
                !self.modules_to_save.is_empty(),
                ADAPTERS,
            ),
            ("token-ids", !self.token_ids.is_empty(), TOKENS),
            ("virtual-tokens", self.virtual_tokens.is_some(), VIRTUAL),
            ("prompt-init", self.prompt_init.is_some(), PROMPT_AND_PREFIX),
            ("encoder", self.encoder.is_some(), &[Method::PTuning]),
            ("encoder-hidden", self.encoder_hidden.is_some(), ENCODED),
            (
                "prefix-projection",
                self.prefix_projection,
                &[Method::PrefixTuning],
            ),
            ("layers", self.layers.is_some(), LAYERED),
            ("every", self.every.is_some(), SCHEDULED),
            ("from", self.from.is_some(), &[Method::Gradual]),
            ("params", self.params.is_some(), &[Method::Matching]),
            ("layer-decay", self.layer_decay.is_some(), LAYERWISE),
            ("cache-trunk", self.cache_trunk, LAYERWISE),
        ];
        let all = all.into_iter().chain(self.sibling.all());
        let given = all.filter(|(_, given, _)| *given);
        given.map(|(flag, _, methods)| (flag, methods)).collect()
    }

    /// Every flag that was given is one that the method takes.
    pub(crate) fn check(&self, method: Method) -> Result<(), CliError> {
        let given = self.given();
        let stray = given.iter().find(|(_, methods)| !methods.contains(&method));
        if let Some((flag, methods)) = stray {
            let names: Vec<String> = methods.iter().map(ToString::to_string).collect();
            return Err(CliError::Usage(format!(
                "--method {method} takes no --{flag}; that is for {}",
                names.join(", ")
            )));
        }
        if self.encoder_hidden.is_some()
            && method == Method::PrefixTuning
            && !self.prefix_projection
        {
            return Err(CliError::Usage(
                "--encoder-hidden is the width of a projection; give --prefix-projection too"
                    .into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Verb};

    fn checked(flags: &str) -> Result<(), String> {
        let words = [
            "peft", "train", "--model", "m", "--train", "t", "--out", "o",
        ];
        let cli = Cli::read(words.into_iter().chain(flags.split_whitespace()))
            .map_err(|error| error.to_string())?;
        let Some(Verb::Train(args)) = cli.verb else {
            return Err("not train".into());
        };
        args.of_method
            .check(args.method())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_of_another_method_is_refused_with_those_that_take_it() {
        for good in [
            "--rank 4 --targets q_proj --modules-to-save norm",
            "--use-dora --lora-plus-ratio 16 --lora-init pissa_niter_4",
            "--lora-bias --lora-fa --init-lora-weights olora",
            "--method adalora --rank 4 --init-rank 6 --t-final 10 --orthogonal-weight 0.1",
            "--method ia3 --targets q_proj",
            "--method lokr --rank 2 --factor 4 --decompose-both --module-dropout 0.1",
            "--method prompt-tuning --virtual-tokens 4 --prompt-init text:some",
            "--method prefix-tuning --prefix-projection --encoder-hidden 8",
            "--method lisa --layers 2 --every 5 --layer-decay 0.9",
            "--method gradual --every 1epoch --from bottom",
        ] {
            checked(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for (bad, expected) in [
            ("--method full --rank 4", "no --rank; that is for lora"),
            ("--init-rank 4", "no --init-rank; that is for adalora"),
            ("--method adalora --dora", "no --dora; that is for lora"),
            ("--method ia3 --dora", "no --dora; that is for lora"),
            ("--method loha --factor 4", "no --factor; that is for lokr"),
            ("--lora-init pissa_niter_0", "1 to 64 rounds"),
            ("--lora-init corda", "kaiming, gaussian, orthogonal"),
            (
                "--method ia3 --dropout 0.1",
                "no --dropout; that is for lora",
            ),
            (
                "--virtual-tokens 4",
                "for prompt-tuning, p-tuning, prefix-tuning",
            ),
            (
                "--method p-tuning --prompt-init vocab",
                "for prompt-tuning, prefix-tuning",
            ),
            (
                "--method prefix-tuning --encoder-hidden 4",
                "--prefix-projection",
            ),
            (
                "--method prompt-tuning --prompt-init texts",
                "`text:` and a text",
            ),
            ("--method top-layers --every 3", "for gradual, lisa, badam"),
            ("--method badam --every 0", "above 0"),
            ("--method badam --every 2weeks", "`1epoch`"),
        ] {
            let error = checked(bad).expect_err(bad);
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
