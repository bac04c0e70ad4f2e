//! A model in stages, and its last block at the positions that are read.

use burn::tensor::{Tensor, TensorData, s};
use peft_model::{Pass, Read, Transformer};

use super::{AT, Device, POSITIONS, ROWS, at, layouts, loss_of, model, tokens, verified};
use crate::tolerance::PATHS;
use crate::{ModelFixture, ModelInvariant, assert_close, assert_same, with_gradient};

/// Embeddings, what is begun of them, the blocks to any and from it, and what is finished: the bits
/// of the whole.
pub fn runs_in_stages<F: ModelFixture>(device: &Device) {
    let model = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &model, device);
    let n = model.n_blocks();
    for (layout, segments) in layouts(device) {
        println!("{layout}");
        let whole = model.hidden(ids.clone(), segments.clone(), None);
        assert_eq!(whole.dims(), [ROWS, POSITIONS, model.d_model()]);
        let pass = Pass::new(segments.clone());
        let context = model.context([ROWS, POSITIONS], pass, None, device);
        let begun = model.begin(ids.clone(), &context);
        let run = |x, blocks| model.run(x, blocks, &context, None);
        for cut in 0..=n {
            let x = run(run(begun.clone(), 0..cut), cut..n);
            assert_same(&model.finish(x, &context), &whole);
        }
        let one_by_one = (0..n).fold(begun, |x, block| run(x, block..block + 1));
        assert_same(&model.finish(one_by_one, &context), &whole);
    }
    verified::<F>(ModelInvariant::Stages, device);
}

/// The states at these positions, one slice after the other.
fn picked(states: &Tensor<3>) -> Tensor<3> {
    let one = |row: usize, at: usize| states.clone().slice(s![row..row + 1, at..at + 1, ..]);
    let row = |row: usize| Tensor::cat(AT[row].iter().map(|at| one(row, *at)).collect(), 1);
    Tensor::cat((0..ROWS).map(row).collect(), 0)
}

/// In rows that are whole, padded and packed: the states and the gradients of every parameter.
pub fn runs_at_chosen_positions<F: ModelFixture>(device: &Device) {
    let on = &device.clone().autodiff();
    let model = model::<F>(on);
    let ids = tokens(ROWS, POSITIONS, &model, on);
    let n = model.n_blocks();
    for (layout, segments) in layouts(on) {
        println!("{layout}");
        let whole = picked(&model.hidden(ids.clone(), segments.clone(), None));
        let pass = Pass::new(segments.clone()).reading(Read::At(at(on)));
        let context = model.context([ROWS, POSITIONS], pass, None, on);
        let run = |x, blocks| model.run(x, blocks, &context, None);
        let below = run(model.begin(ids.clone(), &context), 0..n - 1);
        let last = model.finish(run(below, n - 1..n), &context);
        let expected = with_gradient(&model, &loss_of(whole.clone()));
        for found in [model.hidden_at(ids.clone(), segments, at(on)), last] {
            assert_close(&found, &whole, PATHS);
            let found = with_gradient(&model, &loss_of(found));
            assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
            for (path, expected) in &expected {
                println!("  {path}");
                let flat = |data: &TensorData| {
                    Tensor::<1>::from_data(data.as_slice::<f32>().expect("f32"), device)
                };
                assert_close(&flat(&found[path]), &flat(expected), PATHS);
            }
        }
    }
    verified::<F>(ModelInvariant::Positions, device);
}
