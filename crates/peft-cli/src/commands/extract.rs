//! `peft extract`: an adapter of what a model differs by from its base.

use burn::tensor::DType;
use peft_files::NewDir;
use peft_lora::Size;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::Checkpoint;

use super::differences::differences;
use super::low_rank::{as_lora, write};
use super::merge::probe::{Logits, Probe};
use super::tokenizer::tokenizer;
use super::train::end_without_traces;
use super::{print_line, say_left_alone};
use crate::args::ExtractArgs;
use crate::device::device;
use crate::error::CliError;
use crate::say::say;

/// All is computed in f32, whatever is stored.
const RUN: DType = DType::F32;

pub(crate) fn run(args: &ExtractArgs) -> Result<(), CliError> {
    let size = match (args.rank, args.energy) {
        (Some(rank), _) => Size::Rank(rank.get()),
        (None, Some(energy)) if energy > 0.0 && energy <= 1.0 => Size::Energy(energy),
        (None, energy) => {
            let energy = energy.unwrap_or_default();
            let what = format!("--energy {energy} is no part of a whole: above 0, at most 1");
            return Err(CliError::Usage(what));
        }
    };
    let device = device(&args.device)?;
    end_without_traces()?;
    let place = NewDir::beside(&args.out)?;
    let base = Checkpoint::open(&args.base)?.with_any_size(args.any_size);
    let tuned = Checkpoint::open(&args.tuned)?.with_any_size(args.any_size);
    let shapes = (
        base.language_model_config()?,
        tuned.language_model_config()?,
    );
    if shapes.0 != shapes.1 {
        return Err(CliError::Usage(format!(
            "{} is no model of the shape of {}; of the base and of the tuned one, {}",
            args.tuned.display(),
            args.base.display(),
            differences(shapes.0, shapes.1).join("; ")
        )));
    }
    say_left_alone(&base, &device)?;
    say_left_alone(&tuned, &device)?;
    let (read, companions) = tokenizer(&tuned, None, None)?;
    let probe = Probe::of(None, &tuned, Some(&read))?;
    let after = tuned.load(&device, RUN)?;
    let logits = probe.read(&device, |ids| {
        Logits::of(after.logits(after.hidden(ids, None, None)))
    });
    let before: LanguageModel = base.load(&device, RUN)?;
    let found = as_lora(before, &after, size)?;
    drop(after);
    let dir = place.path().to_path_buf();
    let of = (&base, &companions, args.base.as_path());
    write(&found, of, (&probe, &device), &logits, &dir)?;
    print_line(format!(
        "{:>6} {:>10} {:>10}  layer",
        "rank", "change", "left out"
    ))?;
    for of in &found.layers {
        let (change, error) = (100.0 * of.change, 100.0 * of.error);
        let (rank, layer) = (of.rank, &of.layer);
        print_line(format!("{rank:>6} {change:>8.2} % {error:>8.2} %  {layer}"))?;
    }
    let out = place.keep()?;
    say!("wrote {}", out.display());
    Ok(())
}
