//! [`base_digest`]: a number that tells one base model from another.

use std::collections::BTreeSet;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{Digest, FrozenWeight, ParamPlace, VisitParams, parameters, visit_params};
use peft_files::f32_to_bf16;
use rayon::prelude::*;

/// A digest of a model's own parameters but those at `except`, which a file holds.
///
/// The sum over the parameters of a digest (FNV-1a) of each one's path, shape and values, so the
/// order does not matter. Values count in bf16: a checkpoint has one digest whether it is run in
/// f32 or in bf16. What is run in f16 counts in f16, and the digest says so: `f16:...`. Weights
/// that are packed count by their blocks: `packed:...`.
pub fn base_digest<M: Module>(model: &M, except: &BTreeSet<String>) -> String {
    let of = own(model, except);
    let run = run(model, &of);
    let dtype = match run.half {
        Some(DType::F16) => DType::F16,
        _ => DType::BF16,
    };
    digest_in(model, of, dtype, run.packed)
}

/// The digest of the model's own parameters but those at `except`, where it is another than
/// `expected`. A model that is run in one of bf16 and f16 does not tell what it would be in the
/// other, nor a packed one what its blocks were made of: each passes for the same.
pub(crate) fn other_base<M: Module>(
    model: &M,
    except: &BTreeSet<String>,
    expected: &str,
) -> Option<String> {
    let of = own(model, except);
    let (expected_packed, kind) = match expected.strip_prefix(PACKED) {
        Some(kind) => (true, kind),
        None => (false, expected),
    };
    let dtype = match kind.starts_with(F16) {
        true => DType::F16,
        false => DType::BF16,
    };
    let run = run(model, &of);
    if run.packed != expected_packed {
        return None;
    }
    let half = run.half.filter(|half| *half != dtype);
    let found = half
        .is_none()
        .then(|| digest_in(model, of, dtype, run.packed))?;
    (found != expected).then_some(found)
}

/// What a digest begins with that is of a model in f16.
const F16: &str = "f16:";
/// And one of a model with packed weights, before that.
const PACKED: &str = "packed:";

fn own<M: Module>(model: &M, except: &BTreeSet<String>) -> BTreeSet<String> {
    let own = parameters(model).into_iter();
    let own = own.filter(|param| param.adapter.is_none() && !param.in_input_adapter);
    let own = own.filter(|param| !except.contains(&param.path));
    own.map(|param| param.path).collect()
}

/// What these parameters are held in.
fn run<M: Module>(model: &M, of: &BTreeSet<String>) -> Run {
    let mut find = Find {
        of,
        found: Run::default(),
    };
    visit_params(model, &mut find);
    find.found
}

fn digest_in<M: Module>(model: &M, of: BTreeSet<String>, dtype: DType, packed: bool) -> String {
    let mut sum = DigestSum {
        counts: of,
        dtype,
        waiting: Vec::new(),
        sum: 0,
    };
    visit_params(model, &mut sum);
    sum.add_waiting();
    let kind = if dtype == DType::F16 { F16 } else { "" };
    let packed = if packed { PACKED } else { "" };
    format!("{packed}{kind}{:016x}", sum.sum)
}

#[derive(Default)]
struct Run {
    /// The half precision that some of them are held in.
    half: Option<DType>,
    /// Whether any of them is packed.
    packed: bool,
}

struct Find<'a> {
    of: &'a BTreeSet<String>,
    found: Run,
}

impl VisitParams for Find<'_> {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        if self.of.contains(&at.path()) {
            let weight = FrozenWeight::of(param);
            let half = [DType::F16, DType::BF16].contains(&weight.dtype());
            let half = half.then_some(weight.dtype());
            self.found.half = self.found.half.or(half);
            self.found.packed |= weight.packed().is_some();
        }
    }
}

struct DigestSum {
    counts: BTreeSet<String>,
    dtype: DType,
    /// Parameters with their paths, whose digests the cores compute beside each other.
    waiting: Vec<(String, TensorData)>,
    sum: u64,
}

/// How many elements may wait.
const WAITING: usize = 1 << 22;

impl DigestSum {
    fn add_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_par_iter();
        let digests = waiting.map(|(path, data)| digest_of(&path, data, self.dtype));
        let sum = digests.reduce(|| 0, u64::wrapping_add);
        self.sum = self.sum.wrapping_add(sum);
    }
}

fn digest_of(path: &str, data: TensorData, dtype: DType) -> u64 {
    let mut digest = about(path, data.shape());
    add_values(&mut digest, data, dtype);
    digest.value()
}

fn about(path: &str, shape: &[usize]) -> Digest {
    let mut digest = Digest::default();
    path.bytes().for_each(|byte| digest.add(byte.into()));
    shape.iter().for_each(|n| digest.add(*n as u64));
    digest
}

fn add_values(digest: &mut Digest, data: TensorData, dtype: DType) {
    if let Ok(blocks) = data.as_slice::<u8>() {
        digest.add_bytes(blocks);
        return;
    }
    // Without a copy of them all in the other precision.
    if let (Ok(values), DType::BF16) = (data.as_slice::<f32>(), dtype) {
        let values = values
            .iter()
            .map(|value| u16::from_le_bytes(f32_to_bf16(*value)));
        values.for_each(|bits| digest.add(bits.into()));
        return;
    }
    let data = data.convert_dtype(dtype);
    let values = data.as_bytes().chunks_exact(2);
    values.for_each(|b| digest.add(u16::from_le_bytes([b[0], b[1]]).into()));
}

impl VisitParams for DigestSum {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let path = at.path();
        if !self.counts.contains(&path) {
            return;
        }
        let weight = FrozenWeight::of(param);
        let mut parts = weight.stored();
        match (parts.next(), parts.next()) {
            (Some(whole), None) => self.waiting.push((path, whole)),
            (first, second) => {
                let mut digest = about(&path, &weight.dims());
                for part in first.into_iter().chain(second).chain(parts) {
                    add_values(&mut digest, part, self.dtype);
                }
                self.sum = self.sum.wrapping_add(digest.value());
            }
        }
        let waiting = self.waiting.iter().map(|(_, data)| data.num_elements());
        if waiting.sum::<usize>() >= WAITING {
            self.add_waiting();
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;

    /// One that is read in parts has the digest of its values in one piece.
    #[test]
    fn a_large_parameter_counts_as_any_other() {
        let device = Device::flex();
        let model = LinearConfig::new(17, 300_000)
            .with_bias(false)
            .init(&device);
        let data = model.weight.val().into_data();
        let whole = digest_of("weight", data, DType::BF16);
        assert_eq!(
            base_digest(&model, &BTreeSet::new()),
            format!("{whole:016x}")
        );
    }
}
