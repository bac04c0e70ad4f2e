//! [`generate`]: tokens from a model, one after the other.

mod config;
mod pick;
mod read_text;
mod row;
mod rules;

use std::ops::ControlFlow;

use burn::tensor::DType;
use peft_model::{CausalLm, KvCache};

pub use config::GenerateConfig;
pub use read_text::ReadText;
pub use rules::TokenRules;

use self::row::Row;
use crate::TrainError;
use crate::eval::{device_of, read_ends};

/// Continue `prompt`; `on_token` gets each new token at once. The new tokens, without the prompt.
///
/// # Errors
///
/// [`TrainError::Setting`]; [`TrainError::PromptLength`] for an empty prompt or one longer than the
/// model takes; [`TrainError::TokenOutOfRange`]; [`TrainError::NotFiniteLogits`].
pub fn generate<M: CausalLm>(
    model: &M,
    prompt: &[u32],
    config: &GenerateConfig,
    mut on_token: impl FnMut(u32),
) -> Result<Vec<u32>, TrainError> {
    let all = generate_all(model, &[prompt], config, |_, token| on_token(token))?;
    Ok(all.into_iter().flatten().collect())
}

/// Continue prompts of any lengths together, each as [`generate`] does alone; `on_token` gets the
/// index of a prompt with its new token. The new tokens of each.
///
/// # Errors
///
/// As [`generate`].
pub fn generate_all<M: CausalLm>(
    model: &M,
    prompts: &[&[u32]],
    config: &GenerateConfig,
    mut on_token: impl FnMut(usize, u32),
) -> Result<Vec<Vec<u32>>, TrainError> {
    check(model, prompts, config)?;
    let rows = prompts.iter().map(|p| Row::new(p, config)).collect();
    let (rows, _) = run(model, rows, model.new_cache(), config, |row, token| {
        on_token(row, token);
        ControlFlow::Continue(())
    })?;
    Ok(rows.into_iter().map(|row| row.generated).collect())
}

/// As [`generate`], by a model that has read a text already: what `prompt` begins with alike is not
/// read again, and `read` is afterwards what the model has read then. The text ends early where
/// `on_token` breaks, with the token that it was given.
///
/// # Errors
///
/// As [`generate`]; nothing is read then.
pub fn generate_behind<M: CausalLm>(
    model: &M,
    read: &mut ReadText,
    prompt: &[u32],
    config: &GenerateConfig,
    mut on_token: impl FnMut(u32) -> ControlFlow<()>,
) -> Result<Vec<u32>, TrainError> {
    check(model, &[prompt], config)?;
    let mut row = Row::new(prompt, config);
    let cache;
    (cache, row.read) = read.take(model, prompt);
    let (rows, cache) = run(model, vec![row], cache, config, |_, token| on_token(token))?;
    let row = rows.into_iter().next();
    let (generated, n) = row.map_or((Vec::new(), 0), |row| (row.generated, row.read));
    let all = prompt.iter().chain(&generated).copied();
    *read = ReadText::new(all.take(n).collect(), cache);
    Ok(generated)
}

/// What cannot be asked of a model.
fn check<M: CausalLm>(
    model: &M,
    prompts: &[&[u32]],
    config: &GenerateConfig,
) -> Result<(), TrainError> {
    config.validate()?;
    let (limit, vocab_size) = (model.max_positions(), model.vocab_size());
    for prompt in prompts {
        if let Some(token) = prompt.iter().copied().find(|t| *t as usize >= vocab_size) {
            return Err(TrainError::TokenOutOfRange { token, vocab_size });
        }
        if prompt.is_empty() || prompt.len() > limit {
            let tokens = prompt.len();
            return Err(TrainError::PromptLength { tokens, limit });
        }
    }
    Ok(())
}

/// Continue rows, of which `cache` holds what each has read, until each has ended. The rows, and
/// the cache of those that ended last.
fn run<'a, M: CausalLm>(
    model: &M,
    mut rows: Vec<Row<'a>>,
    mut cache: KvCache,
    config: &GenerateConfig,
    mut on_token: impl FnMut(usize, u32) -> ControlFlow<()>,
) -> Result<(Vec<Row<'a>>, KvCache), TrainError> {
    let limit = model.max_positions();
    let device = device_of(model);
    let mut active: Vec<usize> = (0..rows.len()).collect();
    let n_virtual_tokens = model.stages().n_virtual_tokens();
    loop {
        let is_going_on: Vec<bool> = active
            .iter()
            .map(|row| rows[*row].goes_on(config, limit))
            .collect();
        let kept: Vec<usize> = (0..active.len()).filter(|i| is_going_on[*i]).collect();
        if kept.is_empty() {
            return Ok((rows, cache));
        }
        if kept.len() < active.len() {
            cache.keep_rows(&kept);
            active = kept.into_iter().map(|i| active[i]).collect();
        }
        let holds = |row: &Row<'_>| match row.read {
            0 => true,
            read => model.cache_holds(n_virtual_tokens + read, row.len()),
        };
        if !active.iter().all(|row| holds(&rows[*row])) {
            cache = model.new_cache();
            active.iter().for_each(|row| rows[*row].read = 0);
        }
        let unread: Vec<Vec<u32>> = active.iter().map(|row| rows[*row].unread()).collect();
        let unread: Vec<&[u32]> = unread.iter().map(Vec::as_slice).collect();
        let hidden = read_ends(model, &unread, &mut cache, &device);
        let logits = model.logits(hidden).cast(DType::F32).into_data();
        let mut logits: Vec<f32> = logits.try_into_vec().expect("scores that were cast to f32");
        let each = logits.len() / active.len();
        for (row, logits) in active.iter().zip(logits.chunks_mut(each)) {
            if let Some(token) = rows[*row].take(logits, config)?
                && on_token(*row, token).is_break()
            {
                rows[*row].has_ended = true;
            }
        }
    }
}
