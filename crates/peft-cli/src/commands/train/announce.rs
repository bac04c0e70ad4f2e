//! What is said of a run before it begins.

use peft_train::TrainConfig;

use crate::args::{Method, TrainArgs};
use crate::say::say;

/// Say how long a run is and how it learns, and what of its settings is doubtful.
pub(super) fn announce(args: &TrainArgs, config: &TrainConfig, total_steps: usize) {
    let warmup = config.warmup.steps(total_steps);
    say!(
        "{}, learning rate {:e}{}, {} by the schedule after {} of warm-up",
        steps(total_steps),
        config.learning_rate,
        args.lr_origin,
        config.schedule,
        steps(warmup)
    );
    if let [first, others @ ..] = args.model.devices().as_slice()
        && !others.is_empty()
        && !args.model.split_model
    {
        say!(
            "{first} and {} share each batch; {first} sums, updates and evaluates",
            others.join(", ")
        );
    }
    for text in doubts(args, config) {
        say!("warning: {text}");
    }
    if warmup >= total_steps {
        say!(
            "warning: the run is all warm-up, from a learning rate of 0: it is too short to move anything"
        );
    }
}

fn steps(n: usize) -> String {
    match n {
        1 => "1 step".into(),
        n => format!("{n} steps"),
    }
}

/// What of the settings most often goes wrong.
fn doubts(args: &TrainArgs, config: &TrainConfig) -> Vec<String> {
    /// LoRA loses against full fine-tuning where batches are larger: "LoRA Without Regret"
    /// (Schulman et al. 2025).
    const LARGE_BATCH: usize = 32;
    let mut doubts = Vec::new();
    let rows = config.batch_size.saturating_mul(config.grad_accum);
    if args.method() == Method::Lora && rows > LARGE_BATCH {
        doubts.push(format!(
            "{rows} rows a step: LoRA learns less from steps of more than {LARGE_BATCH}, as has been measured; take fewer and more steps"
        ));
    }
    let usual = args.default_lr();
    let anew = args.init_adapter.is_none() && !args.method().is_layerwise();
    if anew && config.learning_rate < usual / 20.0 {
        doubts.push(format!(
            "a learning rate of {:e} is one of full fine-tuning: --method {} takes about {usual:e}",
            config.learning_rate,
            args.method()
        ));
    }
    doubts
}
