//! [`Prefix`]: keys and values that come before a text's in every layer.

use burn::module::{Module, Param};
use burn::tensor::{DType, Int, Tensor};
use peft_core::{AttachReport, PeftError, Summary, train_whole};
use peft_model::{Context, InputAdapter, Stages, Transformer};

use crate::{PrefixProjection, PrefixShape, Prefixed};

/// Trained keys and values for every layer, or what a projection makes them from.
///
/// They are put where nothing is read yet, before the first position of a text: every position sees
/// them, and positions count from their end. They are given as attention compares them, so rotation
/// does not touch them.
#[derive(Module, Debug)]
pub struct Prefix {
    /// `[n_virtual_tokens, n_layers · 2 · width]`: a layer's keys, then its values, head by head.
    /// With a projection what it reads, `[n_virtual_tokens, d_embedding]`.
    pub embedding: Param<Tensor<2>>,
    /// What makes the keys and values, where they are not trained by themselves.
    pub projection: Option<PrefixProjection>,
    #[module(skip)]
    shape: PrefixShape,
}

impl Prefix {
    /// A prefix from its parameters.
    ///
    /// # Shapes
    ///
    /// As [`embedding`](Self::embedding) and [`PrefixProjection`] say.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] where they do not fit one another, or the shape.
    pub fn new(
        embedding: Tensor<2>,
        projection: Option<PrefixProjection>,
        shape: PrefixShape,
    ) -> Result<Self, PeftError> {
        let [n, width] = embedding.dims();
        let dims = |layer: &burn::nn::Linear| layer.weight.lazy_shape().dims::<2>();
        let (d_in, d_out) = match &projection {
            None => (width, width),
            Some(projection) => {
                let ([d_in, hidden], [same, d_out]) =
                    (dims(&projection.down), dims(&projection.up));
                if same != hidden {
                    return Err(wrong(
                        "the second layer's input",
                        same.to_string(),
                        "as wide as the first layer's output",
                    ));
                }
                (d_in, d_out)
            }
        };
        if n == 0 {
            return Err(no_positions());
        }
        if d_in != width {
            return Err(wrong(
                "the prefix's embedding",
                format!("{width} wide"),
                "as wide as the projection's input",
            ));
        }
        if d_out != shape.flat_width() {
            return Err(wrong(
                "a prefix's position",
                format!("{d_out} wide, for {shape:?}"),
                "n_layers · 2 · n_kv_heads · head_dim wide",
            ));
        }
        Ok(Self {
            embedding: Param::from_tensor(embedding),
            projection,
            shape,
        })
    }

    /// Put the prefix before `model` and freeze the model itself, but for `modules`, by suffix,
    /// which train whole under `name`. Adapters that the model has train on.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched: a prefix that is there, modules that are not.
    pub fn attach<M: Transformer>(
        self,
        model: &mut Prefixed<M>,
        name: &str,
        modules: &[String],
    ) -> Result<AttachReport, PeftError> {
        Self::check_place(model)?;
        let trained_whole = train_whole(&mut model.model, name, modules)?;
        model.input = Some(self);
        Ok(AttachReport {
            adapter: name.into(),
            method: Self::NAME,
            layers: Vec::new(),
            trained_whole,
            replaced: Vec::new(),
            active: true,
            summary: Summary::of(model),
            warnings: Vec::new(),
        })
    }

    /// A model takes one prefix.
    pub(crate) fn check_place<M>(model: &Prefixed<M>) -> Result<(), PeftError> {
        match model.input {
            None => Ok(()),
            Some(_) => Err(PeftError::AlreadyThere { method: Self::NAME }),
        }
    }

    /// The model's keys and values.
    pub fn shape(&self) -> PrefixShape {
        self.shape
    }

    /// All keys and values, through the projection where there is one,
    /// `[n_virtual_tokens, n_layers · 2 · width]`: what is left of a prefix once it is trained.
    pub fn flat(&self) -> Tensor<2> {
        let embedding = self.embedding.val();
        match &self.projection {
            Some(projection) => projection.forward(embedding),
            None => embedding,
        }
    }

    /// The keys and values of each layer for `batch` rows.
    ///
    /// # Shapes
    ///
    /// All are `[batch, n_kv_heads, n_virtual_tokens, head_dim]`.
    pub fn layers(&self, batch: usize, dtype: DType) -> Vec<(Tensor<4>, Tensor<4>)> {
        let PrefixShape {
            n_layers,
            n_kv_heads,
            head_dim,
        } = self.shape;
        let n = self.n_virtual_tokens();
        let stacked = self
            .flat()
            .cast(dtype)
            .reshape([n, 2 * n_layers, n_kv_heads, head_dim])
            .permute([1, 2, 0, 3]); // [2 n_layers, n_kv_heads, n, head_dim]
        let rows = |pair: &Tensor<4>, at| {
            let one = pair.clone().narrow(0, at, 1);
            one.expand([batch, n_kv_heads, n, head_dim])
        };
        (0..n_layers)
            .map(|layer| {
                let pair = stacked.clone().narrow(0, 2 * layer, 2);
                (rows(&pair, 0), rows(&pair, 1))
            })
            .collect()
    }
}

impl InputAdapter for Prefix {
    const NAME: &'static str = "prefix";

    fn n_virtual_tokens(&self) -> usize {
        self.embedding.lazy_shape()[0]
    }

    fn prepare(&self, context: &mut Context) {
        context.give(self.layers(1, DType::F32));
    }

    /// The text's positions count on from the prefix's.
    fn embed_text(&self, model: &dyn Stages, ids: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        model.embed_text(ids, context)
    }
}

pub(crate) fn no_positions() -> PeftError {
    wrong("the number of virtual tokens", "0".into(), "at least 1")
}

pub(crate) fn wrong(field: &str, value: String, expected: &'static str) -> PeftError {
    PeftError::InvalidSetting {
        field: field.into(),
        value,
        expected,
    }
}
