//! What an encoder says of one text: its label, the tags of its words, or its embedding.

use burn::module::Module;
use burn::tensor::DType;
use peft_models::{Transformer, mean_pooled};
use peft_store::{Checkpoint, SavedAdapter, adaptable};
use peft_train::{PaddedTokens, TextTokenizer, TrainError, classify, tag_words};
use serde_json::{Map, Value, json};

use super::adapted::{attach, open};
use super::classifier::{Task, adapted, positions, without_head};
use super::tokenizer::tokenizer;
use crate::args::GenerateArgs;
use crate::device::placed;
use crate::error::CliError;

pub(super) fn of(args: &GenerateArgs) -> Result<Value, CliError> {
    let checkpoint = super::opened(&args.model)?;
    let (device, dtype) = placed(&args.model)?;
    super::say_left_alone(&checkpoint, &device)?;
    let adapter = args.adapter.as_deref();
    let (tokenizer, _) = tokenizer(&checkpoint, adapter, args.model.tokenizer.as_deref())?;
    let saved = adapter
        .map(|dir| open(dir, Some(&checkpoint)))
        .transpose()?;
    let saved = saved.as_ref();
    let longest = positions(&checkpoint, saved)?;
    let Some(task) = Task::to_tell(&checkpoint, saved)? else {
        return embedding(args, &checkpoint, saved, &tokenizer);
    };
    let checkpoint = without_head(checkpoint, saved)?;
    let n = task.of.labels.len();
    if task.of.of_tokens {
        let loaded = checkpoint.load_tagger(n, &device, dtype)?;
        let model = adapted(loaded, saved, &checkpoint)?;
        let words: Vec<String> = args.text().split_whitespace().map(str::to_owned).collect();
        let texts = [words.clone()];
        let mut tags = tag_words(&model, &tokenizer, &task.of.labels, &texts, longest, 1)?;
        return Ok(json!({ "words": words, "tags": tags.pop() }));
    }
    let loaded = checkpoint.load_classifier(n, &device, dtype)?;
    let model = adapted(loaded, saved, &checkpoint)?;
    let texts = [args.text().to_owned()];
    let (problem, labels) = (task.of.problem, &task.of.labels);
    let found = classify(&model, &tokenizer, problem, labels, &texts, longest, 1)?;
    let mut found = json!(found.first());
    // Pairs, so that none is lost where labels have one name; an object for whoever reads it.
    if let Some(pairs) = found["probabilities"].as_array() {
        let entry = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].clone()));
        found["probabilities"] = pairs.iter().filter_map(entry).collect::<Map<_, _>>().into();
    }
    Ok(found)
}

/// The mean of the text's states.
fn embedding(
    args: &GenerateArgs,
    checkpoint: &Checkpoint,
    saved: Option<&SavedAdapter>,
    tokenizer: &TextTokenizer,
) -> Result<Value, CliError> {
    let (device, dtype) = placed(&args.model)?;
    let mut model = adaptable(checkpoint.load_encoder(&device, dtype)?);
    if let Some(saved) = saved {
        attach(saved, &mut model)?;
    }
    let longest = positions(checkpoint, saved)?;
    let (ids, _) = tokenizer.encode_within(args.text(), longest)?;
    if ids.is_empty() {
        return Err(CliError::Usage("the text has no tokens".into()));
    }
    let vocab_size = model.vocab_size();
    if let Some(token) = ids.iter().copied().find(|id| *id as usize >= vocab_size) {
        return Err(TrainError::TokenOutOfRange { token, vocab_size }.into());
    }
    let batch = PaddedTokens::new(&[&ids], &device);
    let hidden = model
        .valid()
        .hidden(batch.ids, batch.segments.clone(), None);
    let pooled = mean_pooled(hidden, batch.segments).cast(DType::F32);
    let values: Vec<f32> = pooled.into_data().iter::<f32>().collect();
    Ok(json!({ "embedding": values }))
}
