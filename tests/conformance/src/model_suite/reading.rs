//! Reading a text in parts, and reading it out.

use burn::tensor::{Tensor, s};
use peft_model::{KvCache, Pass, Transformer, select_positions};

use super::{
    Device, Ids, MOST, POSITIONS, ROWS, at, layouts, model, moved, output, padding, tokens,
    verified,
};
use crate::tolerance::PATHS;
use crate::{Head, ModelFixture, ModelInvariant, assert_close};

/// The longest text that is read token by token.
const LONGEST: usize = 20;

/// As generation reads: what is new, or all of it where the cache no longer holds. The states of
/// what is read.
fn read_on<M: Transformer>(model: &M, ids: &Ids, end: usize, cache: &mut KvCache) -> Tensor<3> {
    if !model.cache_holds(cache.len(), end) {
        *cache = model.new_cache();
    }
    let part = ids.clone().slice(s![.., cache.len()..end]);
    model.hidden(part, None, Some(cache))
}

/// Of a decoder: a text in parts, padded too, from a cache that goes on in two ways, and token by
/// token to the last of its positions.
pub fn reads_in_parts<F: ModelFixture>(device: &Device) {
    if !F::CAUSAL {
        return;
    }
    let model = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &model, device);
    let (n_kv_heads, head_dim) = model.kv_shape();
    let padding = padding(&[POSITIONS, 5, 2], POSITIONS, device);
    for segments in [None, Some(padding)] {
        let whole = model.hidden(ids.clone(), segments.clone(), None);
        let mut cache = model.new_cache();
        assert!(cache.is_empty());
        let mut parts = Vec::new();
        for run in [0..4, 4..5, 5..7, 7..9] {
            let seen = segments
                .as_ref()
                .map(|all| all.clone().slice(s![.., 0..run.end]));
            let part = ids.clone().slice(s![.., run.clone()]);
            parts.push(model.hidden(part, seen, Some(&mut cache)));
            for block in 0..model.n_blocks() {
                let (keys, values) = cache.layer(block).expect("each block reads");
                let expected = [ROWS, n_kv_heads, run.end, head_dim];
                assert_eq!([keys.dims(), values.dims()], [expected; 2]);
            }
        }
        assert_close(&Tensor::cat(parts, 1), &whole, PATHS);
    }
    // A beginning that two texts share is read once.
    let mut cache = model.new_cache();
    read_on(&model, &ids, 4, &mut cache);
    let other = super::changed(&ids, &model, |_, i| i >= 4);
    for text in [&ids, &other] {
        let found = read_on(&model, text, POSITIONS, &mut cache.clone());
        let expected = model
            .hidden(text.clone(), None, None)
            .slice(s![.., 4..POSITIONS]);
        assert_close(&found, &expected, PATHS);
    }
    let longest = model.max_positions().min(LONGEST);
    let ids = tokens(ROWS, longest, &model, device);
    let mut cache = model.new_cache();
    for end in 1..=longest {
        let whole = model.hidden(ids.clone().slice(s![.., 0..end]), None, None);
        let last = |states: Tensor<3>| {
            let positions = states.dims()[1];
            states.slice(s![.., positions - 1..positions, ..])
        };
        if end <= MOST {
            assert!(
                model.cache_holds(cache.len(), end),
                "not for {end} positions"
            );
        }
        if !model.cache_holds(cache.len(), end) {
            let new = ids.clone().slice(s![.., end - 1..end]);
            let stale = model.hidden(new, None, Some(&mut cache.clone()));
            let apart = moved(&stale, &last(whole.clone())).concat();
            assert!(
                apart.iter().any(|apart| *apart > f64::from(PATHS)),
                "the cache of {} holds for {end} positions",
                cache.len()
            );
        }
        let found = read_on(&model, &ids, end, &mut cache);
        assert_close(&last(found), &last(whole), PATHS);
        assert_eq!(cache.len(), end);
    }
    rows_go_on_together(&model, device);
    verified::<F>(ModelInvariant::Parts, device);
}

/// Rows of different lengths that are read and go on together, as many tokens each: the states of
/// each row alone. What they are padded with is seen by none.
fn rows_go_on_together<M: Transformer>(model: &M, device: &Device) {
    let ids = tokens(ROWS, MOST, model, device);
    let lengths = [4, 2, 8];
    let mut together = model.new_cache();
    let mut alone: Vec<KvCache> = lengths.map(|_| model.new_cache()).into();
    let mut read = [0; ROWS];
    for parts in [lengths, [1; ROWS], [2, 0, 1], [1; ROWS]] {
        let longest = parts.into_iter().max().unwrap_or(0);
        let part = |row: usize| {
            let n = parts[row];
            let own = ids
                .clone()
                .slice(s![row..row + 1, read[row]..read[row] + n]);
            let padding = ids.clone().slice(s![row..row + 1, 0..longest - n]);
            match n {
                0 => padding,
                n if n == longest => own,
                _ => Tensor::cat(vec![own, padding], 1),
            }
        };
        let batch = Tensor::cat((0..ROWS).map(part).collect(), 0);
        let pass = Pass::of_lengths(parts.into());
        let (states, _) = model.read(batch, pass, Some(&mut together));
        for (row, n) in parts.into_iter().enumerate().filter(|(_, n)| *n > 0) {
            let own = ids
                .clone()
                .slice(s![row..row + 1, read[row]..read[row] + n]);
            let expected = model.hidden(own, None, Some(&mut alone[row]));
            let found = states.clone().slice(s![row..row + 1, 0..n]);
            assert_close(&found, &expected, PATHS);
            read[row] += n;
        }
    }
    let kept = [2, 0];
    together.keep_rows(&kept);
    let next = Tensor::cat(
        kept.map(|row| ids.clone().slice(s![row..row + 1, 0..1]))
            .into(),
        0,
    );
    let found = model.hidden(next.clone(), None, Some(&mut together));
    for (i, row) in kept.into_iter().enumerate() {
        let one = s![i..i + 1];
        let expected = model.hidden(next.clone().slice(one), None, Some(&mut alone[row]));
        assert_close(&found.clone().slice(one), &expected, PATHS);
    }
}

/// What training gets of the head is what the head makes of all states.
pub fn its_head_reads_what_it_says<F: ModelFixture>(device: &Device) {
    let model = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &model, device);
    for (layout, segments) in layouts(device) {
        println!("{layout}");
        let states = model.hidden(ids.clone(), segments.clone(), None);
        let mut expected = output::<F>(&model, states, segments.clone());
        if expected.dims()[1] == POSITIONS {
            expected = select_positions(expected, at(device));
        }
        let found = <F::Head as Head<F::Model>>::read(&model, ids.clone(), segments, at(device));
        assert_close(&found, &expected, PATHS);
    }
    verified::<F>(ModelInvariant::Head, device);
}
