//! [`AdaLora`]: a low-rank adapter with a value for each direction, `W' = W + s · A diag(E) B`.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Int, Tensor, TensorData};
use peft_core::{Adapter, FrozenLinear, FrozenWeight, LayerInput, dropped_input};

use super::Importance;

/// A low-rank adapter whose directions come and go: one whose value is zero does nothing.
#[derive(Module, Debug)]
pub struct AdaLora {
    /// `A`, `[d_in, rank]`.
    pub lora_a: Param<Tensor<2>>,
    /// `E`, `[rank]`.
    pub lora_e: Param<Tensor<1>>,
    /// `B`, `[rank, d_out]`.
    pub lora_b: Param<Tensor<2>>,
    /// What is known of the importance of each element, in a run that moves ranks.
    pub importance: Option<Importance>,
    scale: f64,
    /// Of the ranks that there were at first, those that these are.
    #[module(skip)]
    kept: Vec<bool>,
    dropout: Dropout,
}

impl AdaLora {
    /// An adapter from its parts; `kept` says of the ranks that there were at first which these
    /// are. Where none is left, `kept` says so, and the parts are of one rank whose values
    /// are zero.
    ///
    /// # Shapes
    ///
    /// `a` is `[d_in, rank]`, `e` `[rank]`, `b` `[rank, d_out]`; as many of `kept` are true.
    ///
    /// # Panics
    ///
    /// If the ranks differ, or `dropout` is not in `[0, 1)`.
    pub fn new(
        (a, e, b): (Tensor<2>, Tensor<1>, Tensor<2>),
        alpha: f64,
        kept: Vec<bool>,
        dropout: f64,
    ) -> Self {
        let rank = kept.iter().filter(|kept| **kept).count().max(1);
        assert!(
            a.dims()[1] == rank && e.dims() == [rank] && b.dims()[0] == rank,
            "the parts of a low-rank adapter share the rank"
        );
        Self {
            lora_a: Param::from_tensor(a),
            lora_e: Param::from_tensor(e),
            lora_b: Param::from_tensor(b),
            importance: None,
            // By the rank at first, whatever is left of it, and this much more, as in PEFT.
            scale: alpha / (kept.len() as f64 + 1e-5),
            kept,
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// With room for the importance of its elements, of which nothing is known yet.
    pub fn with_importance(mut self) -> Self {
        let [d_in, rank] = self.lora_a.val().dims();
        let d_out = self.lora_b.val().dims()[1];
        self.importance = Some(Importance::new([d_in, rank, d_out], &self.lora_a.val()));
        self
    }

    /// The rank.
    pub fn rank(&self) -> usize {
        self.lora_e.lazy_shape()[0]
    }

    /// The factor `s` of the product.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Which of its ranks are left.
    fn left(&self) -> Vec<bool> {
        match &self.importance {
            Some(known) => known.left(),
            // One that does nothing stands where there are none.
            None => vec![self.kept.contains(&true); self.rank()],
        }
    }

    /// The ranks that there were at first, and whether each is [left](Self::parts_left).
    pub fn ranks(&self) -> Vec<bool> {
        let mut left = self.left().into_iter();
        let each = self.kept.iter();
        each.map(|kept| *kept && left.next().unwrap_or(false))
            .collect()
    }

    /// `A`, `E` and `B` of the ranks that are left; nothing where none is.
    pub fn parts_left(&self) -> Option<(Tensor<2>, Tensor<1>, Tensor<2>)> {
        let (a, e, b) = (self.lora_a.val(), self.lora_e.val(), self.lora_b.val());
        let left = self.left();
        if !left.contains(&true) {
            return None;
        }
        if !left.contains(&false) {
            return Some((a, e, b));
        }
        let at = left.iter().enumerate().filter(|(_, left)| **left);
        let at: Vec<i32> = at.map(|(at, _)| at as i32).collect();
        let n = at.len();
        let at = Tensor::<1, Int>::from_data(TensorData::new(at, [n]), &a.device());
        Some((
            a.select(1, at.clone()),
            e.select(0, at.clone()),
            b.select(0, at),
        ))
    }

    /// `[d_in, d_out]`.
    pub fn sides(&self) -> [usize; 2] {
        [self.lora_a.lazy_shape()[0], self.lora_b.lazy_shape()[1]]
    }

    /// `s · A diag(E) B`, `[d_in, d_out]`.
    pub fn delta(&self) -> Tensor<2> {
        let scaled = self.lora_a.val() * self.lora_e.val().mul_scalar(self.scale).unsqueeze();
        scaled.matmul(self.lora_b.val())
    }
}

impl Adapter for AdaLora {
    const NAME: &'static str = "adalora";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.delta().reshape(base.dims());
        base.dense_in(delta.dtype()) + delta
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        dropped_input(&self.dropout, training)
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = self
            .dropout
            .forward(x.into_rows().cast(self.lora_a.dtype()));
        let hidden = peft_kernels::linear(x, self.lora_a.val(), None); // [rows, rank]
        let hidden = hidden * self.lora_e.val().mul_scalar(self.scale).unsqueeze();
        let delta = peft_kernels::linear(hidden, self.lora_b.val(), None);
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
