//! What trains whole with an adapter, a head for instance, and its running statistics, in files.

use std::collections::{BTreeSet, HashMap};

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{Adapter, AdapterSlot, PeftError, Whole, edit_slots, slots, statistics};

use super::AdapterFileError;
use super::tensors::{NamedTensors, TensorsFile};
use crate::params::{StoredParam, in_out, stored_params};

/// A parameter that trains whole with an adapter.
pub(super) struct WholeParam {
    pub(super) key: String,
    /// Its path in the model.
    pub(super) path: String,
    /// In the file's layout.
    pub(super) shape: Vec<usize>,
    /// Whether that is the parameter's the other way round.
    transposed: bool,
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

/// The parameters that train whole with adapter `name`, in the model's order; PEFT puts `prefix`
/// before a module's path.
pub(super) fn whole_params<M: Module>(model: &M, name: &str, prefix: &str) -> Vec<WholeParam> {
    let stored = stored_params(model).into_iter();
    let stored: HashMap<String, StoredParam> =
        stored.map(|param| (param.path.clone(), param)).collect();
    let slots = slots(model);
    let is_adapted = |weight: &str| {
        slots.iter().any(|(path, slot)| {
            path == weight && slot.contains(name) && slot.method(name) != Some(Whole::<1>::NAME)
        })
    };
    let whole = |(path, slot): &(String, AdapterSlot)| {
        let mut shape = whole_shape(slot, name)?;
        let (module, param) = path.rsplit_once('.').unwrap_or(("", path));
        // A bias trained beside an adapter on the same layer sits inside PEFT's wrapper of that
        // layer.
        let wrapped = param == "bias" && is_adapted(&format!("{module}.weight"));
        let own = stored.get(path);
        let name = match wrapped {
            true => "base_layer.bias",
            false => own.map_or(param, StoredParam::name),
        };
        let transposed = own.is_some_and(|param| param.transposed);
        if transposed {
            shape.reverse();
        }
        Some(WholeParam {
            key: format!("{prefix}{module}.{name}"),
            path: path.clone(),
            shape,
            transposed,
        })
    };
    slots.iter().filter_map(whole).collect()
}

/// The shape of the copy in a slot, where it holds one.
fn whole_shape(slot: &AdapterSlot, name: &str) -> Option<Vec<usize>> {
    each_rank!(D => {
        if let Some(whole) = slot.get::<Whole<D>>(name) {
            return Some(whole.value.lazy_shape().to_vec());
        }
    });
    None
}

impl WholeParam {
    /// Its values in the file's layout, as the slot has them.
    pub(super) fn read(&self, slot: &AdapterSlot, name: &str) -> Option<TensorData> {
        if self.transposed {
            let whole = slot.get::<Whole<2>>(name)?;
            return Some(whole.value.val().transpose().into_data());
        }
        each_rank!(D => {
            if let Some(whole) = slot.get::<Whole<D>>(name) {
                return Some(whole.value.val().into_data());
            }
        });
        None
    }

    /// Give the slot's copy a file's values.
    fn write(&self, slot: &mut AdapterSlot, name: &str, data: TensorData, device: &Device) {
        if self.transposed {
            let value = in_out(data, (device, DType::F32));
            slot.set(name, Whole::new(value));
            return;
        }
        let rank = data.rank();
        let mut data = Some(data);
        each_rank!(D => {
            if rank == D && let Some(data) = data.take() {
                let value = Tensor::<D>::from_data(data, (device, DType::F32));
                slot.set(name, Whole::new(value));
            }
        });
    }
}

/// Put a file's values into the copies that train whole with adapter `name`.
pub(super) fn load_whole<M: Module>(
    model: &mut M,
    name: &str,
    whole: &[WholeParam],
    file: &mut TensorsFile,
    device: &Device,
) -> Result<(), AdapterFileError> {
    let mut values = HashMap::new();
    for param in whole {
        if let Some(data) = file.take(&param.key, &param.shape)? {
            values.insert(param.path.as_str(), (param, data));
        }
    }
    if values.is_empty() {
        return Ok(());
    }
    let put = |path: &str, slot: &mut AdapterSlot| -> Result<(), PeftError> {
        if let Some((param, data)) = values.remove(path) {
            param.write(slot, name, data, device);
        }
        Ok(())
    };
    Ok(edit_slots(model, put)?)
}

/// The parameters of these modules are in the file, in their shapes: a config may name the whole
/// model, so they are compared before anything is copied.
pub(super) fn check_whole<M: Module>(
    file: &mut TensorsFile,
    model: &M,
    modules: &[String],
    prefix: &str,
) -> Result<(), AdapterFileError> {
    if modules.is_empty() {
        return Ok(());
    }
    for param in stored_params(model) {
        let Some((module, _)) = param.path.rsplit_once('.') else {
            continue;
        };
        let within = |whole: &String| {
            let rest = module.strip_prefix(whole.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if modules.iter().any(within) {
            file.has(&format!("{prefix}{module}.{}", param.name()), &param.shape);
        }
    }
    file.sound()
}

/// The running statistics that belong to an adapter: those of batch norms that train whole with it,
/// for instance.
pub(super) struct RunningStatistics {
    /// Their values, with the path and the key of each.
    pub(super) values: Vec<(String, String, TensorData)>,
    /// The keys of the counts of batches that torch keeps beside them. PEFT asks for them; here, as
    /// with torch's usual momentum, they do nothing.
    pub(super) counts: BTreeSet<String>,
}

/// The running statistics of adapter `name`.
pub(super) fn running<M: Module>(model: &M, name: &str, prefix: &str) -> RunningStatistics {
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
    RunningStatistics {
        values: values.into_iter().map(keyed).collect(),
        counts,
    }
}

impl RunningStatistics {
    /// As a file has them.
    pub(super) fn into_tensors(self) -> NamedTensors {
        let count = |key| (key, TensorData::new(vec![0_i64], [0; 0]));
        let values = self.values.into_iter();
        let values = values.map(|(_, key, data)| (key, data.convert_dtype(DType::F32)));
        values.chain(self.counts.into_iter().map(count)).collect()
    }
}
