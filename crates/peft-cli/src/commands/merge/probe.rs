//! [`Probe`]: the texts on which the merged and the unmerged model are compared.

use std::path::Path;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_store::Checkpoint;
use peft_train::{Dataset, EncodeSpecial, Row, TextTokenizer};

use crate::error::CliError;
use crate::say::say;

/// The text where no rows are given: of several kinds, since adapters act on some and not on
/// others.
const TEXT: &str = "The harbour was quiet that morning. Three boats had left before dawn, and the \
    fourth, a small blue one named Clara, waited for the tide. \"How long will it take?\" asked \
    the boy. His aunt looked at the sky and counted: 7 + 5 = 12 miles, two hours at most. \
    def wait(hours): return [hour for hour in range(hours)]";
/// Rows that are taken of a file, and tokens of a row.
const ROWS: usize = 4;
const TOKENS: usize = 64;
/// Tokens from all over the vocabulary, for what acts on few of them.
const SPREAD: usize = 16;

/// Rows of tokens.
pub(in crate::commands) struct Probe {
    rows: Vec<Vec<u32>>,
    /// How many of them are text.
    texts: usize,
    /// Whether they are a file's.
    given: bool,
}

impl Probe {
    /// Of the rows that the flags name, or of a fixed text; of tokens alone where nothing reads it.
    pub(in crate::commands) fn of(
        file: Option<&Path>,
        checkpoint: &Checkpoint,
        tokenizer: Option<&TextTokenizer>,
    ) -> Result<Self, CliError> {
        let config = checkpoint.config();
        let (vocab, longest) = (config.vocab_size(), config.max_positions().min(TOKENS));
        let mut rows = match (tokenizer, file) {
            (Some(tokenizer), Some(file)) => {
                let rows = Dataset::read(file)?;
                let rows = rows.rows().take(ROWS);
                rows.map(|row| tokens(&row?, tokenizer)).collect()
            }
            (Some(tokenizer), None) => tokenizer
                .encode(TEXT, EncodeSpecial::Both)
                .map(|row| vec![row])
                .map_err(CliError::from),
            (None, _) => Ok(Vec::new()),
        }?;
        for row in &mut rows {
            row.retain(|id| (*id as usize) < vocab);
            row.truncate(longest);
        }
        rows.retain(|row| !row.is_empty());
        if rows.is_empty() {
            match file {
                Some(file) => {
                    let file = file.display();
                    return Err(CliError::Usage(format!(
                        "{file} has no text of tokens that the model has"
                    )));
                }
                None => say!("no text can be read, so the models are compared on tokens alone"),
            }
        }
        let texts = rows.len();
        let n = SPREAD.min(longest);
        let step = (vocab / n).max(1);
        rows.push((0..n).map(|i| ((i * step + i) % vocab) as u32).collect());
        Ok(Self {
            rows,
            texts,
            given: file.is_some(),
        })
    }

    /// What `logits` gives for each row.
    pub(in crate::commands) fn read(
        &self,
        device: &Device,
        logits: impl Fn(Tensor<2, Int>) -> Logits,
    ) -> Vec<Logits> {
        let ids = |row: &Vec<u32>| {
            let ids: Vec<i64> = row.iter().map(|id| i64::from(*id)).collect();
            let ids = TensorData::new(ids, [1, row.len()]);
            Tensor::from_data(ids, (device, DType::I64))
        };
        self.rows.iter().map(|row| logits(ids(row))).collect()
    }

    /// Those of the rows that are text, or all where none is.
    pub(in crate::commands) fn of_texts<'a>(&self, all: &'a [Logits]) -> &'a [Logits] {
        match self.texts {
            0 => all,
            n => &all[..n],
        }
    }

    /// Whether a tokenizer gives these tokens: one that was copied must.
    pub(in crate::commands) fn is_of(&self, tokenizer: &TextTokenizer) -> bool {
        self.given
            || self.texts == 0
            || tokenizer
                .encode(TEXT, EncodeSpecial::Both)
                .is_ok_and(|ids| ids.iter().zip(&self.rows[0]).all(|(a, b)| a == b))
    }
}

/// The tokens of a row's whole text.
fn tokens(row: &Row, tokenizer: &TextTokenizer) -> Result<Vec<u32>, CliError> {
    if let Row::Labelled { text, pair, .. } = row {
        let found = tokenizer.encode_within(text, pair.as_deref(), usize::MAX)?;
        return Ok(found.ids);
    }
    let (text, special) = match row {
        Row::Text { text } => (text.clone(), EncodeSpecial::Both),
        Row::Completion { prompt, completion } => {
            (format!("{prompt}{completion}"), EncodeSpecial::Both)
        }
        Row::Tagged { words, .. } => (words.join(" "), EncodeSpecial::Both),
        Row::Chat {
            messages,
            variables,
        } => {
            let rendered = tokenizer.render_marked(messages, variables, false)?;
            (rendered.text, EncodeSpecial::None)
        }
        Row::Instruction(row) => match tokenizer.has_chat_template() {
            true => (
                tokenizer.render(&row.messages(), false)?,
                EncodeSpecial::None,
            ),
            false => (
                format!("{}{}", row.prompt(), row.output),
                EncodeSpecial::Both,
            ),
        },
        Row::Dialogue {
            prompt,
            completion,
            variables,
        } => {
            let messages = [prompt.as_slice(), completion].concat();
            let rendered = tokenizer.render_marked(&messages, variables, false)?;
            (rendered.text, EncodeSpecial::None)
        }
        _ => return Err(CliError::Usage("--probe takes rows of texts".into())),
    };
    Ok(tokenizer.encode(&text, special)?)
}

/// What a model gives for a row.
pub(in crate::commands) struct Logits {
    pub(in crate::commands) values: Vec<f32>,
    /// How many there are for a position.
    pub(in crate::commands) width: usize,
}

impl Logits {
    pub(in crate::commands) fn of<const D: usize>(logits: Tensor<D>) -> Self {
        let width = logits.dims()[D - 1];
        let values = logits.into_data().iter::<f32>().collect();
        Self { values, width }
    }

    /// Whether both have the same bits.
    pub(in crate::commands) fn is_same(&self, other: &Self) -> bool {
        let bits = |of: &Self| of.values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        bits(self) == bits(other)
    }

    /// The place of the largest at each position.
    pub(in crate::commands) fn likeliest(&self) -> Vec<usize> {
        let largest = |values: &[f32]| {
            let values = values.iter().enumerate();
            let largest = values.max_by(|a, b| a.1.total_cmp(b.1));
            largest.map_or(0, |(at, _)| at)
        };
        self.values.chunks(self.width.max(1)).map(largest).collect()
    }
}
