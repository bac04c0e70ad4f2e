//! The rows of embeddings in f32, whatever the tables are stored in.
//!
//! So all that a model computes is f32: a product reads its weight as it is stored, and a norm's
//! weights and a layer's bias are widened where they act.

use burn::nn::Embedding;
use burn::tensor::{DType, Int, Tensor};

/// As [`peft_core::embedding`].
pub(crate) fn embedding(table: &Embedding, ids: Tensor<2, Int>) -> Tensor<3> {
    widened(peft_core::embedding(table, ids))
}

/// As [`peft_core::shared_embedding`].
pub(crate) fn shared_embedding(table: &Embedding, ids: Tensor<2, Int>) -> Tensor<3> {
    widened(peft_core::shared_embedding(table, ids))
}

fn widened(rows: Tensor<3>) -> Tensor<3> {
    match rows.dtype() {
        DType::BF16 | DType::F16 => rows.cast(DType::F32),
        _ => rows,
    }
}
