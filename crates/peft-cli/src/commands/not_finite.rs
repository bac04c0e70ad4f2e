//! [`not_finite`]: the end of a command whose model computes what is no finite number.

use std::path::Path;

use peft_store::{AdapterConfig, SavedAdapter};

use crate::error::CliError;

/// The end of a command whose model computes what is no finite number, with what has most likely
/// led there: the adapter, where the model without it is finite.
pub(super) fn not_finite(
    what: impl Into<String>,
    adapter: Option<&Path>,
    is_finite_without: impl FnOnce() -> Result<bool, CliError>,
) -> CliError {
    let of_model = "the model's weights or activations are too large for its dtype, or these texts; --dtype f32 holds more";
    let cause = match adapter {
        // Why it cannot be run without is not the matter.
        Some(dir) if matches!(is_finite_without(), Ok(true)) => format!(
            "without the adapter it is finite, so it is the adapter in {}: its weights{}",
            dir.display(),
            scale(dir).unwrap_or_default()
        ),
        Some(_) => format!("it is so without the adapter too, or cannot be without it: {of_model}"),
        None => of_model.into(),
    };
    CliError::NotFinite {
        what: what.into(),
        cause,
    }
}

/// What the weights of a LoRA are multiplied by.
fn scale(dir: &Path) -> Option<String> {
    let Ok(SavedAdapter::Peft(adapter)) = SavedAdapter::open(dir) else {
        return None;
    };
    let AdapterConfig::Lora(config) = adapter.config() else {
        return None;
    };
    Some(format!(
        ", or their scale, {:.3e} by `lora_alpha` {:e} and `r` {}",
        config.scaling.scale(config.rank, config.alpha),
        config.alpha,
        config.rank
    ))
}
