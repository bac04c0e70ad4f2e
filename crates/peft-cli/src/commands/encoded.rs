//! [`Teller`]: what a model says of texts that it does not continue: their labels, the tags of
//! their words, or their vectors.

use std::path::Path;

use burn::module::Module;
use peft_models::{LanguageModel, TextClassifier, TextEncoder, TokenTagger, Transformer};
use peft_store::{Adaptable, CheckpointConfig, adaptable};
use peft_train::{
    ClassifierTask, Dataset, Pool, Prediction, TextInput, TextTokenizer, TrainError, classify,
    embed, tag_words,
};
use serde_json::{Map, Value, json};

use super::adapted::{attach, open};
use super::classifier::{Task, adapted, positions, without_head};
use super::tokenizer::tokenizer;
use super::{load, opened, say_left_alone};
use crate::args::{GenerateArgs, ModelArgs};
use crate::device::placed;
use crate::error::CliError;

/// A model that says something of texts.
pub(super) struct Teller {
    tokenizer: TextTokenizer,
    /// Tokens of a text at most.
    longest: usize,
    says: Says,
}

/// What is said.
#[allow(clippy::large_enum_variant)]
enum Says {
    Labels(Adaptable<TextClassifier>, ClassifierTask),
    Tags(Adaptable<TokenTagger>, ClassifierTask),
    Vectors(Adaptable<TextEncoder>, Pool),
    DecodersVectors(Adaptable<LanguageModel>, Pool),
}

impl Teller {
    /// A model with its adapter, which gives vectors where `pool` says how, or where it has no
    /// head; `rows` are those with labels that it is to be measured by.
    pub(super) fn open(
        args: &ModelArgs,
        adapter: Option<&Path>,
        pool: Option<Pool>,
        rows: Option<&Dataset>,
    ) -> Result<Self, CliError> {
        let checkpoint = opened(args)?;
        let (tokenizer, _) = tokenizer(&checkpoint, adapter, args.tokenizer.as_deref())?;
        if !matches!(checkpoint.config(), CheckpointConfig::Encoder(_)) {
            let (_, model, _) = load(args, adapter)?;
            return Ok(Self {
                longest: model.max_positions(),
                tokenizer,
                says: Says::DecodersVectors(model, pool.unwrap_or_default()),
            });
        }
        let (device, dtype) = placed(args)?;
        say_left_alone(&checkpoint, &device)?;
        let saved = adapter
            .map(|dir| open(dir, Some(&checkpoint)))
            .transpose()?;
        let saved = saved.as_ref();
        let longest = positions(&checkpoint, saved)?;
        let task = match (pool, rows) {
            (Some(_), _) => None,
            (None, Some(rows)) => Some(Task::of_model(&checkpoint, saved, rows)?),
            (None, None) => Task::to_tell(&checkpoint, saved)?,
        };
        let says = match task {
            None => {
                let mut model = adaptable(checkpoint.load_encoder(&device, dtype)?);
                if let Some(saved) = saved {
                    attach(saved, &mut model)?;
                }
                Says::Vectors(model, pool.unwrap_or_default())
            }
            Some(Task { of, .. }) => {
                let checkpoint = without_head(checkpoint, saved)?;
                let n = of.labels.len();
                match of.of_tokens {
                    true => {
                        let loaded = checkpoint.load_tagger(n, &device, dtype)?;
                        Says::Tags(adapted(loaded, saved, &checkpoint)?, of)
                    }
                    false => {
                        let loaded = checkpoint.load_classifier(n, &device, dtype)?;
                        Says::Labels(adapted(loaded, saved, &checkpoint)?, of)
                    }
                }
            }
        };
        Ok(Self {
            tokenizer,
            longest,
            says,
        })
    }

    /// Cut texts at so many tokens, if that is less than the model takes.
    pub(super) fn cut_at(&mut self, max_length: Option<usize>) {
        self.longest = max_length.unwrap_or(self.longest).min(self.longest);
    }

    /// The labels, where it tells those of texts or of words.
    pub(super) fn task(&self) -> Option<&ClassifierTask> {
        match &self.says {
            Says::Labels(_, task) | Says::Tags(_, task) => Some(task),
            Says::Vectors(..) | Says::DecodersVectors(..) => None,
        }
    }

    /// What each text is.
    pub(super) fn texts(&self, texts: &[TextInput]) -> Result<Vec<Told>, CliError> {
        let of_pairs = matches!(self.says, Says::Labels(..));
        if !of_pairs && texts.iter().any(|of| of.pair.is_some()) {
            return Err(CliError::Usage(
                "rows have two texts, and only a head of labels reads both; leave text_pair out"
                    .into(),
            ));
        }
        match &self.says {
            Says::Labels(model, task) => {
                let told = classify(
                    model,
                    &self.tokenizer,
                    task.problem,
                    &task.labels,
                    texts,
                    self.longest,
                    texts.len(),
                )?;
                Ok(told.into_iter().map(Told::Text).collect())
            }
            Says::Tags(..) => {
                let words =
                    |of: &TextInput| of.text.split_whitespace().map(str::to_owned).collect();
                self.words(texts.iter().map(words).collect())
            }
            Says::Vectors(model, pool) => self.vectors(&model.valid(), texts, *pool),
            Says::DecodersVectors(model, pool) => self.vectors(&model.valid(), texts, *pool),
        }
    }

    /// What each word of each row is.
    pub(super) fn words(&self, rows: Vec<Vec<String>>) -> Result<Vec<Told>, CliError> {
        let Says::Tags(model, task) = &self.says else {
            return Err(CliError::Usage(
                "the rows are words, and the model says nothing of words: it has no head of tags"
                    .into(),
            ));
        };
        let (labels, n) = (&task.labels, rows.len());
        let tags = tag_words(model, &self.tokenizer, labels, &rows, self.longest, n)?;
        let told = rows.into_iter().zip(tags);
        Ok(told
            .map(|(words, tags)| Told::Words { words, tags })
            .collect())
    }

    fn vectors<M: Transformer>(
        &self,
        model: &M,
        texts: &[TextInput],
        pool: Pool,
    ) -> Result<Vec<Told>, CliError> {
        let rows = texts.iter().map(|of| {
            let found = self.tokenizer.encode_within(&of.text, None, self.longest)?;
            Ok(found.ids)
        });
        let rows = rows.collect::<Result<Vec<_>, TrainError>>()?;
        if rows.iter().any(Vec::is_empty) {
            return Err(CliError::Usage("the text has no tokens".into()));
        }
        let vectors = embed(model, &rows, pool, rows.len())?;
        Ok(vectors.into_iter().map(Told::Vector).collect())
    }
}

/// What a model says of a text.
pub(super) enum Told {
    Text(Prediction),
    Words {
        words: Vec<String>,
        tags: Vec<Option<String>>,
    },
    Vector(Vec<f32>),
}

impl Told {
    /// As `generate` prints it.
    pub(super) fn shown(&self) -> Value {
        match self {
            Self::Text(told) => {
                let mut found = json!(told);
                if let Some(pairs) = found["probabilities"].as_array() {
                    found["probabilities"] = by_name(pairs);
                }
                found
            }
            Self::Words { words, tags } => json!({ "words": words, "tags": tags }),
            Self::Vector(values) => json!({ "embedding": values }),
        }
    }
}

/// An object for whoever reads it, of pairs, so that none is lost where labels have one name.
fn by_name(pairs: &[Value]) -> Value {
    let entry = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].clone()));
    pairs.iter().filter_map(entry).collect::<Map<_, _>>().into()
}

/// What an encoder says of the prompt.
pub(super) fn of(args: &GenerateArgs) -> Result<Value, CliError> {
    let teller = Teller::open(&args.model, args.adapters.whole("an encoder")?, None, None)?;
    let told = teller.texts(&[args.text().to_owned().into()])?;
    Ok(told.first().map(Told::shown).unwrap_or_default())
}
