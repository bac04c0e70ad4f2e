//! [`ModelSizes`]: what a model is made of, and what of it trains.

use crate::run::SMALL;

/// What a linear layer of a block reads and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads the block's normalised states; queries, keys, values.
    AttentionInput,
    /// Reads what attention gives.
    AttentionOutput,
    /// Reads the second normalised states.
    FeedForwardInput,
    /// Reads what the activation gives.
    FeedForwardOutput,
}

/// What of a linear layer trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trains {
    /// Nothing.
    Nothing,
    /// Its weight.
    Whole,
    /// Its bias alone.
    Bias,
    /// Two factors beside it.
    LowRank(LowRank),
    /// Something else beside it.
    Beside(Added),
    /// A factor for each input, or each output.
    Scale {
        /// Which of the two.
        of_inputs: bool,
    },
}

/// Two factors beside a weight, `A` and `B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowRank {
    /// Their inner side.
    pub rank: usize,
    /// Whether `A` stays as it is, so that the layer's input is not kept for it (LoRA-FA).
    pub frozen_a: bool,
    /// Whether each column has a length that trains, for which the layer's output is kept (DoRA).
    pub scales_columns: bool,
    /// Whether a bias trains.
    pub bias: bool,
    /// Whether there is a value for each of the inner side, and two averages of every element by
    /// which ranks are left (AdaLoRA).
    pub diagonal: bool,
    /// Whether the factors that it began with are held beside and taken off (PiSSA, OLoRA).
    pub initial: bool,
}

impl LowRank {
    /// LoRA of this rank.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            frozen_a: false,
            scales_columns: false,
            bias: false,
            diagonal: false,
            initial: false,
        }
    }

    /// The inner side of what acts.
    pub(crate) fn acting(self) -> f64 {
        let rank = self.rank as f64;
        if self.initial { 2.0 * rank } else { rank }
    }
}

/// What another method adds to a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Added {
    /// Values that train.
    pub parameters: f64,
    /// Multiply-adds for each row, in a forward pass.
    pub products: f64,
    /// Those of them with factors that do not train.
    pub fixed: f64,
    /// Numbers of each row that are kept for gradients, beside the layer's input.
    pub kept: f64,
    /// Whether the layer's input is kept too.
    pub keeps_input: bool,
    /// Numbers that each worker makes of the parameters and keeps for gradients, however many
    /// rows there are.
    pub formed: f64,
    /// Multiply-adds of making them and of their gradients.
    pub forming: f64,
}

/// A linear layer of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// What it is for.
    pub role: Role,
    /// Inputs.
    pub d_in: usize,
    /// Outputs.
    pub d_out: usize,
    /// Bytes of a value of its weight as it is held, 0.5625 for four bits and a scale for 64.
    pub bytes: f64,
    /// What of it trains.
    pub trains: Trains,
}

impl Linear {
    /// One that does not train.
    pub fn frozen(role: Role, d_in: usize, d_out: usize, bytes: f64) -> Self {
        Self {
            role,
            d_in,
            d_out,
            bytes,
            trains: Trains::Nothing,
        }
    }

    /// Values of its weight.
    pub fn values(&self) -> f64 {
        self.d_in as f64 * self.d_out as f64
    }

    /// What trains in it or beside it.
    pub(crate) fn trainable(&self) -> f64 {
        match self.trains {
            Trains::Nothing => 0.0,
            Trains::Whole => self.values(),
            Trains::Bias => self.d_out as f64,
            Trains::LowRank(of) => {
                let vectors = usize::from(of.scales_columns) + usize::from(of.bias);
                let rank = of.rank as f64;
                let a = if of.frozen_a {
                    0.0
                } else {
                    rank * self.d_in as f64
                };
                let values = if of.diagonal { rank } else { 0.0 };
                a + values + (rank + vectors as f64) * self.d_out as f64
            }
            Trains::Beside(of) => of.parameters,
            Trains::Scale { of_inputs } => match of_inputs {
                true => self.d_in as f64,
                false => self.d_out as f64,
            },
        }
    }

    /// What trains in it in tensors that are small by themselves.
    fn trainable_in_small(&self) -> f64 {
        let small = |tensors: &[f64]| -> f64 {
            let small = tensors.iter().filter(|numbers| **numbers < SMALL);
            small.sum()
        };
        match self.trains {
            Trains::LowRank(of) => {
                let (rank, d_out) = (of.rank as f64, self.d_out as f64);
                let a = if of.frozen_a {
                    0.0
                } else {
                    rank * self.d_in as f64
                };
                let values = if of.diagonal { rank } else { 0.0 };
                let scales = if of.scales_columns { d_out } else { 0.0 };
                let bias = if of.bias { d_out } else { 0.0 };
                small(&[a, values, rank * d_out, scales, bias])
            }
            Trains::Nothing
            | Trains::Whole
            | Trains::Bias
            | Trains::Beside(_)
            | Trains::Scale { .. } => small(&[self.trainable()]),
        }
    }

    /// Those that are no part of the base.
    pub(crate) fn added(&self) -> f64 {
        match self.trains {
            Trains::Nothing | Trains::Whole | Trains::Bias => 0.0,
            Trains::LowRank(of) => {
                let [a, b] = [self.d_in, self.d_out].map(|d| of.rank as f64 * d as f64);
                let frozen = if of.frozen_a { a } else { 0.0 };
                let initial = if of.initial { a + b } else { 0.0 };
                self.trainable() + frozen + initial
            }
            Trains::Scale { .. } | Trains::Beside(_) => self.trainable(),
        }
    }
}

/// A block: attention and a feed-forward layer, each behind or before a norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Its linear layers.
    pub linears: Vec<Linear>,
    /// Width of all heads of the queries.
    pub queries: usize,
    /// Width of all heads of the keys, which is that of the values.
    pub keys: usize,
    /// How many positions one sees, where it is not all.
    pub window: Option<usize>,
    /// Other parameters: norms, biases.
    pub others: usize,
    /// Those of them that train.
    pub others_train: usize,
}

impl Block {
    fn trainable(&self) -> f64 {
        let linears = self.linears.iter().map(Linear::trainable);
        linears.sum::<f64>() + self.others_train as f64
    }

    /// Whether something in it trains.
    pub(crate) fn trains(&self) -> bool {
        self.trainable() > 0.0
    }

    /// Outputs of the layers of a role.
    pub(crate) fn width(&self, role: Role) -> usize {
        let of = self.linears.iter().filter(|linear| linear.role == role);
        of.map(|linear| linear.d_out).sum()
    }
}

/// What a model reads beside its text, and trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Beside {
    /// Vectors before the text, with an encoder of so many parameters that makes them.
    Prompt {
        /// How many.
        tokens: usize,
        /// Parameters that train.
        parameters: f64,
    },
    /// Keys and values before those of every block.
    Prefix {
        /// Positions.
        tokens: usize,
        /// Parameters that train.
        parameters: f64,
    },
}

impl Beside {
    pub(crate) fn parameters(self) -> f64 {
        match self {
            Self::Prompt { parameters, .. } | Self::Prefix { parameters, .. } => parameters,
        }
    }
}

/// A model, by its sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSizes {
    /// Width of the states.
    pub d_model: usize,
    /// Outputs of the last layer.
    pub vocabulary: usize,
    /// The blocks, the first one first.
    pub blocks: Vec<Block>,
    /// Parameters outside of blocks: embeddings, the last norm, an output layer of its own.
    pub outside: usize,
    /// Bytes of each.
    pub outside_bytes: f64,
    /// Entries of the vocabulary that its tokenizer holds.
    pub tokens: usize,
    /// Those of them that train.
    pub outside_trains: usize,
    /// Whether a position sees those before it alone.
    pub causal: bool,
    /// Whether embeddings train, so that every state has a gradient.
    pub reads_all: bool,
    /// What it reads beside its text.
    pub beside: Option<Beside>,
}

impl ModelSizes {
    /// Parameters of the model itself.
    pub fn parameters(&self) -> f64 {
        let of = |block: &Block| {
            let linears = block.linears.iter().map(Linear::values).sum::<f64>();
            linears + block.others as f64
        };
        self.blocks.iter().map(of).sum::<f64>() + self.outside as f64
    }

    /// Parameters that train.
    pub fn trainable(&self) -> f64 {
        let blocks = self.blocks.iter().map(Block::trainable).sum::<f64>();
        let beside = self.beside.map_or(0.0, Beside::parameters);
        blocks + self.outside_trains as f64 + beside
    }

    /// Those that are in tensors of fewer than [`SMALL`] numbers: factors of low rank and, in a
    /// block, what is beside its layers.
    pub(crate) fn trainable_in_small(&self) -> f64 {
        let of_block = |block: &Block| {
            let linears = block.linears.iter().map(Linear::trainable_in_small);
            linears.sum::<f64>() + block.others_train as f64
        };
        self.blocks.iter().map(of_block).sum()
    }

    /// The first block whose states have gradients; as many as there are where none has.
    pub(crate) fn first_tracked(&self) -> usize {
        if self.reads_all || self.beside.is_some() {
            return 0;
        }
        let first = self.blocks.iter().position(Block::trains);
        first.unwrap_or(self.blocks.len())
    }

    /// Whether what the first of them reads has a gradient itself.
    pub(crate) fn tracks_input(&self) -> bool {
        self.reads_all || matches!(self.beside, Some(Beside::Prompt { .. }))
    }

    /// Tokens that are read before a text.
    pub(crate) fn prompt_tokens(&self) -> usize {
        match self.beside {
            Some(Beside::Prompt { tokens, .. }) => tokens,
            Some(Beside::Prefix { .. }) | None => 0,
        }
    }

    /// Positions that are seen before a text.
    pub(crate) fn prefix_tokens(&self) -> usize {
        match self.beside {
            Some(Beside::Prefix { tokens, .. }) => tokens,
            Some(Beside::Prompt { .. }) | None => 0,
        }
    }
}
