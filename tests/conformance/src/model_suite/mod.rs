//! The cases of [`model_suite!`](crate::model_suite!), each a function of a device. Each panics
//! where the model breaks the invariant that it is about, and notes what it has verified; one that
//! does not apply to a model verifies nothing.
//!
//! What a backend may round otherwise, since shapes differ, is compared within [`PATHS`]; what is
//! the same computation, to the bit.

mod adapting;
mod depth;
mod inputs;
mod keeping;
mod reading;
mod sight;
mod stages;
mod training;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_model::Transformer;

pub use adapting::{merges_lora, reads_each_layer_factored, takes_lora_on_each_layer};
pub use depth::{
    goes_on_from_kept_states, has_its_parameters_where_they_act, trains_its_top_layers,
};
pub use inputs::{goes_on_from_given_keys, starts_from_embeddings, takes_a_prompt_for_tokens};
pub use keeping::{moves, records, takes_half_precision};
pub use reading::{its_head_reads_what_it_says, reads_in_parts};
pub use sight::{
    padding_changes_no_row, rows_are_independent, sees_what_it_should, sequences_of_a_row_are_apart,
};
pub use stages::{runs_at_chosen_positions, runs_in_stages};
pub use training::{takes_copies_of_parameters, trains_the_adapters_alone};

use crate::net::values;
use crate::tolerance::PATHS;
use crate::{Head, ModelFixture, ModelInvariant};

/// Rows of a batch.
const ROWS: usize = 3;
/// Positions of a row.
const POSITIONS: usize = 9;
/// Positions that every model must have.
const MOST: usize = 12;
/// Positions that are read, of each row others, in no order, some twice.
const AT: [[usize; 4]; ROWS] = [[3, 8, 0, 3], [7, 1, 7, 2], [6, 5, 4, 8]];

/// What is a change, and not rounding.
const SEEN: f64 = 30.0 * PATHS as f64;

/// Token ids or segments.
type Ids = Tensor<2, Int>;

/// Note that the model of a fixture was seen to keep an invariant.
fn verified<F: ModelFixture>(invariant: ModelInvariant, device: &Device) {
    invariant.verified(F::NAME, device);
}

/// The model with values that matter.
fn model<F: ModelFixture>(device: &Device) -> F::Model {
    let model = F::filled(F::model(device));
    let sizes = [
        ("blocks", model.n_blocks(), 2),
        ("tokens", model.vocab_size(), 8),
        ("positions", model.max_positions(), MOST),
    ];
    for (what, found, least) in sizes {
        assert!(found >= least, "{found} {what}: the suite needs {least}");
    }
    model
}

/// What its head makes of states.
fn output<F: ModelFixture>(
    model: &F::Model,
    states: Tensor<3>,
    segments: Option<Ids>,
) -> Tensor<3> {
    <F::Head as Head<F::Model>>::output(model, states, segments)
}

/// Its output on tokens.
fn output_of<F: ModelFixture>(model: &F::Model, ids: &Ids) -> Tensor<3> {
    output::<F>(model, model.hidden(ids.clone(), None, None), None)
}

/// A loss whose gradient reaches every element, in f32.
fn loss_of(output: Tensor<3>) -> Tensor<1> {
    let target = values(output.dims(), 9.0, &output.device());
    (output.cast(DType::F32) - target).powi_scalar(2).mean()
}

fn from_rows<const D: usize>(
    values: Vec<i64>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Tokens, unlike in every row, `[batch, positions]`.
fn tokens<M: Transformer>(batch: usize, positions: usize, model: &M, device: &Device) -> Ids {
    let token = |i: usize| ((i * 7 + i * i * 3 + 1) % model.vocab_size()) as i64;
    let values = (0..batch * positions).map(token).collect();
    from_rows(values, [batch, positions], device)
}

/// The tokens where some are others, as `change` says by row and position.
fn changed<M: Transformer>(ids: &Ids, model: &M, change: impl Fn(usize, usize) -> bool) -> Ids {
    let ([batch, positions], device) = (ids.dims(), ids.device());
    let data = ids.to_data();
    let old = data.iter::<i64>().enumerate();
    let new = |(i, token): (usize, i64)| match change(i / positions, i % positions) {
        true => (token + 1) % model.vocab_size() as i64,
        false => token,
    };
    from_rows(old.map(new).collect(), [batch, positions], &device)
}

/// Segments by row and position, `[batch, positions]`.
fn segments(
    batch: usize,
    positions: usize,
    of: impl Fn(usize, usize) -> i64,
    device: &Device,
) -> Ids {
    let values = (0..batch * positions).map(|i| of(i / positions, i % positions));
    from_rows(values.collect(), [batch, positions], device)
}

/// Padding from `lengths[row]` on, as a segment of its own.
fn padding(lengths: &[usize], positions: usize, device: &Device) -> Ids {
    let of = |row: usize, position: usize| i64::from(position >= lengths[row]);
    segments(lengths.len(), positions, of, device)
}

/// Rows as they come: whole, padded, packed.
fn layouts(device: &Device) -> [(&'static str, Option<Ids>); 3] {
    let ends = [[2, 6, 9], [9, 9, 9], [1, 4, 7]];
    let packed = |row: usize, i: usize| ends[row].iter().filter(|end| i >= **end).count() as i64;
    [
        ("whole", None),
        (
            "padded",
            Some(padding(&[POSITIONS, 5, 3], POSITIONS, device)),
        ),
        ("packed", Some(segments(ROWS, POSITIONS, packed, device))),
    ]
}

/// [`AT`], `[ROWS, 4]`.
fn at(device: &Device) -> Ids {
    segments(ROWS, 4, |row, i| AT[row][i] as i64, device)
}

/// The outputs are finite, and not equal up to rounding.
#[track_caller]
fn assert_acts(found: &Tensor<3>, base: &Tensor<3>) {
    assert!(found.clone().is_finite().all().into_scalar::<bool>());
    let apart = (found.clone() - base.clone())
        .abs()
        .max()
        .into_scalar::<f32>();
    assert!(f64::from(apart) > SEEN, "only {apart} apart");
}

/// How far the state of each position is from another, `[batch][positions]`.
fn moved(a: &Tensor<3>, b: &Tensor<3>) -> Vec<Vec<f64>> {
    let positions = a.dims()[1];
    let apart: Vec<f64> = (a.clone() - b.clone())
        .abs()
        .max_dim(2)
        .into_data()
        .iter()
        .collect();
    apart.chunks(positions).map(<[f64]>::to_vec).collect()
}
