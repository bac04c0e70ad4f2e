//! `peft spectrum`: the singular values of weights, or of what changes them.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::DType;
use peft_core::into_merged;
use peft_lora::Spectrum;
use peft_models::LanguageModel;
use peft_store::{Checkpoint, adaptable};
use serde_json::json;

use super::adapted::{attach, check_merges, open_for_task};
use super::low_rank::{Change, UNCHANGED, changes, not_finite, weights};
use super::train::end_without_traces;
use super::{print_line, say_left_alone};
use crate::args::SpectrumArgs;
use crate::chart::{Line, LineChart};
use crate::device::device;
use crate::error::CliError;
use crate::say::say;

/// All is computed in f32, whatever is stored.
const RUN: DType = DType::F32;
/// Parts of the energy whose rank is told.
const PARTS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// A layer's.
struct LayerSpectrum {
    layer: String,
    shape: [usize; 2],
    spectrum: Spectrum,
}

pub(crate) fn run(args: &SpectrumArgs) -> Result<(), CliError> {
    let device = device(&args.device)?;
    end_without_traces()?;
    // Before minutes of work.
    if let Some(above) = args.svg.as_deref().and_then(Path::parent)
        && !above.as_os_str().is_empty()
        && !above.is_dir()
    {
        return Err(CliError::Usage(format!(
            "--svg: there is no directory {}; make it first",
            above.display()
        )));
    }
    let checkpoint = Checkpoint::open(&args.model)?.with_any_size(args.any_size);
    checkpoint.language_model_config()?;
    say_left_alone(&checkpoint, &device)?;
    let base = checkpoint.load(&device, RUN)?;
    let mut found = Vec::new();
    let each = |change: Change| {
        let (layer, shape) = (change.layer.clone(), change.shape);
        let spectrum = Spectrum::of(change.into_matrix()).ok_or_else(|| not_finite(&layer))?;
        found.push(LayerSpectrum {
            layer,
            shape,
            spectrum,
        });
        Ok(())
    };
    match (&args.adapter, &args.tuned) {
        (Some(dir), _) => added(dir, &checkpoint, base, each)?,
        (None, Some(dir)) => {
            let tuned = Checkpoint::open(dir)?.with_any_size(args.any_size);
            tuned.language_model_config()?;
            changes(&base, &tuned.load(&device, RUN)?, each).map(drop)?;
        }
        (None, None) => weights(&base, each)?,
    }
    if found.is_empty() {
        return Err(CliError::Usage(UNCHANGED.into()));
    }
    if let Some(file) = &args.svg {
        peft_files::replace(file, picture(&found)?.as_bytes()).map_err(|source| CliError::Io {
            action: "write",
            path: file.clone(),
            source,
        })?;
        say!("wrote {}", file.display());
    }
    match args.json {
        true => print_json(&found),
        false => print_table(&found),
    }
}

/// Give `each` what an adapter adds to the weights.
fn added(
    dir: &Path,
    checkpoint: &Checkpoint,
    base: LanguageModel,
    each: impl FnMut(Change) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let saved = open_for_task(dir, checkpoint)?;
    check_merges(&saved, dir)?;
    let base = saved.untied(base)?;
    let mut model = adaptable(base.clone());
    attach(&saved, &mut model)?;
    changes(&base, &into_merged(model.model.model)?, each).map(drop)
}

fn print_json(found: &[LayerSpectrum]) -> Result<(), CliError> {
    let layers = found.iter().map(|of| {
        let ranks = PARTS.iter().map(|part| {
            let rank = of.spectrum.rank_of(*part);
            (part.to_string(), json!(rank))
        });
        json!({
            "layer": of.layer,
            "shape": of.shape,
            "energy": of.spectrum.energy(),
            "stable_rank": of.spectrum.stable_rank(),
            "effective_rank": of.spectrum.effective_rank(),
            "rank_of_energy": ranks.collect::<serde_json::Map<_, _>>(),
            "singular_values": of.spectrum.values(),
        })
    });
    print_line(json!({ "layers": layers.collect::<Vec<_>>() }))
}

fn print_table(found: &[LayerSpectrum]) -> Result<(), CliError> {
    print_line(
        "  stable  effective | rank of 50 %  90 %  95 %  99 % of the energy | largest  layer",
    )?;
    for LayerSpectrum {
        layer, spectrum, ..
    } in found
    {
        let (stable, effective) = (spectrum.stable_rank(), spectrum.effective_rank());
        let [a, b, c, d] = PARTS.map(|part| spectrum.rank_of(part));
        let largest = spectrum.values().first().copied().unwrap_or(0.0);
        print_line(format!(
            "{stable:>8.1} {effective:>10.1} | {a:>12} {b:>5} {c:>5} {d:>5}               | {largest:>7.3}  {layer}"
        ))?;
    }
    Ok(())
}

/// The energy by rank, one line for the layers of a name.
fn picture(found: &[LayerSpectrum]) -> Result<String, CliError> {
    let mut of_name: BTreeMap<&str, Vec<&Spectrum>> = BTreeMap::new();
    for of in found {
        let name = of.layer.rsplit('.').next().unwrap_or(&of.layer);
        of_name.entry(name).or_default().push(&of.spectrum);
    }
    let most = found.iter().map(|of| of.spectrum.values().len()).max();
    let most = most.unwrap_or(1).max(2);
    let lines = of_name.into_iter().map(|(name, of)| {
        let mean = |rank: usize| {
            let sum: f64 = of.iter().map(|spectrum| spectrum.energy_at(rank)).sum();
            sum / of.len() as f64
        };
        Line {
            name: name.into(),
            points: (1..=most).map(|rank| (rank as f64, mean(rank))).collect(),
            marked: false,
        }
    });
    LineChart {
        title: "Part of the energy, mean of the layers of a name",
        x: "rank",
        log_x: true,
        lines: lines.collect(),
    }
    .svg()
}
