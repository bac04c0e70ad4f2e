//! LoRA that begins with what packing has left out.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{FrozenWeight, slots};
use peft_kernels::{PackedFormat, Packer};
use peft_lora::{Lora, LoraConfig, LoraInit, Spectrum};
use peft_tests::read_tensors;
use peft_tests::tolerance::PATHS;

use crate::fixture::{assert_close, assert_same};
use crate::packed::packs;

peft_tests::cases!(
    loftq_begins_with_what_packing_leaves_out,
    the_product_is_that_of_peft,
);

const NAME: &str = "default";

/// `Q(W) + s A B` is nearer to `W` than `Q(W)` by all that a product of the rank can be (Eckart and
/// Young 1936), and the base is what it was.
fn loftq_begins_with_what_packing_leaves_out(device: &Device) {
    if !packs(device) {
        return;
    }
    let dims = [64, 32];
    let values: Vec<f32> = (0..64 * 32).map(|i| (i as f32 * 1.7).sin()).collect();
    let dense = Tensor::<2>::from_data(TensorData::new(values.clone(), dims), device);
    for format in [PackedFormat::Nf4, PackedFormat::Q8_0] {
        let mut packer = Packer::new(format, dims).expect("it is made");
        // Blocks run along the inputs, output by output.
        let by_output = dense.clone().transpose().into_data();
        packer.push(&by_output.iter::<f32>().collect::<Vec<f32>>());
        let held = packer.finish(dims).expect("as many values");
        let weight = held.into_tensor(DType::F32, device).expect("it is held");
        let layer = burn::nn::Linear {
            weight: burn::module::Param::from_tensor(weight),
            bias: None,
        };
        let packed = FrozenWeight::of(&layer.weight);
        let left = dense.clone() - packed.dense();
        let config = LoraConfig::new(3, -4.5).with_init(LoraInit::Loftq);
        let mut adapted = layer.clone();
        config
            .attach_to_packed(&mut adapted, NAME, |_| Ok(dense.clone()))
            .expect("it attaches");
        assert_eq!(FrozenWeight::of(&adapted.weight).packed(), Some(format));
        let x = crate::fixture::values([5, 64], 1.0, device);
        let (_, slot) = slots(&adapted).remove(0);
        let lora = slot.get::<Lora>(NAME).expect("a LoRA");
        let delta = lora.delta();
        let y = peft_core::linear(&layer, x.clone()) + x.clone().matmul(delta.clone());
        assert_close(&peft_core::linear(&adapted, x), &y, 1e-4);
        let length = |x: Tensor<2>| f64::from(x.square().sum().into_scalar::<f32>());
        let all = Spectrum::of(left.clone()).expect("it is finite");
        let best = all.energy() * (1.0 - all.energy_at(3));
        let found = length(left - delta);
        assert!(found < 1.02 * best, "{format:?}: {found}, best {best}");
        let refused = config
            .attach(&mut layer.clone(), NAME)
            .expect_err("no weights");
        assert!(
            refused.to_string().contains("attach_to_packed"),
            "{refused}"
        );
    }
    let mut layer = burn::nn::Linear {
        weight: burn::module::Param::from_tensor(dense.clone()),
        bias: None,
    };
    let config = LoraConfig::new(3, 4.0).with_init(LoraInit::Loftq);
    let refused = config.attach_to_packed(&mut layer, NAME, |_| Ok(dense.clone()));
    let refused = refused.expect_err("nothing is left out").to_string();
    assert!(refused.contains("not packed"), "{refused}");
}

/// PEFT's `loftq_init` with bitsandbytes' nf4: the packed weight to the bit, and the product of the
/// factors, relative to its largest element. PEFT does not divide by the scale, which is 1 there.
fn the_product_is_that_of_peft(device: &Device) {
    if !packs(device) {
        return;
    }
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/loftq");
    // One rank for which all directions are found, one for which the largest are.
    for (name, rank) in [("nf4_exact", 6), ("nf4_leading", 3)] {
        let golden = read_tensors(&goldens.join(name).join("expected.safetensors"));
        let (shape, by_output) = &golden["weight"];
        let by_output: Vec<f32> = by_output.iter().map(|x| *x as f32).collect();
        let dims = [shape[1], shape[0]];
        let read = |key: &str| {
            let (shape, values) = &golden[key];
            let data = TensorData::new(values.clone(), [shape[0], shape[1]]);
            Tensor::<2>::from_data(data, (device, DType::F32)).transpose()
        };
        let mut packer = Packer::new(PackedFormat::Nf4, dims).expect("it is made");
        packer.push(&by_output);
        let held = packer.finish(dims).expect("as many values");
        let weight = held.into_tensor(DType::F32, device).expect("it is held");
        let mut layer = burn::nn::Linear {
            weight: burn::module::Param::from_tensor(weight),
            bias: None,
        };
        assert_same(&FrozenWeight::of(&layer.weight).dense(), &read("packed"));
        // Of another scale: what acts is the same.
        let config = LoraConfig::new(rank, 2.5 * rank as f64).with_init(LoraInit::Loftq);
        config
            .attach_to_packed(&mut layer, NAME, |_| Ok(read("weight")))
            .expect("it attaches");
        let (_, slot) = slots(&layer).remove(0);
        let lora = slot.get::<Lora>(NAME).expect("a LoRA");
        // PEFT decomposes in f32, in which directions whose singular values are 2 % apart turn into
        // each other by 10⁻⁷ / 0.02 of their length.
        let largest = |x: Tensor<2>| x.abs().max().into_scalar::<f32>();
        let apart = largest(lora.delta() - read("delta")) / largest(read("delta"));
        assert!(apart < PATHS, "{name}: {apart}");
    }
}
