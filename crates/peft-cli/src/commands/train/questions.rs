//! What a model is asked at evaluations, where its answers are measured.

use peft_train::{Dataset, Question, TextTokenizer, asked_tokens};

use super::checks::ROUGE_L;
use crate::args::TrainArgs;
use crate::error::CliError;

/// Tokens of an answer beyond those of the longest that is expected.
const MORE: usize = 8;

/// The questions of these rows, and how many tokens an answer has at most; none where no flag asks
/// for answers.
pub(super) fn of(
    args: &TrainArgs,
    rows: Option<&Dataset>,
    tokenizer: &TextTokenizer,
    max_length: usize,
) -> Result<(Vec<Question>, usize), CliError> {
    let asks = args.learning.eval_metric.as_deref() == Some(ROUGE_L);
    let (mut questions, mut longest) = (Vec::new(), 0);
    for row in rows.filter(|_| asks).into_iter().flat_map(Dataset::rows) {
        let row = row?;
        let (Some(prompt), Some(expected)) = (asked_tokens(&row, tokenizer)?, row.answer()) else {
            continue;
        };
        let answer = tokenizer.encode_within(&expected, None, max_length)?;
        // What a row would be cut to is not asked.
        if (1..=max_length).contains(&(prompt.len() + answer.ids.len())) && !prompt.is_empty() {
            longest = longest.max(answer.ids.len());
            questions.push(Question { prompt, expected });
        }
    }
    match asks && questions.is_empty() {
        true => Err(CliError::Usage(format!(
            "--eval-metric {ROUGE_L} compares answers, and no validation row has a prompt and an answer within --max-length {max_length}"
        ))),
        false => Ok((questions, longest.saturating_add(MORE))),
    }
}
