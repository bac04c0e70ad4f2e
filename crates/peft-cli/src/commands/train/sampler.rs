//! [`Sampler`]: what a model answers to a few rows, as a run goes on.

use peft_model::CausalLm;
use peft_train::{Dataset, GenerateConfig, TextTokenizer, TrainError, asked_tokens, generate_all};
use serde_json::{Value, json};

use crate::args::TrainArgs;
use crate::error::CliError;

/// Tokens of an answer at most.
const LENGTH: usize = 64;

/// What a model answers, row by row, as metrics keep it.
pub(super) type Answers<'a, M> = Box<dyn Fn(&M) -> Result<Vec<Value>, TrainError> + 'a>;

/// A few rows that a model is asked again and again.
pub(super) struct Sampler<'a> {
    tokenizer: &'a TextTokenizer,
    rows: Vec<Asked>,
}

/// A row that is asked.
struct Asked {
    prompt: Vec<u32>,
    question: Option<String>,
    expected: Option<String>,
}

impl<'a> Sampler<'a> {
    /// The first rows of these that ask for something, as many as the flags say; none where they
    /// say none.
    pub(super) fn new(
        args: &TrainArgs,
        rows: &Dataset,
        tokenizer: &'a TextTokenizer,
    ) -> Result<Option<Self>, CliError> {
        let wanted = args.learning.samples;
        let mut asked = Vec::new();
        for row in rows.rows() {
            if asked.len() >= wanted {
                break;
            }
            let row = row?;
            let Some(prompt) = asked_tokens(&row, tokenizer)? else {
                continue;
            };
            if (1..=args.max_length).contains(&prompt.len()) {
                asked.push(Asked {
                    prompt,
                    question: row.question(),
                    expected: row.answer(),
                });
            }
        }
        Ok((!asked.is_empty()).then_some(Self {
            tokenizer,
            rows: asked,
        }))
    }

    /// What a model answers, by its likeliest tokens.
    pub(super) fn answers<M: CausalLm>(&self, model: &M) -> Result<Vec<Value>, TrainError> {
        let limit = model.max_positions();
        let fits = |row: &&Asked| row.prompt.len() < limit;
        let rows: Vec<&Asked> = self.rows.iter().filter(fits).collect();
        let prompts: Vec<&[u32]> = rows.iter().map(|row| row.prompt.as_slice()).collect();
        if prompts.is_empty() {
            return Ok(Vec::new());
        }
        let config = GenerateConfig {
            max_new_tokens: LENGTH,
            eos: self.tokenizer.stops().to_vec(),
            ..GenerateConfig::default()
        };
        let answers = generate_all(model, &prompts, &config, |_, _| ())?;
        let lines = rows.iter().zip(answers).map(|(row, tokens)| {
            Ok(json!({
                "prompt": row.question,
                "answer": self.tokenizer.decode(&tokens)?,
                "expected": row.expected,
            }))
        });
        lines.collect()
    }
}

/// An answer in a line.
pub(super) fn line(sample: &Value) -> String {
    /// Characters of each part.
    const WIDTH: usize = 60;
    let short = |value: &Value| {
        let text = value.as_str().unwrap_or("").split_whitespace();
        let text = text.collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(WIDTH) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    };
    format!(
        "  {} → {}",
        short(&sample["prompt"]),
        short(&sample["answer"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_one_short_line() {
        let sample = json!({"prompt": "What\nis it?", "answer": "é".repeat(70)});
        let expected = format!("  What is it? → {}…", "é".repeat(60));
        assert_eq!(line(&sample), expected);
    }
}
