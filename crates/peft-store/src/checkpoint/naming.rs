//! How the keys of a file and the paths of a model's parameters correspond.

use std::collections::BTreeMap;

use crate::TensorProblem;
use crate::tensor_file::Place;

/// Where a model's base lies in it, and what files hold beside its parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming {
    /// The path of the model without its head, with a point: files written without a head leave it
    /// out.
    pub(super) base: &'static str,
    /// The output layer that may be tied to the embedding, and the embedding.
    pub(super) tied: Option<(&'static str, &'static str)>,
    /// Ends of keys that no model needs: buffers, and heads that a model was pre-trained with.
    pub(super) ignored: &'static [&'static str],
}

/// Rotary tables of old releases and masks as buffers.
const BUFFERS: &[&str] = &[".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"];

/// What others put a model into before they save it: DDP, torch.compile, PEFT,
/// sentence-transformers.
const WRAPPERS: [&str; 4] = [
    "module.",
    "_orig_mod.",
    "base_model.model.",
    "0.auto_model.",
];

/// The tensors by their keys without the wrappers that all of them are under. Each keeps its own
/// key for messages.
pub(super) fn unwrapped(mut places: BTreeMap<String, Place>) -> BTreeMap<String, Place> {
    let outer = |places: &BTreeMap<String, Place>| {
        let mut wrappers = WRAPPERS.into_iter();
        wrappers.find(|wrapper| places.keys().all(|key| key.starts_with(wrapper)))
    };
    while !places.is_empty() {
        let Some(wrapper) = outer(&places) else { break };
        let inner = |(key, place): (String, Place)| (key[wrapper.len()..].to_owned(), place);
        places = places.into_iter().map(inner).collect();
    }
    places
}

/// The tensors of the text part of a model of text and images, by the keys that they have in a
/// model of text alone, and the names of the other parts.
pub(super) fn text_part(places: BTreeMap<String, Place>) -> (BTreeMap<String, Place>, Vec<String>) {
    let mut text = BTreeMap::new();
    let mut others: Vec<String> = Vec::new();
    for (key, place) in places {
        let inner = ["model.language_model.", "language_model."];
        let inner = inner.iter().find_map(|part| key.strip_prefix(part));
        let path = match inner {
            Some(inner) if inner.starts_with("model.") || inner.starts_with("lm_head.") => {
                inner.to_owned()
            }
            Some(inner) => format!("model.{inner}"),
            None if key.starts_with("lm_head.") => key,
            None => {
                let name = key.strip_prefix("model.").unwrap_or(&key);
                let part = name.split('.').next().unwrap_or(name);
                if others.last().is_none_or(|last| last != part) {
                    others.push(part.to_owned());
                }
                continue;
            }
        };
        text.insert(path, place);
    }
    others.sort();
    others.dedup();
    (text, others)
}

impl Naming {
    /// Of the decoders whose architecture is one with Llama's.
    pub(super) const DECODER: Self = Self {
        base: "model.",
        tied: Some(("lm_head.weight", "model.embed_tokens.weight")),
        ignored: BUFFERS,
    };
    /// Of GPT-2.
    pub(super) const GPT2: Self = Self {
        base: "transformer.",
        tied: Some(("lm_head.weight", "transformer.wte.weight")),
        ignored: BUFFERS,
    };

    /// The tensors by the paths that they have in the model.
    pub(super) fn paths(
        &self,
        places: BTreeMap<String, Place>,
    ) -> Result<BTreeMap<String, Place>, Vec<TensorProblem>> {
        let bare = !places.keys().any(|key| key.starts_with(self.base));
        let mut paths = BTreeMap::new();
        let mut problems = Vec::new();
        for (key, place) in places {
            if self.ignored.iter().any(|end| key.ends_with(end)) {
                continue;
            }
            let own = self.tied.is_some_and(|(head, _)| key == head);
            let path = match bare && !own {
                true => format!("{}{key}", self.base),
                false => key.clone(),
            };
            if paths.insert(path, place).is_some() {
                problems.push(TensorProblem::Twice { key });
            }
        }
        match problems.is_empty() {
            true => Ok(paths),
            false => Err(problems),
        }
    }
}
