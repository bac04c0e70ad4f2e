//! Values and bytes are bitsandbytes' and gguf-py's, bit for bit:
//! `tests/goldens/make_bnb.py` and `make_gguf.py`.

use burn::tensor::{DType, Device, bf16};
use peft_gguf::TensorType;
use peft_kernels::{
    NF4_CODES, Packed, PackedFormat, Packer, Signs, int8_values, packed_bytes, packed_format,
    unpacked,
};
use peft_models::LanguageModel;
use peft_store::{Quantise, base_digest};
use safetensors::SafeTensors;

use super::{floats, goldens, load, logits, packed, packs, read};

peft_tests::cases!(on the cores:
    nf4_is_bitsandbytes,
    a_model_quantised_here_is_as_bitsandbytes_has_it,
    int8_is_bitsandbytes,
    ggml_blocks_are_gguf_pys,
    codes_are_the_nearest_ones,
    pieces_are_joined,
    what_does_not_fit_is_refused,
    a_tensor_is_its_blocks,
    what_reads_a_packed_tensor_as_numbers_gets_none,
);

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Values that are packed, and values that are unpacked; with scales in f32 and in eight bits.
fn nf4_is_bitsandbytes(_: &Device) {
    let bytes = read(goldens().join("bnb/blocks.safetensors"));
    let file = SafeTensors::deserialize(&bytes).expect("it is sound");
    for name in ["whole", "across", "rest", "many"] {
        let key = |part: &str| format!("{name}.{part}");
        let weight = file.tensor(&key("weight")).expect("it is there");
        let [d_out, d_in] = weight.shape().try_into().expect("a matrix");
        let dims: [usize; 2] = [d_in, d_out];
        let data = |part: &str| file.tensor(&key(part)).expect("it is there").data();
        let theirs = Packed::of_nf4(dims, data("codes"), &floats(&file, &key("absmax")));
        let theirs = theirs.expect("it fits");
        assert_eq!(
            bits(&theirs.values()),
            bits(&floats(&file, &key("values"))),
            "{name}"
        );
        let mut packer = Packer::new(PackedFormat::Nf4, dims).expect("it is made");
        packer.push(&floats(&file, &key("weight")));
        assert_eq!(packer.finish(dims).expect("it fits"), theirs, "{name}");

        let table = floats(&file, &key("nested.nested_quant_map"));
        assert_eq!(bits(Signs::Both.values()), bits(&table));
        let double = Packed::of_nf4_double(
            dims,
            data("nested.codes"),
            data("nested.absmax"),
            &table.try_into().expect("256 values"),
            &floats(&file, &key("nested.nested_absmax")),
            floats(&file, &key("nested.offset"))[0],
        );
        let double = double.expect("it fits");
        let expected = floats(&file, &key("nested.values"));
        assert_eq!(bits(&double.values()), bits(&expected), "{name}, double");
        let mut packer = Packer::new(PackedFormat::Nf4Double, dims).expect("it is made");
        packer.push(&floats(&file, &key("weight")));
        let made = packer.finish(dims).expect("it fits");
        // A sum of all scales is in their mean, which is rounded otherwise.
        let largest = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        for (made, expected) in made.values().iter().zip(&expected) {
            let gap = (made - expected).abs();
            assert!(gap <= 1e-6 * largest, "{name}, double: {made}, {expected}");
        }
        // One byte too few is told.
        let short = &data("codes")[1..];
        let error = Packed::of_nf4(dims, short, &floats(&file, &key("absmax")));
        assert!(error.is_err());
    }
}

/// Of nf4 the same blocks. With scales in eight bits one lies in the middle between two codes, and
/// bitsandbytes, which rounds on the way, takes the other.
fn a_model_quantised_here_is_as_bitsandbytes_has_it(device: &Device) {
    if !packs(device) {
        return;
    }
    let pair = |name: &str, format| {
        let theirs = load(format!("bnb/{name}"), Quantise::AsStored, device);
        [load("bnb/dense", Quantise::To(format), device), theirs]
    };
    let [ours, theirs] = pair("nf4", PackedFormat::Nf4);
    let digest = |model: &LanguageModel| base_digest(model, &Default::default());
    assert_eq!(digest(&ours), digest(&theirs));
    let [ours, theirs] = pair("nf4_double", PackedFormat::Nf4Double);
    let gap = (logits(&ours) - logits(&theirs)).abs().max();
    let gap = gap.into_scalar::<f32>();
    assert!(gap < 5e-3, "{gap}");
}

fn int8_is_bitsandbytes(_: &Device) {
    let bytes = read(goldens().join("bnb/blocks.safetensors"));
    let file = SafeTensors::deserialize(&bytes).expect("it is sound");
    let codes = file.tensor("int8.codes").expect("it is there");
    let [d_out, d_in] = codes.shape().try_into().expect("a matrix");
    let scales = floats(&file, "int8.scales");
    let found = Packed::of_int8([d_in, d_out], codes.data(), &scales).expect("it fits");
    let expected = floats(&file, "int8.values");
    assert_eq!(bits(&found.values()), bits(&expected));
    assert_eq!(
        bits(&int8_values(codes.data(), &scales, d_in)),
        bits(&expected)
    );
    assert!(Packed::of_int8([d_in / 4, d_out * 4], codes.data(), &scales).is_err());
}

fn ggml_blocks_are_gguf_pys(_: &Device) {
    let opened = peft_gguf::open(&goldens().join("gguf/blocks.gguf")).expect("it is sound");
    let tensor = |name: String| {
        let mut places = opened.tensors.iter();
        let place = places.find(|place| place.key() == name).expect(&name);
        let mut bytes = vec![0; place.bytes()];
        place.read_at(0, &mut bytes).expect("it is read");
        (place, bytes)
    };
    let mut seen = 0;
    for ty in TensorType::ALL {
        let Some(format) = PackedFormat::of_ggml(ty) else {
            continue;
        };
        let (place, blocks) = tensor(format!("{ty}.blocks"));
        let [d_out, d_in] = place.shape().try_into().expect("a matrix");
        let found = Packed::new(format, [d_in, d_out], blocks).expect("it fits");
        let (_, values) = tensor(format!("{ty}.values"));
        let expected: Vec<u32> = (values.chunks_exact(4))
            .map(|b| u32::from_le_bytes(b.try_into().expect("4 bytes")))
            .collect();
        assert_eq!(bits(&found.values()), expected, "{ty}");
        seen += 1;
    }
    assert_eq!(seen, 8);
}

/// As a tensor a weight has its shape, its type, its blocks and its dense value, in every context.
fn a_tensor_is_its_blocks(device: &Device) {
    for format in PackedFormat::ALL {
        let weight = packed(format, [256, 5], 3.0);
        let (bytes, values) = (weight.bytes().to_vec(), weight.values());
        if !packs(device) {
            let error = weight
                .into_tensor(DType::F32, device)
                .expect_err("no product");
            assert!(
                error.to_string().contains("multiplied on `flex`"),
                "{error}"
            );
            continue;
        }
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            for device in [device.clone(), device.clone().autodiff()] {
                let tensor = weight
                    .clone()
                    .into_tensor(dtype, &device)
                    .expect("it is held");
                assert_eq!((tensor.dims(), tensor.dtype()), ([256, 5], dtype));
                assert_eq!(tensor.is_autodiff(), device.is_autodiff());
                let moved = tensor.clone().without_autodiff().autodiff().detach();
                for tensor in [tensor, moved] {
                    assert_eq!(packed_format(&tensor), Some(format));
                    assert_eq!(packed_bytes(&tensor), Some(bytes.clone()));
                }
            }
        }
        let tensor = weight.into_tensor(DType::F32, device).expect("it is held");
        let dense = unpacked(tensor.clone());
        assert_eq!(packed_format(&dense), None);
        let columns: Vec<f32> = dense.transpose().into_data().iter().collect();
        assert_eq!(bits(&columns), bits(&values), "{format}");
        let weight = packed(format, [256, 5], 3.0);
        let half = weight.into_tensor(DType::BF16, device).expect("it is held");
        let half: Vec<f32> = unpacked(half).transpose().into_data().iter().collect();
        let expected: Vec<f32> = values.iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
        assert_eq!(bits(&half), bits(&expected), "{format}");
    }
}

/// What is not told of blocks has no numbers to compute with, and not wrong ones.
fn what_reads_a_packed_tensor_as_numbers_gets_none(device: &Device) {
    if !packs(device) {
        return;
    }
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let weight = packed(PackedFormat::Nf4, [64, 5], 3.0);
        let tensor = weight.into_tensor(dtype, device).expect("it is held");
        let values: Vec<f32> = tensor.clone().into_data().iter().collect();
        assert_eq!(values.len(), 320);
        assert!(values.iter().all(|x| x.is_nan()), "{dtype:?}");
        assert!(
            (tensor.cast(DType::F32) + 1.0)
                .sum()
                .into_scalar::<f32>()
                .is_nan()
        );
    }
}

fn nf4(values: &[f32]) -> Vec<f32> {
    let dims = [values.len(), 1];
    let mut packer = Packer::new(PackedFormat::Nf4, dims).expect("it is made");
    packer.push(values);
    packer.finish(dims).expect("as many values").values()
}

/// Each value of the table is its own code, and a value between two is the nearer one's.
fn codes_are_the_nearest_ones(_: &Device) {
    let between = NF4_CODES.windows(2);
    let between = between.map(|pair| pair[0] * 0.6 + pair[1] * 0.4);
    let mut values: Vec<f32> = NF4_CODES.into_iter().chain(between).collect();
    values.resize(64, 0.0);
    values.iter_mut().for_each(|x| *x *= 3.0);
    let found = nf4(&values);
    let expected = NF4_CODES.iter().chain(&NF4_CODES[..15]).map(|x| x * 3.0);
    assert_eq!(found[..31], expected.collect::<Vec<f32>>());
    assert_eq!(found[31..], [0.0; 33]);
    for n in [1, 63, 64, 65] {
        assert_eq!(nf4(&vec![0.0; n]), vec![0.0; n]);
    }
}

/// Values in pieces of any length are those in one.
fn pieces_are_joined(_: &Device) {
    let values = super::numbers(333, 0.5);
    for format in [
        PackedFormat::Nf4,
        PackedFormat::Nf4Double,
        PackedFormat::Q8_0,
        PackedFormat::Q4_0,
    ] {
        let packed = |piece: usize| {
            let mut packer = Packer::new(format, [37, 9]).expect("it is made");
            values.chunks(piece).for_each(|values| packer.push(values));
            packer.finish([37, 9]).expect("333 values")
        };
        let whole = packed(333);
        assert_eq!(whole.values().len(), 333);
        for piece in [1, 31, 64, 65, 200] {
            assert_eq!(packed(piece), whole, "{format} in pieces of {piece}");
        }
    }
}

fn what_does_not_fit_is_refused(_: &Device) {
    let packer = Packer::new(PackedFormat::Nf4, [2, 2]).expect("it is made");
    let error = packer.finish([2, 2]).expect_err("no values");
    assert_eq!(
        error.to_string(),
        "0 values for a weight of [2, 2] in nf4, which has 4"
    );
    assert!(Packed::new(PackedFormat::Q8_0, [usize::MAX, 2], vec![]).is_err());
    assert!(Packed::new(PackedFormat::Q8_0, [32, 2], vec![0; 67]).is_err());
    let error = Packer::new(PackedFormat::Q6_K, [2, 2]).expect_err("it is read only");
    assert_eq!(
        error.to_string(),
        "q6_k is read and not made; nf4, nf4 with scales in eight bits, q4_0, q8_0 are"
    );
}
