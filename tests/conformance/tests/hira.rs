//! A method that is not of this workspace, whole: HiRA, `W' = W ∘ (1 + s A B)` (Huang et al., ICLR
//! 2025). What follows the imports is all that its author writes to know whether it is right.

use burn::module::{Module, Param};
use burn::tensor::{DType, Distribution, Tensor};
use peft_conformance::AdapterFixture;
use peft_core::{
    Adapter, AttachReport, FrozenWeight, Layer, LayerKind, PeftError, Placement, attach,
};

/// `y = x (W ∘ (1 + s A B)) + b`: high in rank, and dense by definition, so that the trait's own
/// forward is right.
#[derive(Module, Debug)]
struct Hira {
    /// `[d_in, rank]`.
    a: Param<Tensor<2>>,
    /// `[rank, d_out]`.
    b: Param<Tensor<2>>,
    scale: f64,
}

impl Adapter for Hira {
    const NAME: &'static str = "hira";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let factor = self.a.val().matmul(self.b.val()).mul_scalar(self.scale) + 1.0;
        base.dense_in(factor.dtype()) * factor.reshape(base.dims())
    }
}

fn fresh(layer: &Layer) -> Hira {
    let ([d_in, d_out], on) = (layer.shape, (&layer.device, DType::F32));
    let normal = Distribution::Normal(0.0, 1.0 / (d_in as f64).sqrt());
    Hira {
        a: Param::from_tensor(Tensor::random([d_in, 3], normal, on)),
        b: Param::from_tensor(Tensor::zeros([3, d_out], on)),
        scale: 1.5,
    }
}

struct Fixture;

impl AdapterFixture for Fixture {
    type Adapter = Hira;
    const KINDS: &'static [LayerKind] = &[LayerKind::Linear, LayerKind::Embedding];
    const DENSE: bool = true;

    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError> {
        attach(model, name, placement, Self::KINDS, |layers| {
            Ok(layers.iter().map(fresh).collect())
        })
    }
}

mod hira {
    peft_conformance::adapter_suite!(super::Fixture);
}
