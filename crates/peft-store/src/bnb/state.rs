//! [`State`]: the settings of a weight of four bits.

use burn::tensor::DType;
use peft_safetensors::TensorPlace;
use serde_json::Value;

/// Bytes of settings, at most.
const LARGEST: usize = 1 << 16;
/// Values that share a scale, and blocks that share a scale of scales.
const BLOCK: u64 = 64;
const NESTED_BLOCK: u64 = 256;

/// What a weight's JSON says.
pub(super) struct State {
    /// As a checkpoint has it, `[d_out, d_in]`.
    pub(super) shape: Vec<usize>,
    /// What it was, and is dequantised to.
    pub(super) dtype: DType,
    /// The mean of the scales, where they are quantised.
    pub(super) mean: Option<f32>,
}

impl State {
    /// Of a tensor that holds the JSON.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub(super) fn read(place: &TensorPlace) -> Result<Self, String> {
        if place.shape().iter().product::<usize>() > LARGEST {
            return Err("its settings are too long".into());
        }
        let bytes = super::place::bytes(place).map_err(|error| error.to_string())?;
        let found: Value =
            serde_json::from_slice(&bytes).map_err(|error| format!("its settings: {error}"))?;
        let number = |field: &str| found[field].as_u64();
        if number("blocksize") != Some(BLOCK) {
            return Err(format!(
                "its blocksize is {}, expected {BLOCK}",
                found["blocksize"]
            ));
        }
        let shape = found["shape"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let shape: Option<Vec<usize>> = shape
            .iter()
            .map(|side| side.as_u64().and_then(|side| usize::try_from(side).ok()))
            .collect();
        let shape = shape.filter(|shape| shape.len() == 2);
        let shape = shape.ok_or_else(|| format!("its shape is {}", found["shape"]))?;
        let dtype = match found["dtype"].as_str() {
            Some("float32") => DType::F32,
            Some("bfloat16") => DType::BF16,
            Some("float16") => DType::F16,
            _ => return Err(format!("its dtype is {}", found["dtype"])),
        };
        let mean = match found["nested_offset"].as_f64() {
            None => None,
            Some(_) if number("nested_blocksize") != Some(NESTED_BLOCK) => {
                return Err(format!(
                    "its nested_blocksize is {}, expected {NESTED_BLOCK}",
                    found["nested_blocksize"]
                ));
            }
            Some(mean) => Some(mean as f32),
        };
        Ok(Self { shape, dtype, mean })
    }
}
