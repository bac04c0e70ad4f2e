//! Bases in blocks of a few bits a value.

use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{ForwardPath, FrozenWeight};
use peft_kernels::{PackedFormat, Packer, multiplies_packed};

use super::{Device, attach, everywhere, verified};
use crate::compare::apart;
use crate::tolerance::PATHS;
use crate::{AdapterFixture, Invariant, Net, assert_close, steps, with_gradient};

/// On packed linear layers outputs and gradients are those on their dense values, and steps leave
/// the blocks.
pub fn takes_a_packed_base<F: AdapterFixture>(device: &Device) {
    if !multiplies_packed(device) {
        return;
    }
    let on = &device.clone().autodiff();
    for format in [PackedFormat::Nf4, PackedFormat::Q8_0] {
        let path = ForwardPath::Factored;
        let packed = mapped(Net::new(on), |weight| packed(&weight, format));
        let dense = mapped(packed.clone(), |weight| FrozenWeight::from(weight).dense());
        let (base, blocks) = (packed.output(path), stored(&packed));
        assert_eq!(blocks.len(), 9, "{format}");
        let adapted = |mut model: Net| {
            attach::<F>(&mut model, "a", &everywhere::<F>(path));
            F::perturb(model)
        };
        let (model, dense) = (adapted(packed), adapted(dense));
        let (found, expected) = (model.output(path), dense.output(path));
        assert_close(&found, &expected, PATHS);
        assert!(apart(&found, &base) > 1e-2, "{format}");
        let found = with_gradient(&model, &model.loss(path));
        let expected = with_gradient(&dense, &dense.loss(path));
        assert!(!found.is_empty(), "{format}");
        assert!(found.keys().eq(expected.keys()), "{format}");
        for (name, gradient) in &found {
            let flat = |data: &TensorData| {
                let values: Vec<f32> = data.iter().collect();
                Tensor::<1>::from_floats(&values[..], device)
            };
            assert_close(&flat(gradient), &flat(&expected[name]), PATHS);
        }
        let (model, _) = steps(model, 3, |model| model.loss(path));
        assert_eq!(stored(&model), blocks, "{format}");
    }
    verified::<F>(Invariant::Packed, device);
}

fn packed(weight: &Tensor<2>, format: PackedFormat) -> Tensor<2> {
    let dims = weight.dims();
    let values: Vec<f32> = weight.clone().transpose().into_data().iter().collect();
    let mut packer = Packer::new(format, dims).expect("a format that is made");
    packer.push(&values);
    let blocks = packer.finish(dims).expect("as many values");
    let device = weight.device();
    blocks
        .into_tensor(DType::F32, &device)
        .expect("it packs here")
}

/// The bytes of each packed weight.
fn stored(model: &Net) -> Vec<TensorData> {
    let layers = model.layers.iter();
    let layers = layers.flat_map(|block| [&block.q_proj, &block.v_proj, &block.down_proj]);
    let weights = layers.map(|layer| FrozenWeight::from(layer.weight.base()));
    let packed = weights.filter(|weight| weight.packed().is_some());
    packed
        .flat_map(|weight| weight.stored().collect::<Vec<_>>())
        .collect()
}

/// The model with each weight of a block's linear layer replaced.
fn mapped(mut model: Net, mut replace: impl FnMut(Tensor<2>) -> Tensor<2>) -> Net {
    for block in &mut model.layers {
        for layer in [&mut block.q_proj, &mut block.v_proj, &mut block.down_proj] {
            let weight = layer.weight.clone();
            layer.weight = weight.map(|weight| replace(weight).set_require_grad(false));
        }
    }
    model
}
