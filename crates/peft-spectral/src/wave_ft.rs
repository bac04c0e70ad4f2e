//! [`WaveFt`]: coefficients of a wavelet transform, `W' = W + s · idwt(S)`.

use std::collections::HashMap;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, PeftError,
    Placed, Placement,
};
use serde::{Deserialize, Serialize};

use crate::settings::Place;
use crate::{SpectrumSettings, Wavelet};

/// What a coefficient of [`WaveFt`] is in the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaveFtBasis {
    /// A wavelet.
    Wavelet(Wavelet),
    /// One value of the weight.
    Places,
}

/// WaveFT on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaveFtConfig {
    /// How many coefficients there are and where, and the scale.
    pub settings: SpectrumSettings,
    /// What a coefficient is. Default: the wavelet `db1`.
    pub basis: WaveFtBasis,
    /// Whether layers have coefficients by their sizes, of which there are as many in all, and none
    /// by a pattern. Default: not.
    pub proportional: bool,
}

impl Placed for WaveFtConfig {
    fn placement(&self) -> &Placement {
        &self.settings.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.settings.placement
    }
}

impl WaveFtConfig {
    /// So many coefficients of this scale on every linear layer.
    pub fn new(coefficients: usize, scaling: f64) -> Self {
        let first = Wavelet::of_name("db1");
        Self {
            settings: SpectrumSettings::new(coefficients, scaling),
            basis: first.map_or(WaveFtBasis::Places, WaveFtBasis::Wavelet),
            proportional: false,
        }
    }

    /// What a coefficient is.
    pub fn with_basis(mut self, basis: WaveFtBasis) -> Self {
        self.basis = basis;
        self
    }

    /// Whether layers have coefficients by their sizes.
    pub fn with_proportional(mut self, proportional: bool) -> Self {
        self.proportional = proportional;
        self
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`; where layers have coefficients by
    /// their sizes, of the mean one.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        AdapterCost {
            parameters: self.settings.coefficients,
            products: d_in.saturating_mul(d_out),
            fixed: 0,
            kept: 0,
            keeps_input: true,
            formed: d_in.saturating_mul(d_out),
            forming: 0,
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
        let mut spreads: HashMap<([usize; 2], usize), Arc<Spread>> = HashMap::new();
        of.attach(model, name, self.proportional, |layer, n| {
            let spectrum = Param::from_tensor(build(layer, n)?);
            let spread = spreads.entry((layer.shape, n)).or_insert_with(|| {
                let places = of.places(layer.shape, n);
                Spread::new(layer.shape, &places, self.basis, of.scaling).into()
            });
            Ok(WaveFt {
                spectrum,
                spread: spread.clone(),
            })
        })
    }
}

/// Which values of a weight are made of which coefficients.
#[derive(Debug)]
struct Spread {
    shape: [usize; 2],
    /// What is added at once; later ones to values that have something already, so that sums have
    /// an order: where several are added to one value at once, GPUs add in any.
    rounds: Vec<Round>,
}

/// What is added to distinct values of a weight.
#[derive(Debug, Default)]
struct Round {
    /// Coefficients.
    of: Vec<i32>,
    /// Values of the weight, by rows of inputs.
    to: Vec<i32>,
    /// What the coefficients are multiplied by.
    by: Vec<f32>,
}

impl Spread {
    fn new(shape: [usize; 2], places: &[Place], basis: WaveFtBasis, scaling: f64) -> Self {
        let [d_in, d_out] = shape;
        let mut rounds: Vec<Round> = Vec::new();
        let mut added = vec![0; d_in * d_out];
        for (i, place) in (0..).zip(places) {
            let mut each = |[output, input]: Place, value: f64| {
                let to = input * d_out + output;
                if added[to] == rounds.len() {
                    rounds.push(Round::default());
                }
                let round = &mut rounds[added[to]];
                added[to] += 1;
                round.of.push(i);
                // It is below the number of values, which is checked.
                round.to.push(to as i32);
                round.by.push((value * scaling) as f32);
            };
            match basis {
                WaveFtBasis::Wavelet(wavelet) => wavelet.spread([d_out, d_in], *place, each),
                WaveFtBasis::Places => each(*place, 1.0),
            }
        }
        Self { shape, rounds }
    }

    /// The change that coefficients are, `[d_in, d_out]`.
    fn delta(&self, spectrum: Tensor<1>) -> Tensor<2> {
        let [d_in, d_out] = self.shape;
        let (device, dtype) = (spectrum.device(), spectrum.dtype());
        let none = Tensor::<1>::zeros([d_in * d_out], (&device, dtype));
        let delta = self.rounds.iter().fold(none, |delta, round| {
            let by = TensorData::new(round.by.clone(), [round.by.len()]);
            let by = Tensor::<1>::from_data(by, (&device, DType::F32)).cast(dtype);
            let values = spectrum.clone().select(0, whole(&round.of, &device)) * by;
            delta.scatter(0, whole(&round.to, &device), values, IndexingUpdateOp::Add)
        });
        delta.reshape([d_in, d_out])
    }
}

fn whole(values: &[i32], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// Coefficients of wavelets beside a frozen weight.
#[derive(Module, Debug)]
pub struct WaveFt {
    /// The coefficients, `[n]`; zero at first.
    pub spectrum: Param<Tensor<1>>,
    #[module(skip)]
    spread: Arc<Spread>,
}

impl Adapter for WaveFt {
    const NAME: &'static str = "waveft";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.spread.delta(self.spectrum.val()).reshape(base.dims());
        base.dense_in(delta.dtype()) + delta
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = x.into_rows().cast(self.spectrum.dtype());
        let delta = peft_kernels::linear(x, self.spread.delta(self.spectrum.val()), None);
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Where a backend adds to one value several times at once, the order, and so the bits, may be
    /// any.
    #[test]
    fn a_round_adds_to_a_value_once() {
        let shape = [12, 9];
        for name in ["db1", "coif1", "sym5"] {
            let wavelet = Wavelet::of_name(name).expect("it is known");
            let places: Vec<Place> = (0..9).flat_map(|y| (0..12).map(move |x| [y, x])).collect();
            let spread = Spread::new(shape, &places, WaveFtBasis::Wavelet(wavelet), 1.0);
            assert!(spread.rounds.len() > 1);
            let mut all = 0;
            for round in &spread.rounds {
                let distinct: HashSet<i32> = round.to.iter().copied().collect();
                assert_eq!(distinct.len(), round.to.len());
                assert_eq!([round.of.len(), round.by.len()], [round.to.len(); 2]);
                all += round.to.len();
            }
            let mut given = 0;
            for place in &places {
                wavelet.spread([9, 12], *place, |_, _| given += 1);
            }
            assert_eq!(all, given);
        }
    }
}
