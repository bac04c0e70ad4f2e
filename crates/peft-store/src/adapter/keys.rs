//! Which tensor of an adapter is which key of `adapter_model.safetensors`.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{AdapterSlot, LayerKind, Whole, layers, slots};
use peft_ia3::{Ia3, Ia3Side};
use peft_lora::Lora;

use super::AdapterFileError;

/// What PEFT puts before a module's path.
pub(super) const PREFIX: &str = "base_model.model.";

/// One tensor of an attached adapter: its key and shape in the file, and how it lies here.
pub(super) struct Entry {
    pub(super) key: String,
    /// The shape in the file, in torch's layout.
    pub(super) shape: Vec<usize>,
    /// The path of the parameter whose slot holds it.
    pub(super) slot: String,
    part: Part,
    transposed: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    LoraA,
    LoraB,
    Ia3,
    Whole,
}

/// The tensors of adapter `name`, in the model's order.
pub(super) fn entries<M: Module>(model: &M, name: &str) -> Result<Vec<Entry>, AdapterFileError> {
    let kinds: Vec<(String, LayerKind)> = layers(model)
        .into_iter()
        .map(|layer| (layer.path, layer.kind))
        .collect();
    let slots = slots(model);
    let mut entries = Vec::new();
    for (path, slot) in slots.iter().filter(|(_, slot)| slot.contains(name)) {
        let (module, param) = path.rsplit_once('.').unwrap_or(("", path));
        let kind = kinds
            .iter()
            .find(|(layer, _)| layer == module)
            .map(|(_, kind)| *kind);
        let mut add = |suffix: &str, shape: Vec<usize>, part, transposed: bool| {
            let mut shape = shape;
            if transposed {
                shape.reverse();
            }
            entries.push(Entry {
                key: format!("{PREFIX}{module}.{suffix}"),
                shape,
                slot: path.clone(),
                part,
                transposed,
            });
        };
        if let Some(lora) = slot.get::<Lora>(name) {
            let (a, b) = match kind {
                Some(LayerKind::Embedding) => ("lora_embedding_A", "lora_embedding_B"),
                _ => ("lora_A.weight", "lora_B.weight"),
            };
            add(a, lora.lora_a.lazy_shape().to_vec(), Part::LoraA, true);
            add(b, lora.lora_b.lazy_shape().to_vec(), Part::LoraB, true);
        } else if let Some(ia3) = slot.get::<Ia3>(name) {
            let width = ia3.scaling.lazy_shape()[0];
            let shape = match ia3.side() {
                Ia3Side::Output { .. } => vec![width, 1],
                Ia3Side::Input => vec![1, width],
            };
            add("ia3_l", shape, Part::Ia3, false);
        } else if let Some((shape, _)) = whole(slot, name) {
            // A bias trained beside an adapter on the same layer sits inside PEFT's wrapper of that layer.
            let wrapped = param == "bias"
                && slots.iter().any(|(other, slot)| {
                    *other == format!("{module}.weight")
                        && slot.contains(name)
                        && slot.method(name) != Some("whole")
                });
            let suffix = match wrapped {
                true => "base_layer.bias".to_owned(),
                false => param.to_owned(),
            };
            let transposed = kind == Some(LayerKind::Linear) && param == "weight";
            add(&suffix, shape, Part::Whole, transposed);
        } else {
            return Err(AdapterFileError::UnsupportedMethod {
                adapter: name.into(),
                path: path.clone(),
                method: slot.method(name).unwrap_or("unknown").into(),
            });
        }
    }
    Ok(entries)
}

/// A [`Whole`] of any rank that a model's parameters have: its shape, and how to read it.
fn whole(slot: &AdapterSlot, name: &str) -> Option<(Vec<usize>, TensorData)> {
    macro_rules! of_rank {
        ($($rank:literal)+) => {
            $(if let Some(whole) = slot.get::<Whole<$rank>>(name) {
                return Some((whole.value.lazy_shape().to_vec(), whole.value.val().into_data()));
            })+
        };
    }
    of_rank!(1 2 3 4 5);
    None
}

impl Entry {
    /// The tensor's values in the file's layout.
    pub(super) fn read(&self, slot: &AdapterSlot, name: &str) -> Option<TensorData> {
        let torch = |tensor: Tensor<2>| match self.transposed {
            true => tensor.transpose().into_data(),
            false => tensor.into_data(),
        };
        Some(match self.part {
            Part::LoraA => torch(slot.get::<Lora>(name)?.lora_a.val()),
            Part::LoraB => torch(slot.get::<Lora>(name)?.lora_b.val()),
            Part::Ia3 => slot.get::<Ia3>(name)?.scaling.val().into_data(),
            Part::Whole if self.transposed => torch(slot.get::<Whole<2>>(name)?.value.val()),
            Part::Whole => whole(slot, name)?.1,
        })
    }

    /// Put the file's values in the place of the adapter's tensor.
    pub(super) fn write(
        &self,
        slot: &mut AdapterSlot,
        name: &str,
        data: TensorData,
        device: &Device,
    ) {
        let matrix = |data: TensorData| {
            let tensor = Tensor::<2>::from_data(data, (device, DType::F32));
            if self.transposed {
                tensor.transpose()
            } else {
                tensor
            }
        };
        match self.part {
            Part::LoraA | Part::LoraB => {
                let Some(old) = slot.get::<Lora>(name) else {
                    return;
                };
                let (mut a, mut b) = (old.lora_a.val().detach(), old.lora_b.val().detach());
                if self.part == Part::LoraA {
                    a = matrix(data);
                } else {
                    b = matrix(data);
                }
                let lora = Lora::new(a, b, old.scale(), old.dropout());
                slot.insert(name, lora);
            }
            Part::Ia3 => {
                let Some(side) = slot.get::<Ia3>(name).map(Ia3::side) else {
                    return;
                };
                let width = self.shape.iter().product::<usize>();
                let scaling = Tensor::<2>::from_data(data, (device, DType::F32)).reshape([width]);
                slot.insert(name, Ia3::new(scaling, side));
            }
            Part::Whole if self.transposed => slot.insert(name, Whole::new(matrix(data))),
            Part::Whole => {
                macro_rules! of_rank {
                    ($($rank:literal)+) => {
                        match self.shape.len() {
                            $($rank => slot.insert(
                                name,
                                Whole::new(Tensor::<$rank>::from_data(data, (device, DType::F32))),
                            ),)+
                            _ => {}
                        }
                    };
                }
                of_rank!(1 2 3 4 5);
            }
        }
    }
}
