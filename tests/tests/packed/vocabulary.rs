//! Embeddings and output layers in blocks: rows, products and models beside their dense values.

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_core::{ForwardPath, FrozenWeight, Placed, Targets};
use peft_kernels::PackedFormat;
use peft_lora::LoraConfig;
use peft_store::{Held, Quantise};
use peft_tests::tolerance::{GOLDEN_LOGITS, PATHS};

use super::{NF4, Q8, dense, load, logits, numbers, open, packed, packs};
use crate::fixture::{assert_close, filled_adapters};

peft_tests::cases!(on the cores:
    rows_and_products_are_those_of_the_dense_value,
    a_square_one_is_not_told_and_not_made,
    a_model_holds_its_ends_in_blocks,
    adapters_train_beside_a_packed_embedding,
);

fn rows_and_products_are_those_of_the_dense_value(device: &Device) {
    if !packs(device) {
        return;
    }
    let auto = device.clone().autodiff();
    for format in PackedFormat::ALL {
        let [n, width] = [70, 256];
        for dtype in [DType::F32, DType::BF16] {
            let held = packed(format, [width, n], 2.0).into_tensor(dtype, &auto);
            let embedding = held.expect("it is held").transpose();
            let weight = FrozenWeight::from(embedding);
            assert_eq!(weight.packed(), Some(format));
            assert_eq!(weight.dims(), [n, width]);
            let dense = weight.dense();
            let ids = Tensor::<2, Int>::from_ints([[0, 69, 3], [3, 3, 41]], &auto);
            let rows = weight.rows(ids.clone());
            assert_eq!(rows.dtype(), dtype);
            let expected = FrozenWeight::from(dense.clone()).rows(ids);
            assert_eq!(rows.into_data(), expected.into_data(), "{format}");
            assert_eq!(
                weight.columns(&[1, 255]).into_data(),
                FrozenWeight::from(dense.clone())
                    .columns(&[1, 255])
                    .into_data()
            );
            // The products are those of the weight that it is the transpose of, to the bit.
            let column = packed(format, [width, n], 2.0).into_tensor(dtype, &auto);
            let column = FrozenWeight::from(column.expect("it is held"));
            let x = |n: usize| -> Tensor<2> {
                let data = TensorData::new(numbers(3 * n, 1.0), [3, n]);
                Tensor::from_data(data, &auto).require_grad()
            };
            let (found, own) = (x(width), x(width));
            let tied = weight.transposed_product(found.clone());
            let expected = column.product(own.clone(), None);
            assert_eq!(tied.to_data(), expected.to_data());
            let [of_found, of_own] = [tied.clone(), expected].map(|y| y.square().sum().backward());
            let grads = [found.grad(&of_found), own.grad(&of_own)];
            let [found, own] = grads.map(|grad| grad.expect("a gradient").into_data());
            assert_eq!(found, own);
            let product = weight.product(x(n), None).into_data();
            assert_eq!(product, column.transposed_product(x(n)).into_data());
            if dtype == DType::F32 {
                let by_dense = x(width).matmul(dense.transpose());
                assert_close(&tied, &by_dense, PATHS * 1e2);
            }
        }
    }
}

fn a_square_one_is_not_told_and_not_made(device: &Device) {
    if !packs(device) {
        return;
    }
    let square = packed(PackedFormat::Q8_0, [64, 64], 1.0);
    let turned = square
        .into_tensor(DType::F32, device)
        .expect("held")
        .transpose();
    // Its transpose and it are one matrix to the eye: as a weight `[d_in, d_out]` it is read.
    assert_eq!(
        FrozenWeight::from(turned).packed(),
        Some(PackedFormat::Q8_0)
    );
}

fn a_model_holds_its_ends_in_blocks(device: &Device) {
    for (name, tied) in [("gqa", false), ("tied", true), ("gpt2", true)] {
        let path = format!("models/{name}");
        for quantise in [NF4, Q8] {
            if !packs(device) {
                continue;
            }
            let plain = open(&path, quantise).load(device, DType::F32);
            let plain = Held::of(&plain.expect("it loads"));
            let checkpoint = open(&path, quantise).with_quantised_vocabulary(true);
            let model = checkpoint.load(device, DType::F32).expect("it loads");
            let held = Held::of(&model);
            let count = |held: &Held| held.packed.values().map(|(n, _)| n).sum::<usize>();
            let ends = if tied { 1 } else { 2 };
            assert_eq!(count(&held), count(&plain) + ends, "{name}");
            assert!(held.bytes() < plain.bytes(), "{name}");
            let told = checkpoint.held(&model, device, DType::F32);
            let told = told.expect("it is told");
            let gap = told.bytes() as f64 - held.bytes() as f64;
            assert!(gap.abs() < 0.02 * held.bytes() as f64, "{told:?}, {held:?}");
            assert_close(&logits(&model), &logits(&dense(&model)), GOLDEN_LOGITS);
            // One that is near, and another than the file's.
            let whole = logits(&load(&path, Quantise::Dense, device));
            let gap = (logits(&model) - whole.clone())
                .abs()
                .max()
                .into_scalar::<f32>();
            let largest = whole.abs().max().into_scalar::<f32>();
            assert!(gap > 0.0 && gap < largest, "{name}: {gap} of {largest}");
        }
    }
    // A GGUF file's stays as it lies there.
    let file = "gguf/llama_q8_0.gguf";
    let expected = load(file, Quantise::Dense, device);
    let model = open(file, Quantise::AsStored).with_quantised_vocabulary(true);
    let model = model.load(device, DType::F32).expect("it loads");
    assert_close(&logits(&model), &logits(&expected), GOLDEN_LOGITS);
    if packs(device) {
        let plain = Held::of(&load(file, Quantise::AsStored, device));
        assert!(Held::of(&model).bytes() < plain.bytes());
    }
}

fn adapters_train_beside_a_packed_embedding(device: &Device) {
    if !packs(device) {
        return;
    }
    let auto = device.clone().autodiff();
    let checkpoint = open("models/tied", Q8).with_quantised_vocabulary(true);
    let adapted = |dense_base: bool| {
        let mut model = checkpoint.load(&auto, DType::F32).expect("it loads");
        if dense_base {
            model = dense(&model);
        }
        LoraConfig::new(2, 4.0)
            .with_targets(Targets::suffixes(["q_proj", "embed_tokens"]))
            .with_path(ForwardPath::Factored)
            .attach(&mut model, "default")
            .expect("it attaches");
        filled_adapters(model)
    };
    let gradients = |model: &peft_models::LanguageModel| {
        let loss = logits(model).square().mean();
        let grads = loss.backward();
        let grads = burn::optim::GradientsParams::from_grads(grads, model);
        (loss.into_scalar::<f32>(), grads.len())
    };
    let (found, n) = gradients(&adapted(false));
    let (expected, all) = gradients(&adapted(true));
    // The dense base has as many that train: the adapters' alone.
    assert_eq!(n, all);
    let near = |a: f32, b: f32| (a - b).abs() < 1e-4 * b.abs();
    assert!(near(found, expected), "{found} {expected}");
    // Whether it is in training or not, and wherever it goes.
    let model = adapted(false);
    assert_close(&logits(&model.valid()), &logits(&model).inner(), 1e-5);
}
