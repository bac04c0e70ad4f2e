//! What a position sees: not padding, not other rows, not other sequences, and of its own what it
//! should.

use burn::tensor::{Tensor, s};
use peft_model::{EVERY_SEQUENCE, Transformer};

use super::{
    Device, POSITIONS, ROWS, SEEN, changed, model, moved, output, padding, segments, tokens,
    verified,
};
use crate::tolerance::PATHS;
use crate::{ModelFixture, ModelInvariant, assert_close};

/// Padded rows have the states and outputs of rows alone, whatever the padding is.
pub fn padding_changes_no_row<F: ModelFixture>(device: &Device) {
    let model = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &model, device);
    let lengths = [POSITIONS, 5, 2];
    let padding = padding(&lengths, POSITIONS, device);
    let other = changed(&ids, &model, |row, i| i >= lengths[row]);
    let of = |ids| model.hidden(ids, Some(padding.clone()), None);
    let [batch, other] = [of(ids.clone()), of(other)];
    let outputs = output::<F>(&model, batch.clone(), Some(padding.clone()));
    for (row, length) in lengths.into_iter().enumerate() {
        let alone = model.hidden(ids.clone().slice(s![row..row + 1, 0..length]), None, None);
        for states in [&batch, &other] {
            let found = states.clone().slice(s![row..row + 1, 0..length, ..]);
            assert_close(&found, &alone, PATHS);
        }
        let expected = output::<F>(&model, alone, None);
        let read = expected.dims()[1]; // one of a whole text
        let found = outputs.clone().slice(s![row..row + 1, 0..read, ..]);
        assert_close(&found, &expected, PATHS);
    }
    // A text that goes on behind padding, as a shorter one of a batch does.
    let between = |i: usize| (3..5).contains(&i);
    let padding = segments(ROWS, POSITIONS, |_, i| i64::from(between(i)), device);
    let other = changed(&ids, &model, |_, i| between(i));
    let of = |ids| model.hidden(ids, Some(padding.clone()), None);
    let text = |states: Tensor<3>| {
        let parts = [0..3, 5..POSITIONS].map(|part| states.clone().slice(s![.., part, ..]));
        Tensor::cat(parts.to_vec(), 1)
    };
    assert_close(&text(of(other)), &text(of(ids)), PATHS);
    verified::<F>(ModelInvariant::Padding, device);
}

/// A batch's rows have the states and outputs of rows alone.
pub fn rows_are_independent<F: ModelFixture>(device: &Device) {
    let model = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &model, device);
    let batch = model.hidden(ids.clone(), None, None);
    let outputs = output::<F>(&model, batch.clone(), None);
    for row in 0..ROWS {
        let one = s![row..row + 1];
        let alone = model.hidden(ids.clone().slice(one), None, None);
        assert_close(&batch.clone().slice(one), &alone, PATHS);
        let alone = output::<F>(&model, alone, None);
        assert_close(&outputs.clone().slice(one), &alone, PATHS);
    }
    verified::<F>(ModelInvariant::Rows, device);
}

/// A sequence's states change with its own tokens, wherever in the row they are, and with those
/// that are of every sequence; and with no other's.
pub fn sequences_of_a_row_are_apart<F: ModelFixture>(device: &Device) {
    let model = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &model, device);
    let of = [
        [0, 0, 0, 1, 1, 1, 2, 2, 2],
        [5, 5, 7, 7, 5, 5, 7, 5, 7],
        [EVERY_SEQUENCE, 0, 1, 0, 1, 1, 0, 0, 1],
    ];
    let packed = segments(ROWS, POSITIONS, |row, i| of[row][i], device);
    let hidden = |ids| model.hidden(ids, Some(packed.clone()), None);
    let states = hidden(ids.clone());
    for sequence in [EVERY_SEQUENCE, 0, 1, 2, 5, 7] {
        let other = changed(&ids, &model, |row, i| of[row][i] == sequence);
        let moved = moved(&hidden(other), &states);
        for (row, moved) in moved.iter().enumerate() {
            for (i, moved) in moved.iter().enumerate() {
                let here = of[row][i];
                let shared = sequence == EVERY_SEQUENCE && row == 2;
                if here == sequence || shared && i < 3 {
                    assert!(
                        *moved > SEEN,
                        "row {row}, position {i} of sequence {here}: {moved}, though {sequence} changes"
                    );
                } else if here != EVERY_SEQUENCE && !shared {
                    assert!(
                        *moved < f64::from(PATHS),
                        "row {row}, position {i} of sequence {here}: {moved}, since {sequence} changes"
                    );
                }
            }
        }
    }
    // One sequence is a row without segments.
    let one = segments(ROWS, POSITIONS, |row, _| row as i64, device);
    let found = model.hidden(ids.clone(), Some(one), None);
    assert_close(&found, &model.hidden(ids, None, None), PATHS);
    verified::<F>(ModelInvariant::Sequences, device);
}

/// A token changes its own state and the next one's; those before it where the model is no decoder,
/// and else none of them.
pub fn sees_what_it_should<F: ModelFixture>(device: &Device) {
    let model = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &model, device);
    let hidden = |ids| -> Tensor<3> { model.hidden(ids, None, None) };
    let states = hidden(ids.clone());
    for at in 0..POSITIONS {
        let moved = moved(&hidden(changed(&ids, &model, |_, i| i == at)), &states);
        for moved in moved {
            for (i, moved) in moved.iter().enumerate() {
                if F::CAUSAL && i < at {
                    assert!(*moved < f64::from(PATHS), "position {i} sees {at}: {moved}");
                } else if i.abs_diff(at) <= 1 {
                    assert!(*moved > SEEN, "position {i} does not see {at}: {moved}");
                }
            }
        }
    }
    verified::<F>(ModelInvariant::Sight, device);
}
