//! [`generate`]: tokens from a model, one after the other.

mod config;
mod pick;
mod rules;

mod row;

use burn::tensor::DType;
use peft_model::CausalLm;

pub use config::GenerateConfig;
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
    let device = device_of(model);
    let mut rows: Vec<Row<'_>> = prompts.iter().map(|p| Row::new(p, config)).collect();
    let mut active: Vec<usize> = (0..rows.len()).collect();
    if active.is_empty() {
        return Ok(Vec::new());
    }
    let mut cache = model.new_cache();
    let n_virtual_tokens = model.stages().n_virtual_tokens();
    loop {
        let is_going_on: Vec<bool> = active
            .iter()
            .map(|row| rows[*row].goes_on(config, limit))
            .collect();
        if is_going_on.contains(&false) {
            let kept: Vec<usize> = (0..active.len()).filter(|i| is_going_on[*i]).collect();
            if kept.is_empty() {
                return Ok(rows.into_iter().map(|row| row.generated).collect());
            }
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
            if let Some(token) = rows[*row].take(logits, config)? {
                on_token(*row, token);
            }
        }
    }
}
