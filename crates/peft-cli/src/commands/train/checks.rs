//! What is wrong with a command line, before anything large is read.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use peft_store::Checkpoint;
use peft_train::RowKind;

use super::train_config;
use crate::args::{Method, TrainArgs};
use crate::device::placed_on;
use crate::error::CliError;

/// All that is wrong with these flags, and with the paths that they name.
pub(super) fn check(args: &TrainArgs) -> Result<(), CliError> {
    let mut wrong: Vec<CliError> = Vec::new();
    let mut note = |found: Result<(), CliError>| wrong.extend(found.err());
    let usage = |text: &str| Err(CliError::Usage(text.into()));
    let (of, method) = (&args.of_method, args.method());
    if args.init_adapter.is_none() || method.is_layerwise() {
        note(of.check(method));
    }
    if args.pack && of.n_virtual_tokens(method) > 0 {
        note(Err(CliError::Usage(format!(
            "--pack puts rows behind each other, and --method {method} stands before the first alone; leave --pack out"
        ))));
    }
    note(args.check_held());
    if args.max_length == 0 {
        note(usage("--max-length is 0, but must be at least 1"));
    }
    if args.save_every == Some(0) {
        note(usage("save-every is 0, but must be at least 1"));
    }
    if args.warmup >= 1.0 && args.warmup.fract() != 0.0 {
        note(Err(CliError::Usage(format!(
            "--warmup is {}, but must be a fraction below 1, or a whole number of steps",
            args.warmup
        ))));
    }
    if of.alpha == Some(0.0) && of.rank != Some(0) {
        note(usage(
            "--alpha is 0: the adapter would be scaled by 0, and nothing would train",
        ));
    }
    if of.alpha.is_some_and(|alpha| !(alpha as f32).is_finite()) {
        note(usage("--alpha is no finite number in f32"));
    }
    if of.rank == Some(0) {
        note(usage("--rank is 0, but must be at least 1"));
    }
    if of.dropout.is_some_and(|rate| !(0.0..1.0).contains(&rate)) {
        note(usage("--dropout must be at least 0 and below 1"));
    }
    if let Some(decay) = of
        .layer_decay
        .filter(|decay| !(*decay > 0.0 && *decay <= 1.0))
    {
        note(Err(CliError::Usage(format!(
            "--layer-decay is {decay}, but must be above 0 and at most 1"
        ))));
    }
    if matches!(method, Method::Gradual | Method::Lisa | Method::Badam) && of.every.is_none() {
        note(Err(CliError::Usage(format!(
            "--method {method} goes from stage to stage: say how long one is by --every, in steps or as `1epoch`"
        ))));
    }
    if method == Method::Matching && of.params.is_none() {
        note(usage(
            "--method matching trains what --params matches; give it",
        ));
    }
    let config = train_config(args);
    let length_is_known = config.max_steps.is_some_and(|steps| steps > 0);
    match config.validate() {
        // By epochs it depends on the rows, which are read before the model is.
        Ok(()) if length_is_known => note(config.check_length(1).map_err(CliError::from)),
        found => note(found.map_err(CliError::from)),
    }
    let learning = &args.learning;
    if !(0.0..1.0).contains(&learning.label_smoothing) {
        note(usage("--label-smoothing must be at least 0 and below 1"));
    }
    let alpha = learning.neftune_alpha;
    if !(alpha >= 0.0 && (alpha as f32).is_finite()) {
        note(usage("--neftune-alpha must be a number of at least 0"));
    }
    if alpha > 0.0 && of.cache_trunk {
        note(usage(
            "--neftune-alpha draws other embeddings in each step, and --cache-trunk keeps what is computed of them; leave one out",
        ));
    }
    note(placed_on(&args.model).map(|_| ()));
    if args.model.split_model && args.workers.is_some_and(|workers| workers > 1) {
        note(usage(
            "--split-model: one worker goes through blocks on several devices, and --workers asks for more; leave it out",
        ));
    }
    note(args.rows.options().map(drop));
    if let Some(taken) = args.split {
        if !args.valid.is_empty() {
            note(usage(
                "--split takes validation rows from those of training, and --valid names others; leave one out",
            ));
        }
        if !(taken > 0.0 && taken < 1.0) {
            note(Err(CliError::Usage(format!(
                "--split is {taken}, but must be a fraction between 0 and 1"
            ))));
        }
    }
    for file in args.train.iter().chain(&args.valid) {
        note(readable(file));
    }
    // What is no model's directory is said before rows are read.
    if !args.model.model.join("config.json").exists() {
        let opened = Checkpoint::open(&args.model.model);
        note(opened.map(|_| ()).map_err(CliError::from));
    }
    if !learning.lr_find {
        note(writable(&args.out));
    }
    match wrong.len() {
        0 => Ok(()),
        1 => wrong.pop().map_or(Ok(()), Err),
        _ => Err(CliError::Several(wrong)),
    }
}

/// The measure for which answers are generated.
pub(super) const ROUGE_L: &str = "rouge-l";

/// The measures that an evaluation of these rows may have.
fn measures(kind: RowKind) -> &'static [&'static str] {
    match kind {
        RowKind::Labelled => &["loss", "accuracy", "macro-f1", "pearson", "spearman"],
        RowKind::Tagged => &["loss", "accuracy", "macro-f1"],
        RowKind::Text => &["loss", "perplexity", "exact-match"],
        // A prompt and its answer, of whatever form.
        _ => &["loss", "perplexity", "exact-match", ROUGE_L],
    }
}

/// Whether there is to evaluate on what the flags say of evaluations.
pub(super) fn check_evaluations(
    args: &TrainArgs,
    kind: RowKind,
    has_rows: bool,
) -> Result<(), CliError> {
    let wrong = |text: String| Err(CliError::Usage(text));
    let flags = [
        (
            "--patience",
            "counts evaluations that are no better",
            args.patience.is_some(),
        ),
        (
            "--eval-metric",
            "tells evaluations apart",
            args.learning.eval_metric.is_some(),
        ),
        (
            "--samples",
            "shows answers to validation rows",
            args.learning.samples > 0,
        ),
    ];
    let mut flags = flags.into_iter();
    if let Some((flag, why, _)) = flags.find(|(.., given)| *given && !has_rows) {
        return wrong(format!(
            "{flag} {why}, and there are no rows to evaluate on: give --valid or --split"
        ));
    }
    let known = measures(kind);
    if let Some(name) = args.learning.eval_metric.as_deref()
        && !known.contains(&name)
    {
        return wrong(format!(
            "--eval-metric is {name}, and evaluations of these rows have {}",
            known.join(", ")
        ));
    }
    let has_answers = !matches!(kind, RowKind::Text | RowKind::Labelled | RowKind::Tagged);
    match args.learning.samples > 0 && !has_answers {
        true => wrong("--samples shows answers to prompts, and these rows have none".into()),
        false => Ok(()),
    }
}

fn readable(path: &Path) -> Result<(), CliError> {
    fs::metadata(path)
        .map(|_| ())
        .map_err(|source| CliError::Io {
            action: "read",
            path: path.into(),
            source,
        })
}

/// Whether a directory can be made, or written into, at `out`; nothing is left there.
fn writable(out: &Path) -> Result<(), CliError> {
    if out.to_str().is_none() {
        return Err(CliError::Usage(format!(
            "--out {} is not UTF-8, which config.toml and JSON files could not name",
            out.display()
        )));
    }
    // A link without an end is there, and is no directory.
    let there = out
        .ancestors()
        .find(|path| fs::symlink_metadata(path).is_ok());
    let there = there.filter(|path| !path.as_os_str().is_empty());
    let there = there.unwrap_or(Path::new("."));
    fs::metadata(there).map_err(|source| CliError::Io {
        action: "write into",
        path: there.into(),
        source,
    })?;
    let probe = there.join(format!(".peft-{}", std::process::id()));
    let tried = match there.is_dir() {
        true => File::create_new(&probe).and_then(|_| fs::remove_file(&probe)),
        false => Err(io::ErrorKind::NotADirectory.into()),
    };
    tried.map_err(|source| CliError::Io {
        action: "write into",
        path: there.into(),
        source,
    })
}
