//! [`Step`]: the loss and the gradients of a small model with LoRA, the same on every device.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData, bf16};
use peft_core::{MapParams, ParamPlace, Placed, VisitParams, map_params, visit_params};
use peft_lora::{LoraConfig, Targets};
use peft_models::{DecoderConfig, DecoderForCausalLm};
use peft_train::{Example, NextToken, Objective};

use crate::error::CliError;

const VOCABULARY: usize = 211;
/// Rows of different lengths, so that one is padded.
const LENGTHS: [usize; 2] = [48, 37];
/// How far the adapters are moved along their gradient for the slope.
const MOVE: f64 = 1e-2;

/// What a step gave.
pub(super) struct Step {
    loss: f64,
    gradients: BTreeMap<String, Vec<f32>>,
}

/// How far two are apart, relative to the largest.
pub(super) struct Difference {
    pub(super) loss: f64,
    pub(super) gradient: f64,
    /// The parameter whose gradient is farthest.
    pub(super) at: String,
}

impl Step {
    /// With the base in `dtype`, adapters in f32.
    pub(super) fn run(device: &Device, dtype: DType) -> Result<Self, CliError> {
        let device = device.clone().autodiff();
        let model = model(&device, dtype, None)?;
        let loss = loss(&model, &device);
        let value = f64::from(loss.clone().inner().into_scalar::<f32>());
        let mut read = Read {
            grads: &loss.backward(),
            found: BTreeMap::new(),
        };
        visit_params(&model, &mut read);
        Ok(Self {
            loss: value,
            gradients: read.found,
        })
    }

    /// How far it is from another.
    pub(super) fn beside(&self, other: &Self) -> Difference {
        let mut farthest = Difference {
            loss: (self.loss - other.loss).abs() / other.loss.abs(),
            gradient: 0.0,
            at: "none".into(),
        };
        for (path, wanted) in &other.gradients {
            let found = self.gradients.get(path);
            let apart = found
                .filter(|found| found.len() == wanted.len())
                .map_or(f64::INFINITY, |found| relative(found, wanted));
            if apart > farthest.gradient {
                farthest.gradient = apart;
                farthest.at.clone_from(path);
            }
        }
        farthest
    }

    /// How far the change of the loss along the gradient is from the gradient's own length,
    /// relative.
    pub(super) fn slope(&self, device: &Device) -> Result<f64, CliError> {
        let squares = self.gradients.values().flatten();
        let length = squares
            .map(|x| f64::from(*x) * f64::from(*x))
            .sum::<f64>()
            .sqrt();
        let at = |by: f64| -> Result<f64, CliError> {
            let model = model(device, DType::F32, Some((self, by / length)))?;
            Ok(f64::from(loss(&model, device).into_scalar::<f32>()))
        };
        let slope = (at(MOVE)? - at(-MOVE)?) / (2.0 * MOVE);
        Ok((slope - length).abs() / length)
    }
}

/// The largest difference by the largest value.
fn relative(found: &[f32], wanted: &[f32]) -> f64 {
    let largest = wanted
        .iter()
        .fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let of = |(found, wanted): (&f32, &f32)| match (found - wanted).abs() / largest {
        apart if apart.is_nan() => f64::INFINITY,
        apart => apart.into(),
    };
    found.iter().zip(wanted).map(of).fold(0.0, f64::max)
}

fn loss(model: &DecoderForCausalLm, device: &Device) -> Tensor<1> {
    let rows = LENGTHS.map(|length| {
        let ids = (0..length).map(|i| (i * 37 % VOCABULARY) as u32).collect();
        Example::new(ids, (0..length).map(|i| i > 0).collect())
    });
    let rows: Vec<&Example> = rows.iter().collect();
    NextToken
        .loss_sum(model, &rows, device)
        .div_scalar(LENGTHS.iter().sum::<usize>() as f64)
}

/// A small decoder with an adapter on every linear layer; of values that are the same everywhere,
/// those of adapters moved along a step's gradients.
fn model(
    device: &Device,
    dtype: DType,
    moved: Option<(&Step, f64)>,
) -> Result<DecoderForCausalLm, CliError> {
    let config = DecoderConfig {
        n_kv_heads: 2,
        ..DecoderConfig::llama(VOCABULARY, 96, 160, 3, 4)
    };
    let mut model = config.init(device);
    LoraConfig::new(8, 16.0)
        .with_targets(Targets::all_linear())
        .attach(&mut model, "default")?;
    Ok(map_params(model, &mut Fill { dtype, moved }))
}

struct Fill<'a> {
    dtype: DType,
    moved: Option<(&'a Step, f64)>,
}

impl MapParams for Fill<'_> {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let path = at.path();
        let shape = param.shape();
        let n = shape.num_elements();
        // Norms are near one, all else is small.
        let (middle, spread) = match D {
            1 => (1.0, 0.1),
            _ => (0.0, 0.2),
        };
        let mut state = path.bytes().fold(0x9E37_79B9u32, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        // Between -1 and 1, and none that bf16 has to round.
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bf16::from_f32(middle + spread * (state as i32 as f32 / i32::MAX as f32)).to_f32()
        };
        let mut values: Vec<f32> = (0..n).map(|_| draw()).collect();
        let trains = param.is_require_grad();
        if let Some((step, by)) = self.moved
            && let Some(gradient) = step.gradients.get(&path)
        {
            for (value, gradient) in values.iter_mut().zip(gradient) {
                *value += by as f32 * gradient;
            }
        }
        let dtype = if trains || D == 1 {
            DType::F32
        } else {
            self.dtype
        };
        param.map(|old| {
            let data = TensorData::new(values, shape);
            Tensor::<D>::from_data(data, &old.device())
                .cast(dtype)
                .set_require_grad(trains)
        })
    }
}

struct Read<'a> {
    grads: &'a Gradients,
    found: BTreeMap<String, Vec<f32>>,
}

impl VisitParams for Read<'_> {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.grads) {
            let values = gradient.into_data().convert::<f32>().try_into_vec();
            self.found.insert(at.path(), values.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(loss: f64, gradient: &[f32]) -> Step {
        Step {
            loss,
            gradients: [("a".to_owned(), gradient.to_vec())].into(),
        }
    }

    #[test]
    fn what_is_wrong_is_far() {
        let right = step(2.0, &[1.0, -4.0]);
        let apart = |loss, gradient: &[f32]| {
            let found = step(loss, gradient).beside(&right);
            (found.loss, found.gradient)
        };
        assert_eq!(apart(2.0, &[1.0, -4.0]), (0.0, 0.0));
        assert_eq!(apart(2.5, &[1.0, -3.0]), (0.25, 0.25));
        // Too few, and no numbers.
        assert_eq!(apart(2.0, &[1.0]).1, f64::INFINITY);
        assert_eq!(apart(2.0, &[f32::NAN, -4.0]).1, f64::INFINITY);
    }
}
