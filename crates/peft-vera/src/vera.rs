//! [`Vera`]: a low-rank product of which only two vectors train, `W' = W + A diag(d) B diag(b)`.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, SharedMatrix, Targets, TorchRandom, attach, dropped_input,
};
use serde::{Deserialize, Serialize};

/// VeRA on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VeraConfig {
    /// The rank, at least 1.
    pub rank: usize,
    /// What `d` begins at. Default: 0.1.
    pub d_initial: f64,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// By what the matrices are drawn. Default: 0.
    pub seed: u64,
    /// Whether a file has the matrices, which their seed says too. Default: it has.
    pub saves_projection: bool,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for VeraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl VeraConfig {
    /// Of this rank on every linear layer.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            d_initial: 0.1,
            dropout: 0.0,
            seed: 0,
            saves_projection: true,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// Dropout on the adapter's input; needs [`ForwardPath::Factored`](crate::ForwardPath).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// By what the matrices are drawn.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        AdapterCost {
            parameters: self.rank.saturating_add(d_out),
            products: self.rank.saturating_mul(d_in.saturating_add(d_out)),
            fixed: self.rank.saturating_mul(d_in.saturating_add(d_out)),
            kept: self.rank.saturating_add(d_out),
            keeps_input: false,
            formed: 0,
            forming: 0,
        }
    }

    /// The matrices for layers of at most these sides, as PEFT draws them: `A`, `[d_in, rank]`, and
    /// `B`, `[rank, d_out]`, each as its transpose.
    pub fn projections(&self, [d_in, d_out]: [usize; 2]) -> [TensorData; 2] {
        let mut random = TorchRandom::new(self.seed);
        let mut drawn = |rows: usize, columns: usize| {
            let bound = 3f64.sqrt() * (2f64.sqrt() / (columns as f64).sqrt());
            TensorData::new(random.uniform(rows * columns, bound), [rows, columns])
        };
        [drawn(self.rank, d_in), drawn(d_out, self.rank)]
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(
            model,
            name,
            |sides| Ok(self.projections(sides)),
            |layer| {
                let [_, d_out] = layer.shape;
                let d = layer.zeros([self.rank]).add_scalar(self.d_initial);
                Ok([d, layer.zeros([d_out])])
            },
        )
    }

    /// As [`attach`](Self::attach), with the matrices that `shared` gives for the largest sides
    /// [as they are drawn](Self::projections), and the vectors `d` and `b` that `build` gives for a
    /// layer: of a file, for instance. It is asked for every layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that these give.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        shared: impl FnOnce([usize; 2]) -> Result<[TensorData; 2], PeftError>,
        mut build: impl FnMut(&Layer) -> Result<[Tensor<1>; 2], PeftError>,
    ) -> Result<AttachReport, PeftError> {
        check_dropout(self.dropout)?;
        attach(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layers| {
                layers
                    .iter()
                    .try_for_each(|layer| layer.check_rank(self.rank))?;
                let shared = shared(largest_sides(layers)).map(|[a, b]| {
                    // Rows that a layer's part is the first of, in one run of memory.
                    let a = on(a, layers).transpose().into_data();
                    let a = SharedMatrix::new("vera_A", on(a, layers));
                    (a, SharedMatrix::new("vera_B", on(b, layers)))
                });
                let built: Vec<Result<[Tensor<1>; 2], PeftError>> =
                    layers.iter().map(&mut build).collect();
                let (a, b) = shared?;
                let each = layers.iter().zip(built);
                each.map(|(layer, vectors)| {
                    let [lambda_d, lambda_b] = vectors?;
                    Ok(Vera {
                        lambda_d: Param::from_tensor(lambda_d),
                        lambda_b: Param::from_tensor(lambda_b),
                        a: a.clone(),
                        b: b.clone(),
                        d_in: layer.shape[0],
                        saves_projection: self.saves_projection,
                        dropout: DropoutConfig::new(self.dropout).init(),
                    })
                })
                .collect()
            },
        )
    }
}

pub(crate) fn check_dropout(dropout: f64) -> Result<(), PeftError> {
    match (0.0..1.0).contains(&dropout) {
        true => Ok(()),
        false => Err(PeftError::InvalidSetting {
            field: "dropout".into(),
            value: dropout.to_string(),
            expected: "at least 0 and below 1",
        }),
    }
}

/// The largest number of inputs and of outputs that one of these layers has.
pub(crate) fn largest_sides(layers: &[Layer]) -> [usize; 2] {
    [0, 1].map(|side| {
        layers
            .iter()
            .map(|layer| layer.shape[side])
            .max()
            .unwrap_or(0)
    })
}

/// Where these layers are; they are on one device.
pub(crate) fn on(data: TensorData, layers: &[Layer]) -> Tensor<2> {
    let device = layers.first().map(|layer| layer.device.clone());
    Tensor::from_data(data, (&device.unwrap_or_default(), DType::F32))
}

/// Two vectors on a product of random matrices beside a frozen weight.
#[derive(Module, Debug)]
pub struct Vera {
    /// `d`, `[rank]`.
    pub lambda_d: Param<Tensor<1>>,
    /// `b`, `[d_out]`; zero at first.
    pub lambda_b: Param<Tensor<1>>,
    /// `A`, `[largest d_in, rank]`: a layer's is the first rows.
    a: SharedMatrix,
    /// The transpose of `B`, `[largest d_out, rank]`.
    b: SharedMatrix,
    d_in: usize,
    saves_projection: bool,
    dropout: Dropout,
}

impl Vera {
    /// Whether a file has the matrices.
    pub fn saves_projection(&self) -> bool {
        self.saves_projection
    }

    /// The matrices of all layers, `[largest d_in, rank]` and `[largest d_out, rank]`.
    pub fn projections(&self) -> [&SharedMatrix; 2] {
        [&self.a, &self.b]
    }

    /// The layer's part of them: `A`, `[d_in, rank]`, and the transpose of `B`, `[d_out, rank]`.
    fn factors(&self) -> [Tensor<2>; 2] {
        let ([d_out], dtype) = (self.lambda_b.dims(), self.lambda_b.dtype());
        [
            self.a.value().narrow(0, 0, self.d_in).cast(dtype),
            self.b.value().narrow(0, 0, d_out).cast(dtype),
        ]
    }
}

impl Adapter for Vera {
    const NAME: &'static str = "vera";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let [a, b] = self.factors();
        let delta = (a * self.lambda_d.val().unsqueeze()).matmul(b.transpose());
        let delta = delta * self.lambda_b.val().unsqueeze();
        base.dense_in(delta.dtype()) + delta.reshape(base.dims())
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        dropped_input(&self.dropout, training)
    }

    fn shared(&mut self) -> Vec<&mut SharedMatrix> {
        vec![&mut self.a, &mut self.b]
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = self
            .dropout
            .forward(x.into_rows().cast(self.lambda_d.dtype()));
        let [a, b] = self.factors();
        // [rows, rank]
        let hidden = peft_kernels::linear(x, a, None) * self.lambda_d.val().unsqueeze();
        let delta = peft_kernels::transposed_product(hidden, b) * self.lambda_b.val().unsqueeze();
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
