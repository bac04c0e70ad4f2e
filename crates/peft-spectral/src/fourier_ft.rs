//! [`FourierFt`]: coefficients of a Fourier transform, `W' = W + s · Re(F⁻¹(S))`.

use std::collections::HashMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, PeftError,
    Placed, Placement, SharedMatrix,
};
use serde::{Deserialize, Serialize};

use crate::SpectrumSettings;
use crate::settings::Place;
use crate::waves::waves;

/// FourierFT on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FourierFtConfig {
    /// How many coefficients there are and where, and the scale.
    pub settings: SpectrumSettings,
}

impl Placed for FourierFtConfig {
    fn placement(&self) -> &Placement {
        &self.settings.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.settings.placement
    }
}

impl FourierFtConfig {
    /// So many coefficients of this scale on every linear layer.
    pub fn new(coefficients: usize, scaling: f64) -> Self {
        Self {
            settings: SpectrumSettings::new(coefficients, scaling),
        }
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        let (n, dense) = (self.settings.coefficients, d_in.saturating_mul(d_out));
        let rank = n.saturating_mul(2);
        let factored = rank.saturating_mul(d_in.saturating_add(d_out));
        AdapterCost {
            parameters: n,
            products: factored.min(dense),
            fixed: if factored <= dense { factored } else { 0 },
            kept: if factored <= dense { rank } else { 0 },
            keeps_input: factored > dense,
            // The change; at the end the gradients of its first factor, which are larger.
            formed: if factored <= dense {
                0
            } else {
                rank.saturating_mul(d_in)
            },
            forming: if factored <= dense {
                0
            } else {
                rank.saturating_mul(dense).saturating_mul(2)
            },
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, n| Ok(layer.zeros([n])))
    }

    /// As [`attach`](Self::attach), with the coefficients that `build` gives for a layer and their
    /// number: of a file, for instance. It is asked for every layer, also after one that has
    /// failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, usize) -> Result<Tensor<1>, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let of = &self.settings;
        let mut bases: HashMap<([usize; 2], usize), Basis> = HashMap::new();
        of.attach(model, name, false, |layer, n| {
            let spectrum = Param::from_tensor(build(layer, n)?);
            let basis = bases.entry((layer.shape, n)).or_insert_with(|| {
                let places = of.places(layer.shape, n);
                Basis::new(layer.shape, &places, of.scaling, &layer.device)
            });
            Ok(FourierFt {
                spectrum,
                of_inputs: basis.of_inputs.clone(),
                of_outputs: basis.of_outputs.clone(),
            })
        })
    }
}

/// The waves of inputs and of outputs that a coefficient scales, which layers of one shape share.
struct Basis {
    of_inputs: SharedMatrix,
    of_outputs: SharedMatrix,
}

impl Basis {
    /// `cos(x + y) = cos x cos y − sin x sin y`: so a coefficient is two products of waves.
    fn new([d_in, d_out]: [usize; 2], places: &[Place], scaling: f64, device: &Device) -> Self {
        let scale = scaling / (d_in as f64 * d_out as f64);
        let of = |side: usize| places.iter().map(move |place| place[side]);
        let inputs = waves(d_in, of(1), [1.0, 1.0], device);
        let outputs = waves(d_out, of(0), [scale, -scale], device);
        let name = |side| format!("fourierft_{side}_{d_in}_{d_out}_{}", places.len());
        Self {
            of_inputs: SharedMatrix::new(&name("inputs"), inputs),
            of_outputs: SharedMatrix::new(&name("outputs"), outputs),
        }
    }
}

/// Coefficients of waves beside a frozen weight.
#[derive(Module, Debug)]
pub struct FourierFt {
    /// The coefficients, `[n]`; zero at first.
    pub spectrum: Param<Tensor<1>>,
    /// `[d_in, 2n]`.
    of_inputs: SharedMatrix,
    /// `[d_out, 2n]`, scaled.
    of_outputs: SharedMatrix,
}

impl FourierFt {
    /// Each coefficient for its cosines and its sines, `[1, 2n]`.
    fn coefficients(&self) -> Tensor<2> {
        self.spectrum.val().repeat_dim(0, 2).unsqueeze()
    }

    fn waves(&self) -> [Tensor<2>; 2] {
        let dtype = self.spectrum.dtype();
        [&self.of_inputs, &self.of_outputs].map(|of| of.value().cast(dtype))
    }

    /// `s · Re(F⁻¹(S))`, `[d_in, d_out]`.
    fn delta(&self) -> Tensor<2> {
        let [of_inputs, of_outputs] = self.waves();
        peft_kernels::matmul(of_inputs * self.coefficients(), of_outputs.transpose())
    }
}

impl Adapter for FourierFt {
    const NAME: &'static str = "fourierft";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.delta().reshape(base.dims());
        base.dense_in(delta.dtype()) + delta
    }

    fn shared(&mut self) -> Vec<&mut SharedMatrix> {
        vec![&mut self.of_inputs, &mut self.of_outputs]
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = x.into_rows().cast(self.spectrum.dtype());
        let [of_inputs, of_outputs] = self.waves();
        let ([d_in, rank], [d_out, _]) = (of_inputs.dims(), of_outputs.dims());
        let delta = match rank * (d_in + d_out) <= d_in * d_out {
            true => {
                let hidden = peft_kernels::linear(x, of_inputs, None) * self.coefficients();
                peft_kernels::transposed_product(hidden, of_outputs)
            }
            false => peft_kernels::linear(x, self.delta(), None),
        };
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
