//! [`DecoderConfig`]: the sizes and switches of a decoder.

use crate::{Activation, ModelConfigError, RopeConfig, RopeScaling};

/// Which attention projections have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProjectionBias {
    /// None.
    #[default]
    None,
    /// Queries, keys and values, but not the output.
    Inputs,
    /// All four.
    All,
}

/// The sizes and switches of a decoder with rotary positions, gated feed-forward layers and
/// root-mean-square norms.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    /// Decoder layers.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads, a divisor of `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head, even.
    pub head_dim: usize,
    /// ε of the norms.
    pub norm_epsilon: f64,
    /// The longest sequence that the model is made for.
    pub max_positions: usize,
    /// Rotary settings.
    pub rope: RopeConfig,
    /// Rotary settings of the layers that have a window, where they differ.
    pub window_rope: Option<RopeConfig>,
    /// How many positions a layer sees, its own included; a layer without an entry, or with none,
    /// sees all before it.
    pub windows: Vec<Option<usize>>,
    /// Whether query, key and value projection are one matrix, and gate and up projection too.
    pub fused_projections: bool,
    /// Which attention projections have biases.
    pub attention_bias: ProjectionBias,
    /// Whether the feed-forward projections have biases.
    pub mlp_bias: bool,
    /// The function in the feed-forward layers.
    pub activation: Activation,
    /// Whether each head's queries and keys are normalised.
    pub qk_norm: bool,
    /// Whether attention and feed-forward layer have a norm behind them too.
    pub sandwich_norms: bool,
    /// Whether the norms' scales are stored as what they differ from one by.
    pub norms_from_one: bool,
    /// The factor on the token embeddings.
    pub embedding_scale: Option<f64>,
    /// The factor on the attention scores; `1 / √head_dim` where none.
    pub query_scale: Option<f64>,
    /// Attention scores are held within ± this.
    pub attention_softcap: Option<f64>,
    /// Logits are held within ± this.
    pub logit_softcap: Option<f64>,
    /// Whether the output layer is the transposed embedding.
    pub tie_word_embeddings: bool,
}

impl DecoderConfig {
    /// Llama's architecture with these sizes: `n_heads` heads of `d_model / n_heads`, none grouped,
    /// no biases, an output layer of its own.
    pub fn llama(
        vocab_size: usize,
        d_model: usize,
        d_ff: usize,
        n_layers: usize,
        n_heads: usize,
    ) -> Self {
        Self {
            vocab_size,
            d_model,
            d_ff,
            n_layers,
            n_heads,
            n_kv_heads: n_heads,
            head_dim: d_model / n_heads.max(1),
            norm_epsilon: 1e-6,
            max_positions: 2048,
            rope: RopeConfig::new(10_000.0),
            window_rope: None,
            windows: Vec::new(),
            fused_projections: false,
            attention_bias: ProjectionBias::None,
            mlp_bias: false,
            activation: Activation::Silu,
            qk_norm: false,
            sandwich_norms: false,
            norms_from_one: false,
            embedding_scale: None,
            query_scale: None,
            attention_softcap: None,
            logit_softcap: None,
            tie_word_embeddings: false,
        }
    }

    /// How many positions layer `i` sees; all where none.
    pub fn window(&self, i: usize) -> Option<usize> {
        self.windows.get(i).copied().flatten()
    }

    /// The rotary settings of layer `i`.
    pub(super) fn rope_of(&self, i: usize) -> &RopeConfig {
        match (&self.window_rope, self.window(i)) {
            (Some(rope), Some(_)) => rope,
            _ => &self.rope,
        }
    }

    /// Whether a model can be made of this.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be.
    pub fn validate(&self) -> Result<(), ModelConfigError> {
        ModelConfigError::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_ff", self.d_ff),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("head_dim", self.head_dim),
            ("max_positions", self.max_positions),
        ])?;
        ModelConfigError::check_layers(self.n_layers)?;
        let wrong =
            |field, value: f64, expected| Err(ModelConfigError::new(field, value, expected));
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return wrong("n_kv_heads", self.n_kv_heads as f64, "a divisor of n_heads");
        }
        if !self.head_dim.is_multiple_of(2) {
            return wrong("head_dim", self.head_dim as f64, "even");
        }
        if let Some(window) = self.windows.iter().flatten().find(|window| **window == 0) {
            return wrong("window", *window as f64, "at least 1");
        }
        let mut positive = vec![("norm_epsilon", self.norm_epsilon)];
        let optional = [
            ("embedding_scale", self.embedding_scale),
            ("query_scale", self.query_scale),
            ("attention_softcap", self.attention_softcap),
            ("logit_softcap", self.logit_softcap),
        ];
        positive.extend(
            optional
                .into_iter()
                .filter_map(|(field, value)| Some((field, value?))),
        );
        ModelConfigError::check_positive(&positive)?;
        check_rope(&self.rope, self.head_dim)?;
        self.window_rope
            .iter()
            .try_for_each(|rope| check_rope(rope, self.head_dim))
    }
}

/// Whether heads of this width can be rotated by these settings.
pub(crate) fn check_rope(rope: &RopeConfig, head_dim: usize) -> Result<(), ModelConfigError> {
    let wrong = |field, value: f64, expected| Err(ModelConfigError::new(field, value, expected));
    if !(rope.fraction > 0.0 && rope.fraction <= 1.0) {
        return wrong("rope.fraction", rope.fraction, "above zero and at most one");
    }
    let dim = rope.rotary_dim(head_dim);
    if dim == 0 || !dim.is_multiple_of(2) {
        return wrong(
            "rotated features of a head",
            dim as f64,
            "even and above zero",
        );
    }
    let mut positive = vec![("rope.theta", rope.theta)];
    match &rope.scaling {
        RopeScaling::Default => {}
        RopeScaling::Linear { factor } => positive.push(("rope.factor", *factor)),
        RopeScaling::Dynamic {
            factor,
            max_positions,
        } => {
            positive.extend([
                ("rope.factor", *factor),
                ("rope.max_positions", *max_positions as f64),
            ]);
            if dim <= 2 {
                return wrong("rotated features of a head", dim as f64, "above two");
            }
        }
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_positions,
        } => {
            positive.extend([
                ("rope.factor", *factor),
                ("rope.low_freq_factor", *low_freq_factor),
                ("rope.high_freq_factor", *high_freq_factor),
                (
                    "rope.original_max_positions",
                    *original_max_positions as f64,
                ),
            ]);
            if high_freq_factor <= low_freq_factor {
                return wrong(
                    "rope.high_freq_factor",
                    *high_freq_factor,
                    "above rope.low_freq_factor",
                );
            }
        }
        RopeScaling::Yarn {
            factor,
            original_max_positions,
            attention_factor,
            beta_fast,
            beta_slow,
            ..
        } => positive.extend([
            ("rope.factor", *factor),
            (
                "rope.original_max_positions",
                *original_max_positions as f64,
            ),
            ("rope.attention_factor", *attention_factor),
            ("rope.beta_fast", *beta_fast),
            ("rope.beta_slow", *beta_slow),
        ]),
        RopeScaling::Long {
            short,
            long,
            attention_factor,
            original_max_positions,
        } => {
            for (field, factors) in [("rope.short", short), ("rope.long", long)] {
                if factors.len() != dim / 2 {
                    let n = factors.len() as f64;
                    return wrong(field, n, "as many factors as half the rotated features");
                }
                positive.extend(factors.iter().map(|factor| (field, *factor)));
            }
            positive.extend([
                ("rope.attention_factor", *attention_factor),
                (
                    "rope.original_max_positions",
                    *original_max_positions as f64,
                ),
            ]);
        }
    }
    ModelConfigError::check_positive(&positive)
}
