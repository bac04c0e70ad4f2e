//! What is wrong with a plan's command line.

use crate::args::{ModelArgs, PlanArgs};
use crate::error::CliError;

pub(super) fn check(args: &PlanArgs) -> Result<(), CliError> {
    let counts = [
        ("batch-size", args.batch_size),
        ("max-length", args.max_length),
        ("grad-accum", args.grad_accum),
        ("devices", args.devices),
    ];
    if let Some((flag, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return Err(CliError::Usage(format!(
            "--{flag} is 0, but must be at least 1"
        )));
    }
    if args.model.split_model && args.devices == 1 {
        return Err(CliError::Usage(
            "--split-model divides blocks among several devices: say how many by --devices".into(),
        ));
    }
    if !(args.targets_part > 0.0 && args.targets_part <= 1.0) {
        return Err(CliError::Usage(format!(
            "--targets-part is {}, but must be above 0 and at most 1",
            args.targets_part
        )));
    }
    Ok(())
}

/// The model on one device: on how many it is divided is said by `--devices`.
pub(super) fn of_one_device(args: &ModelArgs) -> ModelArgs {
    ModelArgs {
        split_model: false,
        ..args.clone()
    }
}
