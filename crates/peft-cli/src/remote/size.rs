//! How large a tensor may be on its way to a worker.

use burn::tensor::DType;
use peft_store::Checkpoint;

use super::is_named;
use crate::error::CliError;

/// Burn's server takes messages of 1 GiB, in which more than the tensor stands.
const MOST: u64 = (1 << 30) - (1 << 20);

/// An error where one of these devices is a worker's, and a tensor of the checkpoint is too large
/// to be sent there in `dtype`. The worker would end the connection.
pub(crate) fn check_sizes(
    devices: &[&str],
    checkpoint: &Checkpoint,
    dtype: DType,
) -> Result<(), CliError> {
    let Some(device) = devices.iter().find(|name| is_named(name)) else {
        return Ok(());
    };
    // A directory without weights is one that they are drawn for, or is refused by what loads it.
    let tensors = checkpoint.tensors().unwrap_or_default();
    let shapes = tensors
        .iter()
        .map(|(key, shape, _)| (key.as_str(), shape.as_slice()));
    match too_large(shapes, dtype.size()) {
        None => Ok(()),
        Some((key, bytes)) => Err(CliError::Usage(format!(
            "device `{device}`: `{key}` has {bytes} bytes in {}, and a worker takes {MOST} in one tensor; {}",
            dtype.name(),
            match dtype.size() > 2 && bytes / 2 <= MOST {
                true => "--dtype bf16 halves it",
                false => "this model needs devices of this machine",
            }
        ))),
    }
}

/// The first tensor that is too large, and its bytes.
fn too_large<'a>(
    shapes: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    size: usize,
) -> Option<(&'a str, u64)> {
    let bytes = |shape: &[usize]| {
        let sides = shape.iter().chain([&size]);
        sides.fold(1u64, |bytes, side| bytes.saturating_mul(*side as u64))
    };
    let sized = shapes.into_iter().map(|(key, shape)| (key, bytes(shape)));
    sized.into_iter().find(|(_, bytes)| *bytes > MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_measured_in_the_dtype_that_it_is_sent_in() {
        let shapes = [("small", &[8, 8][..]), ("embed", &[128_256, 4096])];
        assert_eq!(too_large(shapes, 4), Some(("embed", 2_101_346_304)));
        assert_eq!(too_large(shapes, 2), None);
        let endless = [("all", &[usize::MAX, 2][..])];
        assert_eq!(too_large(endless, 2), Some(("all", u64::MAX)));
    }
}
