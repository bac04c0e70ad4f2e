//! `peft merge`: fold an adapter in, write, read back, compare, and only then keep.

use std::fs;
use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_core::merge;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{Checkpoint, write_checkpoint};

use super::load;
use crate::args::MergeArgs;
use crate::device::placed;
use crate::error::CliError;

/// Rows and positions of the probe batch.
const PROBE: [usize; 2] = [2, 16];

pub(crate) fn run(args: &MergeArgs) -> Result<(), CliError> {
    if args.out.exists() {
        return Err(CliError::Usage(format!(
            "{} exists already; name a new directory",
            args.out.display()
        )));
    }
    let (checkpoint, model, device) = load(&args.model, Some(&args.adapter))?;
    let unmerged = model.valid();
    let expected = probe(&unmerged, &device);
    // An adapter on a tied embedding does not act on the output layer, so the merged two differ.
    let adapted_embedding = peft_core::slots(&unmerged)
        .iter()
        .any(|(path, _)| *path == format!("{}.weight", unmerged.embedding_path()));
    let mut merged = match adapted_embedding {
        true => unmerged.untie(),
        false => unmerged,
    };
    drop(merge(&mut merged)?);

    let (_, dtype) = placed(&args.model)?;
    let mut beside = args.out.clone().into_os_string();
    beside.push(".partial");
    let beside = PathBuf::from(beside);
    let io = |action, path: &PathBuf| {
        let path = path.clone();
        move |source| CliError::Io {
            action,
            path,
            source,
        }
    };
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(io("remove", &beside))?;
    }
    write_checkpoint(
        &merged,
        &checkpoint.fields_of(&merged),
        Some(checkpoint.dir()),
        dtype,
        &beside,
    )?;
    let written = Checkpoint::open(&beside)?.load(&device, dtype)?;
    let (difference, scale) = compare(&expected, &probe(&written.valid(), &device));
    // Rounding of the weights: 1e-4 of the largest logit in f32, 5e-2 in a 16-bit format.
    let limit = scale * if dtype == DType::F32 { 1e-4 } else { 5e-2 };
    if difference > limit || !difference.is_finite() {
        fs::remove_dir_all(&beside).map_err(io("remove", &beside))?;
        return Err(CliError::MergeDiffers { difference, limit });
    }
    fs::rename(&beside, &args.out).map_err(io("rename", &beside))?;
    eprintln!(
        "merged into {}; logits differ from the unmerged model's by at most {difference:.2e}",
        args.out.display()
    );
    Ok(())
}

/// Logits on a fixed batch of tokens spread over the vocabulary.
fn probe(model: &LanguageModel, device: &Device) -> Vec<f32> {
    let n = PROBE[0] * PROBE[1].min(model.max_positions());
    let step = (model.vocab_size() / n).max(1);
    let ids: Vec<i64> = (0..n)
        .map(|i| ((i * step + i) % model.vocab_size()) as i64)
        .collect();
    let ids: Tensor<2, Int> = Tensor::from_data(
        TensorData::new(ids, [PROBE[0], n / PROBE[0]]),
        (device, DType::I64),
    );
    let logits = model.logits(model.hidden(ids, None, None));
    logits.into_data().iter::<f32>().collect()
}

/// The largest difference, and the largest value or 1.
fn compare(a: &[f32], b: &[f32]) -> (f64, f64) {
    a.iter()
        .zip(b)
        .fold((0.0, 1.0), |(difference, scale), (a, b)| {
            let gap = f64::from((a - b).abs());
            let gap = if gap.is_nan() { f64::INFINITY } else { gap };
            (gap.max(difference), f64::from(a.abs()).max(scale))
        })
}
