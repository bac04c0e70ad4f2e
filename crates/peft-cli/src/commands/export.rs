//! `peft export`: a model, or an adapter, as a file that another runtime reads.

use std::num::NonZeroUsize;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor};
use peft_core::into_merged;
use peft_files::{Folder, NewDir};
use peft_lora::Size;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{
    AdapterConfig, Checkpoint, CheckpointConfig, SavedAdapter, TensorType, adaptable,
    checkpoint_config, with_gguf_adapter, write_gguf, write_gguf_adapter,
};
use peft_train::TextTokenizer;
use serde_json::{Map, Value, json};

use super::adapted::{ADAPTER, attach, check_merges, open_for_task};
use super::differences::differences;
use super::low_rank::{self, as_lora};
use super::merge::compare::{agreement, gap, last_bit_moved, same};
use super::merge::probe::{Logits, Probe};
use super::say_left_alone;
use super::tokenizer::tokenizer;
use super::train::end_without_traces;
use crate::args::{ExportArgs, ExportFormat, QuantiseArg};
use crate::device::device;
use crate::error::CliError;
use crate::say::say;

/// All is computed in f32, whatever is stored.
const RUN: DType = DType::F32;
/// The file while it is made.
const MODEL: &str = "model.gguf";
const FOLDED: &str = "the merged model differs from the unmerged one";
const WRITTEN: &str = "the model that was written differs from the one in memory";

pub(crate) fn run(args: &ExportArgs) -> Result<(), CliError> {
    let ExportFormat::Gguf = args.format;
    let device = device(&args.device)?;
    end_without_traces()?;
    // The file is made in it, read back, and only then put in its place.
    let place = NewDir::beside(&args.out)?;
    if args.to_lora {
        return converted(args, place, &device);
    }
    let file = place.path().join(MODEL);
    let checkpoint = Checkpoint::open(&args.model)?.with_any_size(args.any_size);
    checkpoint.language_model_config()?;
    say_left_alone(&checkpoint, &device)?;
    let adapter = args.adapter.as_deref();
    let saved = adapter
        .map(|dir| open_for_task(dir, &checkpoint))
        .transpose()?;
    let said = match &saved {
        Some(saved) if args.adapter_only => {
            exported_alone(args, (&checkpoint, saved), &device, &file)?
        }
        saved => {
            if let (Some(saved), Some(dir)) = (saved, adapter) {
                check_merges(saved, dir)?;
            }
            exported(args, (&checkpoint, saved.as_ref()), &device, &file)?
        }
    };
    place.keep_file(MODEL)?;
    say!("wrote {}: {said}", args.out.display());
    Ok(())
}

/// Write LoRA near to what the adapter adds.
fn converted(args: &ExportArgs, place: NewDir, device: &Device) -> Result<(), CliError> {
    let checkpoint = Checkpoint::open(&args.model)?.with_any_size(args.any_size);
    checkpoint.language_model_config()?;
    say_left_alone(&checkpoint, device)?;
    let adapter = args.adapter.as_deref().unwrap_or(Path::new(""));
    let rank = args.rank.map_or(1, NonZeroUsize::get);
    let saved = open_for_task(adapter, &checkpoint)?;
    check_merges(&saved, adapter)?;
    let (read, companions) = tokenizer(&checkpoint, Some(adapter), None)?;
    let probe = Probe::of(None, &checkpoint, Some(&read))?;
    let load =
        || -> Result<LanguageModel, CliError> { Ok(saved.untied(checkpoint.load(device, RUN)?)?) };
    let mut model = adaptable(load()?);
    attach(&saved, &mut model)?;
    let model = into_merged(model.model.model.valid())?;
    let logits = probe.read(device, |ids| {
        Logits::of(model.logits(model.hidden(ids, None, None)))
    });
    let found = as_lora(load()?, &model, Size::Rank(rank))?;
    drop(model);
    let of = (&checkpoint, &companions, args.model.as_path());
    low_rank::write(&found, of, (&probe, device), &logits, place.path())?;
    say!("wrote {}", place.keep()?.display());
    Ok(())
}

/// Write the adapter alone, read it back, add it to the base and compare; what is to be said of it.
fn exported_alone(
    args: &ExportArgs,
    (checkpoint, saved): (&Checkpoint, &SavedAdapter),
    device: &Device,
    file: &Path,
) -> Result<String, CliError> {
    let refused = || {
        let method = saved.method();
        CliError::Usage(format!(
            "llama.cpp has adapters of LoRA alone, and this is {method}; leave --adapter-only out to merge it"
        ))
    };
    let SavedAdapter::Peft(dir) = saved else {
        return Err(refused());
    };
    let AdapterConfig::Lora(lora) = dir.config() else {
        return Err(refused());
    };
    let alpha = lora.alpha;
    let (tokenizer, _) = tokenizer(checkpoint, args.adapter.as_deref(), None)?;
    let probe = Probe::of(None, checkpoint, Some(&tokenizer))?;
    let logits = |model: &LanguageModel| {
        probe.read(device, |ids| {
            Logits::of(model.logits(model.hidden(ids, None, None)))
        })
    };
    let base = (checkpoint.language_model_config()?, checkpoint.fields());
    let unmerged = {
        let loaded = saved.untied(checkpoint.load(device, RUN)?)?;
        let mut model = adaptable(loaded);
        attach(saved, &mut model)?;
        let model = model.model.model.valid();
        write_gguf_adapter(&model, base, (ADAPTER, alpha), file)?;
        logits(&model)
    };
    let model = with_gguf_adapter(checkpoint.load(device, RUN)?, base, file)?;
    let found = logits(&model);
    let moved = || logits(&last_bit_moved(model.clone()));
    let difference = same(WRITTEN, (&unmerged, &found), false, moved)?;
    Ok(format!(
        "the adapter alone, for llama.cpp's --lora; with it the base's logits are at most {difference:.2e} from the adapter's"
    ))
}

/// Write the model, read it back and compare; what is to be said of it.
fn exported(
    args: &ExportArgs,
    (checkpoint, saved): (&Checkpoint, Option<&SavedAdapter>),
    device: &Device,
    file: &Path,
) -> Result<String, CliError> {
    let (read, companions) = tokenizer(checkpoint, args.adapter.as_deref(), None)?;
    let probe = Probe::of(None, checkpoint, Some(&read))?;
    let logits = |model: &LanguageModel| {
        probe.read(device, |ids| {
            Logits::of(model.logits(model.hidden(ids, None, None)))
        })
    };
    let loaded = checkpoint.load(device, RUN)?;
    let (model, unmerged) = match saved {
        None => {
            let unmerged = logits(&loaded);
            (loaded, unmerged)
        }
        Some(saved) => {
            let mut model = adaptable(saved.untied(loaded)?);
            attach(saved, &mut model)?;
            let model = model.model.model.valid();
            let unmerged = logits(&model);
            let model = into_merged(model.untie_if_adapted())?;
            let merged = logits(&model);
            let moved = || logits(&last_bit_moved(model.clone()));
            same(FOLDED, (&unmerged, &merged), false, moved)?;
            (model, unmerged)
        }
    };
    let (ty, bound) = match args.quantise {
        QuantiseArg::F32 => (TensorType::F32, 0.0),
        QuantiseArg::F16 => (TensorType::F16, 1e-3),
        QuantiseArg::Bf16 => (TensorType::BF16, 1e-2),
        QuantiseArg::Q8_0 => (TensorType::Q8_0, 2e-2),
        QuantiseArg::Q4_0 => (TensorType::Q4_0, 0.25),
    };
    let fields = checkpoint.fields_of(&model);
    // The tokenizer and the templates may be the adapter's.
    let beside = file.parent().unwrap_or(file);
    companions.copy_all(beside)?;
    let config = beside.join("config.json");
    let text = Value::Object(fields.clone()).to_string();
    peft_files::replace(&config, text.as_bytes()).map_err(|source| CliError::Io {
        action: "write",
        path: config,
        source,
    })?;
    write_gguf(&model, &fields, &Folder::new(beside), ty, file)?;
    let own = (model.config(), values(&model));
    drop(model);

    let written = Checkpoint::open(file)?.with_any_size(args.any_size);
    let said = CheckpointConfig::LanguageModel(written.language_model_config()?.clone());
    let meant = in_32_bits(&fields, CheckpointConfig::LanguageModel(own.0.clone()))?;
    if said != meant {
        return Err(CliError::Usage(format!(
            "the config of {} cannot be said in a GGUF file; of the model and of what is read back, {}",
            args.model.display(),
            differences(&meant, &said).join("; ")
        )));
    }
    let folder = written.folder();
    if !probe.is_of(&TextTokenizer::from_folders(&folder, &folder, &folder)?) {
        return Err(CliError::MergeTokens);
    }
    let model = written.load(device, RUN)?;
    // A weight in another place, or order, is as far from itself as it is large.
    for (ours, theirs) in own.1.iter().zip(values(&model)) {
        let apart = distance(ours, &theirs);
        if ours.len() != theirs.len() || apart.is_nan() || apart > bound {
            return Err(CliError::MergeDiffers {
                what: WRITTEN,
                difference: apart,
                limit: bound,
            });
        }
    }
    let found = logits(&model);
    let (difference, _) = gap(&unmerged, &found);
    if !difference.is_finite() {
        return Err(CliError::MergeNotFinite { what: WRITTEN });
    }
    let (same, all) = agreement(probe.of_texts(&unmerged), probe.of_texts(&found));
    Ok(format!(
        "matrices in {ty}; logits are moved by at most {difference:.2e}; the largest is the same at {same} of {all} positions"
    ))
}

/// A config, where it is that of these fields: with their numbers as a GGUF file has them, which
/// are those of 32 bits and read as the shortest that are the same there.
fn in_32_bits(
    fields: &Map<String, Value>,
    config: CheckpointConfig,
) -> Result<CheckpointConfig, CliError> {
    fn shorten(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => {
                let short = number.as_f64().map(|number| (number as f32).to_string());
                let short = short.and_then(|short| short.parse::<f64>().ok());
                *value = short.map_or(Value::Null, |short| json!(short));
            }
            Value::Array(values) => values.iter_mut().for_each(shorten),
            Value::Object(values) => values.values_mut().for_each(shorten),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    if checkpoint_config(fields)? != config {
        return Ok(config);
    }
    let mut fields = Value::Object(fields.clone());
    shorten(&mut fields);
    let fields = fields.as_object_mut().map(std::mem::take);
    Ok(checkpoint_config(&fields.unwrap_or_default())?)
}

/// The values of all parameters, in order.
fn values(model: &LanguageModel) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().into_data().iter::<f32>().collect());
        }
    }
    let mut all = Values(Vec::new());
    model.visit(&mut all);
    all.0
}

/// The length of what two differ by, of that of the first.
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let apart: f64 = ours.iter().zip(theirs).map(|(a, b)| square(a - b)).sum();
    let all: f64 = ours.iter().map(|x| square(*x)).sum();
    match all == 0.0 {
        true => apart,
        false => (apart / all).sqrt(),
    }
}
