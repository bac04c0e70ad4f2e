//! `peft merge`: fold an adapter in, write, read back, compare, and only then keep.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_core::merge;
use peft_models::{
    CausalLm, LanguageModel, SequenceClassifier, TextClassifier, TokenClassifier, TokenTagger,
    Transformer,
};
use peft_store::{Checkpoint, Labels, write_checkpoint};
use serde_json::{Map, Value};

use super::adapted::Saved;
use super::classifier::adapted;
use super::load;
use crate::args::MergeArgs;
use crate::device::placed;
use crate::error::CliError;
use crate::say::say;

/// Rows and positions of the probe batch.
const PROBE: [usize; 2] = [2, 16];

pub(crate) fn run(args: &MergeArgs) -> Result<(), CliError> {
    if args.out.exists() {
        return Err(CliError::Usage(format!(
            "{} exists already; name a new directory",
            args.out.display()
        )));
    }
    drop(Checkpoint::open(&args.model.model)?);
    let saved = Saved::open(&args.adapter)?;
    if saved.virtual_tokens() > 0 {
        return Err(CliError::Usage(format!(
            "{} holds what stands beside a text ({}) and is no part of the weights, so it cannot be merged; run the model with --adapter, or train --method lora for a model that needs none",
            args.adapter.display(),
            saved.method().as_str().unwrap_or_default()
        )));
    }
    if let Some(labels) = Labels::read(&args.adapter)? {
        return classifier(args, &saved, &labels);
    }
    let (checkpoint, model, device) = load(&args.model, Some(&args.adapter))?;
    let unmerged = model.model.model.valid();
    let read = |model: &LanguageModel| probe(model, &device, |hidden| flat(model.logits(hidden)));
    let expected = read(&unmerged);
    let mut merged = unmerged.untie_if_adapted();
    fold(&saved, &mut merged)?;
    let fields = checkpoint.fields_of(&merged);
    let reload = |dir: &Path| {
        Ok(read(
            &Checkpoint::open(dir)?.load(&device, placed(&args.model)?.1)?,
        ))
    };
    keep(args, &checkpoint, &merged, &fields, &expected, reload)
}

/// Merge an adapter that came with a head.
fn classifier(args: &MergeArgs, saved: &Saved, labels: &Labels) -> Result<(), CliError> {
    let checkpoint = Checkpoint::open(&args.model.model)?;
    let (device, dtype) = placed(&args.model)?;
    let n = labels.names.len();
    let of_tokens = saved.task_type() == Some("TOKEN_CLS");
    let fields = checkpoint.classifier_fields(labels, of_tokens)?;
    if of_tokens {
        let read =
            |model: &TokenTagger| probe(model, &device, |hidden| flat(model.token_logits(hidden)));
        let loaded = checkpoint.load_tagger(n, &device, dtype)?;
        let mut model = adapted(loaded, Some(&args.adapter), &checkpoint)?
            .model
            .model;
        let expected = read(&model);
        fold(saved, &mut model)?;
        let reload = |dir: &Path| {
            let loaded = Checkpoint::open(dir)?.load_tagger(n, &device, dtype)?;
            Ok(read(&loaded.model.valid()))
        };
        return keep(args, &checkpoint, &model, &fields, &expected, reload);
    }
    let read = |model: &TextClassifier| {
        probe(model, &device, |hidden| {
            flat(model.class_logits(hidden, None))
        })
    };
    let loaded = checkpoint.load_classifier(n, &device, dtype)?;
    let mut model = adapted(loaded, Some(&args.adapter), &checkpoint)?
        .model
        .model;
    let expected = read(&model);
    fold(saved, &mut model)?;
    let reload = |dir: &Path| {
        let loaded = Checkpoint::open(dir)?.load_classifier(n, &device, dtype)?;
        Ok(read(&loaded.model.valid()))
    };
    keep(args, &checkpoint, &model, &fields, &expected, reload)
}

/// Fold an adapter in; parameters of the model itself are in their place already.
fn fold<M: Module>(saved: &Saved, model: &mut M) -> Result<(), CliError> {
    if let Saved::Adapter(_) = saved {
        drop(merge(model)?);
    }
    Ok(())
}

/// Write the merged model beside its place, read it back, and move it there if it computes what is expected.
fn keep<M: Module>(
    args: &MergeArgs,
    checkpoint: &Checkpoint,
    merged: &M,
    fields: &Map<String, Value>,
    expected: &[f32],
    reload: impl Fn(&Path) -> Result<Vec<f32>, CliError>,
) -> Result<(), CliError> {
    let (_, dtype) = placed(&args.model)?;
    let mut beside = args.out.clone().into_os_string();
    beside.push(".partial");
    let beside = PathBuf::from(beside);
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(io("remove", &beside))?;
    }
    write_checkpoint(merged, fields, Some(checkpoint.dir()), dtype, &beside)?;
    let found = reload(&beside)?;
    // Rounding of the weights: 1e-4 of the largest logit in f32, 5e-2 in a 16-bit format.
    let tolerance = if dtype == DType::F32 { 1e-4 } else { 5e-2 };
    let difference = settle(expected, &found, tolerance, &beside, &args.out)?;
    say!(
        "merged into {}; logits differ from the unmerged model's by at most {difference:.2e}",
        args.out.display()
    );
    Ok(())
}

/// Logits on a fixed batch of tokens spread over the vocabulary.
fn probe<M: Transformer>(
    model: &M,
    device: &Device,
    head: impl Fn(Tensor<3>) -> Vec<f32>,
) -> Vec<f32> {
    let n = PROBE[0] * PROBE[1].min(model.max_positions());
    let step = (model.vocab_size() / n).max(1);
    let ids: Vec<i64> = (0..n)
        .map(|i| ((i * step + i) % model.vocab_size()) as i64)
        .collect();
    let ids: Tensor<2, Int> = Tensor::from_data(
        TensorData::new(ids, [PROBE[0], n / PROBE[0]]),
        (device, DType::I64),
    );
    head(model.hidden(ids, None, None))
}

fn flat<const D: usize>(logits: Tensor<D>) -> Vec<f32> {
    logits.into_data().iter::<f32>().collect()
}

/// Keep what was written at `beside` as `out` if its logits are the expected ones, or take it away; how far apart they are.
fn settle(
    expected: &[f32],
    found: &[f32],
    tolerance: f64,
    beside: &Path,
    out: &Path,
) -> Result<f64, CliError> {
    let (difference, scale) = compare(expected, found);
    let limit = scale * tolerance;
    if difference > limit || !difference.is_finite() {
        fs::remove_dir_all(beside).map_err(io("remove", beside))?;
        return Err(CliError::MergeDiffers { difference, limit });
    }
    fs::rename(beside, out).map_err(io("rename", beside))?;
    Ok(difference)
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    let path = path.to_path_buf();
    move |source| CliError::Io {
        action,
        path,
        source,
    }
}

/// The largest difference, and the largest value or 1.
fn compare(a: &[f32], b: &[f32]) -> (f64, f64) {
    if a.len() != b.len() {
        return (f64::INFINITY, 1.0);
    }
    a.iter()
        .zip(b)
        .fold((0.0, 1.0), |(difference, scale), (a, b)| {
            let gap = f64::from((a - b).abs());
            let gap = if gap.is_nan() { f64::INFINITY } else { gap };
            (gap.max(difference), f64::from(a.abs()).max(scale))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a directory whose logits are `found` is kept, and nothing lies beside it in either case.
    fn kept(found: &[f32]) -> bool {
        let dir = tempfile::tempdir().expect("a directory");
        let (beside, out) = (dir.path().join("out.partial"), dir.path().join("out"));
        fs::create_dir(&beside).expect("a directory");
        fs::write(beside.join("config.json"), "{}").expect("a file");
        let settled = settle(&[1.0, -20.0, 3.0], found, 1e-4, &beside, &out);
        assert!(!beside.exists());
        assert_eq!(out.join("config.json").exists(), settled.is_ok());
        match settled {
            Ok(_) => true,
            Err(CliError::MergeDiffers { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_directory_that_differs_is_not_left() {
        // The limit is 1e-4 of the largest logit, 20.
        assert!(kept(&[1.0, -20.0, 3.0]));
        assert!(kept(&[1.0019, -20.0, 3.0]));
        assert!(!kept(&[1.0021, -20.0, 3.0]));
        assert!(!kept(&[1.0, -20.0, 3.1]));
        assert!(!kept(&[1.0, f32::NAN, 3.0]));
        assert!(!kept(&[1.0, f32::INFINITY, 3.0]));
        assert!(!kept(&[1.0, -20.0]));
    }
}
