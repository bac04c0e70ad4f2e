//! Which tensor of an adapter is which key of `adapter_model.safetensors`.

use std::collections::{BTreeSet, HashMap};

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{AdapterSlot, LayerKind, Whole, layers, slots, statistics};

use super::AdapterFileError;
use super::methods::{Part, parts};
use super::save::Named;
use crate::params::{StoredParam, in_out, stored_params};

/// One tensor of an attached adapter.
pub(super) struct Entry {
    pub(super) key: String,
    /// The path of the parameter whose slot holds it.
    pub(super) slot: String,
    part: Part,
}

/// The tensors of adapter `name` in the model's slots, in its order; PEFT puts `prefix` before a module's path.
pub(super) fn entries<M: Module>(
    model: &M,
    name: &str,
    prefix: &str,
) -> Result<Vec<Entry>, AdapterFileError> {
    let kinds: Vec<(String, LayerKind)> = layers(model)
        .into_iter()
        .map(|layer| (layer.path, layer.kind))
        .collect();
    let stored = stored_params(model).into_iter();
    let stored: HashMap<String, StoredParam> =
        stored.map(|param| (param.path.clone(), param)).collect();
    let slots = slots(model);
    let mut entries = Vec::new();
    for (path, slot) in slots.iter().filter(|(_, slot)| slot.contains(name)) {
        let (module, param) = path.rsplit_once('.').unwrap_or(("", path));
        let kind = kinds
            .iter()
            .find(|(layer, _)| layer == module)
            .map(|(_, kind)| *kind);
        let parts = if let Some(parts) = parts(slot, name, kind) {
            parts
        } else if let Some(shape) = whole_shape(slot, name) {
            // A bias trained beside an adapter on the same layer sits inside PEFT's wrapper of that layer.
            let wrapped = param == "bias"
                && slots.iter().any(|(other, slot)| {
                    *other == format!("{module}.weight")
                        && slot.contains(name)
                        && slot.method(name) != Some("whole")
                });
            let own = stored.get(path);
            let suffix = match wrapped {
                true => "base_layer.bias".to_owned(),
                false => own.map_or(param, StoredParam::name).to_owned(),
            };
            let transposed = own.is_some_and(|param| param.transposed);
            vec![whole_part(suffix, shape, transposed)]
        } else {
            return Err(AdapterFileError::UnsupportedMethod {
                adapter: name.into(),
                path: path.clone(),
                method: slot.method(name).unwrap_or("unknown").into(),
            });
        };
        entries.extend(parts.into_iter().map(|part| Entry {
            key: format!("{prefix}{module}.{}", part.suffix),
            slot: path.clone(),
            part,
        }));
    }
    Ok(entries)
}

/// The running statistics that belong to an adapter: those of batch norms that train whole with it,
/// for instance.
pub(super) struct Running {
    /// Their values, with the path and the key of each.
    pub(super) values: Vec<(String, String, TensorData)>,
    /// The keys of the counts of batches that torch keeps beside them. PEFT asks for them; here, as
    /// with torch's usual momentum, they do nothing.
    pub(super) counts: BTreeSet<String>,
}

/// The running statistics of adapter `name`.
pub(super) fn running<M: Module>(model: &M, name: &str, prefix: &str) -> Running {
    let values = statistics(model, name);
    let of_norm = |param: &StoredParam| {
        let module = param.path.rsplit_once('.').map_or("", |(module, _)| module);
        (values.contains_key(&param.path) && param.is_of_batch_norm())
            .then(|| format!("{prefix}{module}.num_batches_tracked"))
    };
    let counts = match values.is_empty() {
        true => BTreeSet::new(),
        false => stored_params(model).iter().filter_map(of_norm).collect(),
    };
    let keyed = |(path, data): (String, TensorData)| {
        let key = format!("{prefix}{path}");
        (path, key, data)
    };
    Running {
        values: values.into_iter().map(keyed).collect(),
        counts,
    }
}

/// All tensors of adapter `name` with their keys and shapes, as a file has them.
pub(super) fn named_tensors<M: Module>(
    model: &M,
    name: &str,
    entries: &[Entry],
    prefix: &str,
) -> Named {
    let slots: HashMap<String, AdapterSlot> = slots(model).into_iter().collect();
    let mut tensors = Named::with_capacity(entries.len());
    for entry in entries {
        let slot = slots.get(&entry.slot);
        if let Some(data) = slot.and_then(|slot| entry.read(slot, name)) {
            let data = data.convert_dtype(DType::F32);
            tensors.push((entry.key.clone(), entry.shape().to_vec(), data));
        }
    }
    let running = running(model, name, prefix);
    for (_, key, data) in running.values {
        let data = data.convert_dtype(DType::F32);
        tensors.push((key, data.shape().to_vec(), data));
    }
    for key in running.counts {
        tensors.push((key, Vec::new(), TensorData::new(vec![0_i64], [0; 0])));
    }
    tensors
}

/// Runs `$body` with `$rank` as each rank that a model's parameters have.
macro_rules! each_rank {
    ($rank:ident => $body:block) => {{
        {
            const $rank: usize = 1;
            $body
        }
        {
            const $rank: usize = 2;
            $body
        }
        {
            const $rank: usize = 3;
            $body
        }
        {
            const $rank: usize = 4;
            $body
        }
        {
            const $rank: usize = 5;
            $body
        }
    }};
}

/// The shape of a [`Whole`].
fn whole_shape(slot: &AdapterSlot, name: &str) -> Option<Vec<usize>> {
    each_rank!(D => {
        if let Some(whole) = slot.get::<Whole<D>>(name) {
            return Some(whole.value.lazy_shape().to_vec());
        }
    });
    None
}

/// A [`Whole`]; the weight of a linear layer lies the other way round in a file.
fn whole_part(suffix: String, mut shape: Vec<usize>, transposed: bool) -> Part {
    if transposed {
        shape.reverse();
        return Part {
            suffix,
            shape,
            read: |slot, name| {
                let whole = slot.get::<Whole<2>>(name)?;
                Some(whole.value.val().transpose().into_data())
            },
            write: |slot, name, data, device| {
                slot.set(name, Whole::new(in_out(data, (device, DType::F32))));
            },
        };
    }
    Part {
        suffix,
        shape,
        read: |slot, name| {
            each_rank!(D => {
                if let Some(whole) = slot.get::<Whole<D>>(name) {
                    return Some(whole.value.val().into_data());
                }
            });
            None
        },
        write: |slot, name, data, device| match data.rank() {
            1 => put::<1>(slot, name, data, device),
            2 => put::<2>(slot, name, data, device),
            3 => put::<3>(slot, name, data, device),
            4 => put::<4>(slot, name, data, device),
            5 => put::<5>(slot, name, data, device),
            _ => {}
        },
    }
}

fn put<const D: usize>(slot: &mut AdapterSlot, name: &str, data: TensorData, device: &Device) {
    let tensor = Tensor::<D>::from_data(data, (device, DType::F32));
    slot.set(name, Whole::new(tensor));
}

impl Entry {
    /// The shape in the file.
    pub(super) fn shape(&self) -> &[usize] {
        &self.part.shape
    }

    /// The tensor's values in the file's layout.
    pub(super) fn read(&self, slot: &AdapterSlot, name: &str) -> Option<TensorData> {
        (self.part.read)(slot, name)
    }

    /// Put the file's values in the place of the adapter's tensor.
    pub(super) fn write(
        &self,
        slot: &mut AdapterSlot,
        name: &str,
        data: TensorData,
        device: &Device,
    ) {
        (self.part.write)(slot, name, data, device);
    }
}
