//! Moments in eight bits are bitsandbytes': `tests/goldens/make_adamw_8bit.py`.

use burn::tensor::{Device, Tensor, TensorData};
use peft_kernels::{AdamWStep, Blockwise8, Signs};
use safetensors::SafeTensors;

use crate::packed::{floats, goldens, read};

peft_tests::cases!(
    codes_are_bitsandbytes,
    steps_are_bitsandbytes,
    what_is_not_finite_has_a_code
);

const KINDS: [(Signs, &str); 2] = [(Signs::Both, "first"), (Signs::Positive, "second")];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Tables, codes, scales and what they stand for, bit for bit.
fn codes_are_bitsandbytes(_: &Device) {
    let bytes = read(goldens().join("bnb/adamw_8bit.safetensors"));
    let file = SafeTensors::deserialize(&bytes).expect("it is sound");
    for (kind, name) in KINDS {
        let of = |part: &str| floats(&file, &format!("{name}.{part}"));
        assert_eq!(bits(kind.values()), bits(&of("map")), "{name}");
        let found = Blockwise8::of(kind, &of("values"));
        assert_eq!(bits(found.scales()), bits(&of("scales")), "{name}");
        let codes = file.tensor(&format!("{name}.codes")).expect("it is there");
        assert_eq!(found.codes(), codes.data(), "{name}");
        assert_eq!(bits(&found.numbers(kind)), bits(&of("read")), "{name}");
        // Every code is that of its own value.
        let all = Blockwise8::of(kind, kind.values());
        assert_eq!(all.codes(), (0..=255).collect::<Vec<u8>>(), "{name}");
    }
}

/// Two steps, up to the rounding of sums.
fn steps_are_bitsandbytes(device: &Device) {
    let bytes = read(goldens().join("bnb/adamw_8bit.safetensors"));
    let file = SafeTensors::deserialize(&bytes).expect("it is sound");
    let tensor = |name: &str| -> Tensor<2> {
        let data = TensorData::new(floats(&file, name), [17, 250]);
        Tensor::from_data(data, device)
    };
    let (mut param, mut moments) = (tensor("param"), None);
    for time in 1..=2 {
        let step = AdamWStep {
            beta_1: 0.9,
            beta_2: 0.95,
            epsilon: 1e-6,
            weight_decay: 0.3,
            rate: 0.02,
            time,
        };
        let grad = tensor(&format!("step{time}.grad"));
        let (updated, kept) = step.update_8bit(param, grad, moments);
        let found: Vec<f32> = updated.clone().into_data().iter().collect();
        let expected = floats(&file, &format!("step{time}.param"));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 2e-6, "{found} {expected}");
        }
        for (moment, (_, name)) in kept.iter().zip(KINDS) {
            let codes = file.tensor(&format!("step{time}.{name}.codes"));
            let codes = codes.expect("it is there").data().iter();
            let far = moment.codes().iter().zip(codes).filter(|(a, b)| a != b);
            // A sum that is rounded otherwise may lie on the other side of a middle.
            let far: Vec<_> = far.collect();
            assert!(far.len() < 5, "{far:?}");
            assert!(far.iter().all(|(a, b)| a.abs_diff(**b) == 1), "{far:?}");
        }
        (param, moments) = (updated, Some(kept));
    }
}

/// Nothing panics, and the scale says it.
fn what_is_not_finite_has_a_code(_: &Device) {
    for x in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -0.0,
        f32::MIN_POSITIVE / 4.0,
    ] {
        for (kind, _) in KINDS {
            let found = Blockwise8::of(kind, &[x, 1.0]);
            assert_eq!(found.codes().len(), 2);
            assert!(found.scales()[0] >= 1.0);
        }
    }
    assert!(Blockwise8::of_parts(vec![0; 257], vec![1.0]).is_none());
    assert!(Blockwise8::of_parts(vec![0; 257], vec![1.0; 2]).is_some());
}
