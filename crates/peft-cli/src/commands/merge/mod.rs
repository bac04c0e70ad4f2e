//! `peft merge`.

pub(super) mod compare;
mod fold;
pub(super) mod probe;

use burn::module::Module;
use burn::tensor::DType;
use peft_files::NewDir;
use peft_models::{CausalLm, SequenceClassifier, TokenClassifier, Transformer};
use peft_store::{Checkpoint, CheckpointConfig, HeadLabels, Precision, adaptable};

use self::fold::Job;
use self::probe::{Logits, Probe};
use super::adapted::{attach, check_merges, open_for_task};
use super::classifier::{adapted, without_head};
use super::say_left_alone;
use super::tokenizer::tokenizer;
use super::train::end_without_traces;
use crate::args::{HoldArg, MergeArgs};
use crate::device::{device, dtype};
use crate::error::CliError;

/// Merging computes in f32, whatever is stored.
const RUN: DType = DType::F32;

pub(crate) fn run(args: &MergeArgs) -> Result<(), CliError> {
    let asked = args.dtype.as_deref().map(dtype).transpose()?;
    let device = device(&args.device)?;
    end_without_traces()?;
    let place = NewDir::beside(&args.out)?;
    let checkpoint = Checkpoint::open(&args.model)?.with_any_size(args.any_size);
    // Of packed weights the merged model has the dense values: those of a file that has blocks are
    // read as such anyway.
    let checkpoint = match args.quantise {
        Some(held) if peft_kernels::multiplies_packed(&device) => {
            checkpoint.with_quantise(HoldArg::of(Some(held)))
        }
        Some(held) if held.is_packed() => {
            return Err(CliError::Usage(format!(
                "--quantise {} is for device `flex`, and this is `{}`",
                held.name(),
                args.device
            )));
        }
        _ => checkpoint,
    };
    say_left_alone(&checkpoint, &device)?;
    let saved = open_for_task(&args.adapter, &checkpoint)?;
    check_merges(&saved, &args.adapter)?;
    let of_text = tokenizer(&checkpoint, Some(&args.adapter), None);
    let (read, companions) = match of_text {
        Ok((read, companions)) => (Some(read), companions),
        // A model may come without one; what is there and cannot be read is an error.
        Err(error) => {
            let companions = peft_store::Companions::of(checkpoint.folder(), Some(&args.adapter));
            match companions.tokenizer().has("tokenizer.json") || args.probe.is_some() {
                true => return Err(error),
                false => (None, companions),
            }
        }
    };
    companions.check(true)?;
    let decoder = matches!(checkpoint.config(), CheckpointConfig::LanguageModel(_));
    let kept = match decoder {
        true => None,
        false => HeadLabels::of_saved(&checkpoint, &saved)?,
    };
    let checkpoint = without_head(checkpoint, Some(&saved))?;
    let job = Job {
        args,
        saved: &saved,
        place,
        probe: Probe::of(args.probe.as_deref(), &checkpoint, read.as_ref())?,
        companions,
        has_tokenizer: read.is_some(),
        precision: match asked {
            Some(dtype) => Precision::One(dtype),
            None => checkpoint.precision(kept.is_some())?,
        },
        device: device.clone(),
    };
    drop(read);
    match (decoder, kept) {
        (true, _) => {
            let mut model = adaptable(saved.untied(checkpoint.load(&device, RUN)?)?);
            attach(&saved, &mut model)?;
            job.fold(
                model.model.model.valid(),
                |model, ids| Logits::of(model.logits(model.hidden(ids, None, None))),
                |model| model.untie_if_adapted(),
                |model| checkpoint.fields_of(model),
                |written| Ok(written.load(&device, RUN)?),
            )
        }
        (false, None) => {
            let mut model = adaptable(checkpoint.load_encoder(&device, RUN)?);
            attach(&saved, &mut model)?;
            let fields = checkpoint.encoder_fields()?;
            job.fold(
                model.model.model.valid(),
                |model, ids| Logits::of(model.hidden(ids, None, None)),
                |model| model,
                |_| fields,
                |written| Ok(written.load_encoder(&device, RUN)?),
            )
        }
        (false, Some(kept)) => {
            let n = kept.labels.names.len();
            let of_tokens = kept.of_tokens == Some(true);
            let fields = checkpoint.classifier_fields(&kept.labels, of_tokens)?;
            if of_tokens {
                let loaded = checkpoint.load_tagger(n, &device, RUN)?;
                let model = adapted(loaded, Some(&saved), &checkpoint)?;
                return job.fold(
                    model.model.model,
                    |model, ids| Logits::of(model.token_logits(model.hidden(ids, None, None))),
                    |model| model,
                    |_| fields,
                    |written| Ok(written.load_tagger(n, &device, RUN)?.model.valid()),
                );
            }
            let loaded = checkpoint.load_classifier(n, &device, RUN)?;
            let model = adapted(loaded, Some(&saved), &checkpoint)?;
            job.fold(
                model.model.model,
                |model, ids| Logits::of(model.class_logits(model.hidden(ids, None, None), None)),
                |model| model,
                |_| fields,
                |written| Ok(written.load_classifier(n, &device, RUN)?.model.valid()),
            )
        }
    }
}
