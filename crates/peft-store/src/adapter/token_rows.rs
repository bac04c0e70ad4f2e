//! Rows of an embedding that train beside an adapter, in files.

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{AdapterSlot, PeftError, TokenChoice, TokenRows, edit_slots, slots};
use serde_json::{Map, Value, json};

use super::AdapterFileError;
use super::tensors::TensorsFile;
use crate::fields::{FieldError, Fields};

/// What the rows are called in a key, behind the embedding's path.
pub(super) const ROWS: &str = "trainable_tokens_delta";
/// The field that names them beside an adapter.
const FIELD: &str = "trainable_token_indices";

/// The number of a token.
pub(super) fn as_token(value: &Value) -> Option<u32> {
    // It indexes a dimension, which is no larger.
    let token = value.as_u64().and_then(|token| u32::try_from(token).ok());
    token.filter(|token| i32::try_from(*token).is_ok())
}

/// What a config says: a list of tokens of the input embedding, or an object of such a list by the
/// embedding's name.
pub(super) fn read_choice(fields: &Fields<'_>) -> Result<Option<TokenChoice>, FieldError> {
    let expected = "a list of tokens' numbers, or an object of one such list by its embedding";
    let tokens =
        |value: &Value| -> Option<Vec<u32>> { value.as_array()?.iter().map(as_token).collect() };
    let choice = fields.read(FIELD, expected, |value| match value.as_object() {
        None => Some(TokenChoice::new(tokens(value)?)),
        Some(map) => {
            let mut lists = map.iter();
            let (module, list) = lists.next()?;
            lists.next().is_none().then_some(())?;
            Some(TokenChoice {
                module: Some(module.clone()),
                tokens: tokens(list)?,
            })
        }
    })?;
    // PEFT takes an empty list for none.
    Ok(choice.filter(|choice| !choice.tokens.is_empty()))
}

/// Put it into the fields of a file.
pub(super) fn write_choice(fields: &mut Map<String, Value>, choice: Option<&TokenChoice>) {
    let value = match choice {
        None => Value::Null,
        Some(TokenChoice { module, tokens }) => match module {
            None => json!(tokens),
            Some(module) => json!({ module: tokens }),
        },
    };
    fields.insert(FIELD.into(), value);
}

/// The key of the rows that train of a weight.
fn key(path: &str, prefix: &str) -> String {
    let module = path.strip_suffix(".weight").unwrap_or(path);
    format!("{prefix}{module}.token_adapter.{ROWS}")
}

/// The rows beside adapter `name` in a slot, with their key.
pub(super) fn rows_beside(
    (path, slot): (&str, &AdapterSlot),
    (name, prefix): (&str, &str),
) -> Option<(String, TensorData)> {
    let rows = slot.get::<TokenRows>(name)?.rows.val().into_data();
    Some((key(path, prefix), rows.convert_dtype(DType::F32)))
}

/// Give the rows that train beside adapter `name` a file's values.
pub(super) fn load_rows<M: Module>(
    model: &mut M,
    (name, prefix): (&str, &str),
    file: &mut TensorsFile,
    device: &Device,
) -> Result<(), AdapterFileError> {
    let mut values = HashMap::new();
    for (path, slot) in slots(model) {
        if let Some(rows) = slot.get::<TokenRows>(name) {
            let shape = rows.rows.lazy_shape().to_vec();
            if let Some(data) = file.take(&key(&path, prefix), &shape)? {
                values.insert(path, data);
            }
        }
    }
    if values.is_empty() {
        return Ok(());
    }
    let put = |path: &str, slot: &mut AdapterSlot| -> Result<(), PeftError> {
        if let Some(data) = values.remove(path)
            && let Some(rows) = slot.get::<TokenRows>(name).cloned()
        {
            let value = Tensor::<2>::from_data(data, (device, DType::F32));
            slot.set(name, rows.with_rows(value));
        }
        Ok(())
    };
    Ok(edit_slots(model, put)?)
}
