//! [`TagExample`]: the tokens of tagged words.

use serde::{Deserialize, Serialize};

use super::LabelSet;
use super::wrong_label::{WrongLabel, note};
use crate::data::check_vocabulary;
use crate::{
    Dataset, Digest, ExampleStore, LabelName, Row, TextTokenizer, TrainError, TrainExample,
};

/// Tokens, and the tags of those that have one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagExample {
    /// The tokens, special ones included.
    pub ids: Vec<u32>,
    /// The tag of the first token of each word; the others and special ones have none, as words
    /// whose tag is -100.
    pub tags: Vec<Option<usize>>,
}

/// The examples of a file.
#[derive(Debug)]
pub struct EncodedTags {
    /// Those that have a tag, in the file's order.
    pub examples: ExampleStore<TagExample>,
    /// The tag of all words, where they have the same: a model learns of them to say it whatever
    /// the word.
    pub only_tag: Option<usize>,
    /// How many rows were cut at the maximal length.
    pub truncated: usize,
    /// How many rows have no tag left and are left out.
    pub dropped: usize,
}

/// Tokenise the rows of a file for a tagger of words; `vocab_size` is the model's.
///
/// # Errors
///
/// A [`TrainError`]: rows of another kind, tags that the set does not have (all named together,
/// with the nearest), tokens that the model does not know.
pub fn encode_tags(
    dataset: &Dataset,
    tokenizer: &TextTokenizer,
    labels: &LabelSet,
    max_length: usize,
    vocab_size: usize,
) -> Result<EncodedTags, TrainError> {
    let labels = &labels.settled(&[dataset])?;
    let tokenizer = tokenizer.for_words()?;
    let mut encoded = EncodedTags {
        examples: ExampleStore::default(),
        only_tag: None,
        truncated: 0,
        dropped: 0,
    };
    let mut wrong = Vec::new();
    let mut other = false;
    for (i, row) in dataset.rows().enumerate() {
        let Row::Tagged { words, tags } = row? else {
            return Err(dataset.wrong_task("a tagger of words", "{\"tokens\", \"tags\"}"));
        };
        let tags: Result<Vec<Option<usize>>, WrongLabel<'_>> =
            tags.iter().map(|tag| class(tag, labels)).collect();
        let tags = match tags {
            Ok(tags) => tags,
            Err(reason) => {
                note(&mut wrong, i, reason);
                continue;
            }
        };
        let found = tokenizer.encode_words(&words, max_length)?;
        if let Err(error) = check_vocabulary(&found.ids, vocab_size) {
            note(&mut wrong, i, error);
            continue;
        }
        encoded.truncated += usize::from(found.cut);
        let firsts = firsts(&found.words).into_iter();
        let example = TagExample {
            ids: found.ids,
            tags: firsts.map(|word| tags[word?]).collect(),
        };
        match example.n_targets() {
            0 => encoded.dropped += 1,
            _ => {
                for tag in example.tags.iter().flatten() {
                    other |= *encoded.only_tag.get_or_insert(*tag) != *tag;
                }
                encoded.examples.push(&example)?;
            }
        }
    }
    if !wrong.is_empty() {
        return Err(dataset.refuse(wrong));
    }
    if encoded.examples.is_empty() {
        return Err(dataset.no_targets(encoded.truncated, max_length));
    }
    if other {
        encoded.only_tag = None;
    }
    Ok(encoded)
}

/// The output of a tag; none for what is no target.
fn class<'a>(tag: &'a LabelName, labels: &'a LabelSet) -> Result<Option<usize>, WrongLabel<'a>> {
    match labels.id(tag) {
        Ok(id) => Ok(Some(id)),
        Err(_) if tag.is_no_target() => Ok(None),
        Err(unknown) => Err(WrongLabel::Unknown(unknown)),
    }
}

/// The word that begins at each token, if one does.
pub(super) fn firsts(words: &[Option<u32>]) -> Vec<Option<usize>> {
    let mut before = None;
    words
        .iter()
        .map(|word| {
            let first = word.filter(|_| *word != before);
            before = *word;
            first.map(|word| word as usize)
        })
        .collect()
}

impl TrainExample for TagExample {
    fn length(&self) -> usize {
        self.ids.len()
    }

    fn n_targets(&self) -> usize {
        self.tags.iter().flatten().count()
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(self.ids.len() as u64);
        for (id, tag) in self.ids.iter().zip(&self.tags) {
            digest.add(u64::from(*id));
            digest.add(tag.map_or(0, |tag| tag as u64 + 1));
        }
    }
}
