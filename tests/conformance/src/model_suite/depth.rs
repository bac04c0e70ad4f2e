//! A model by depth: what strategies and the cached trunk go by.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::tensor::Tensor;
use peft_core::{Names, ParamSet, freeze_all_but, layers};
use peft_layerwise::{BlockPlace, Depth, Strategy, TopLayers};
use peft_model::{Pass, Read, Transformer};

use super::{
    Device, Ids, POSITIONS, ROWS, at, layouts, loss_of, model, output, output_of, tokens, verified,
};
use crate::tolerance::PATHS;
use crate::{
    ModelFixture, ModelInvariant, assert_close, assert_same, params, steps, trained, values,
    with_gradient,
};

/// Each parameter has a gradient in the stage at whose place it lies, and in no other; a table of
/// tokens may be the output layer too.
pub fn has_its_parameters_where_they_act<F: ModelFixture>(device: &Device) {
    let on = &device.clone().autodiff();
    let model = model::<F>(on);
    let depth = Depth::of(&model).expect("it has blocks");
    assert_eq!(depth.n_blocks(), model.n_blocks());
    let ids = tokens(ROWS, POSITIONS, &model, on);
    let x = values([ROWS, POSITIONS, model.d_model()], 3.0, on);
    let context = model.context([ROWS, POSITIONS], Pass::default(), None, on);
    let mut stages = vec![(BlockPlace::Below, model.begin(ids, &context))];
    for block in 0..model.n_blocks() {
        let states = model.run(x.clone(), block..block + 1, &context, None);
        stages.push((BlockPlace::Block(block), states));
    }
    stages.push((
        BlockPlace::Above,
        output::<F>(&model, model.finish(x, &context), None),
    ));
    let mut read: BTreeMap<String, BTreeSet<BlockPlace>> = BTreeMap::new();
    for (place, states) in stages {
        if !states.is_tracked() {
            continue; // without a norm nor a head
        }
        for path in with_gradient(&model, &loss_of(states)).into_keys() {
            read.entry(path).or_default().insert(place);
        }
    }
    let tables: Vec<String> = layers(&model)
        .iter()
        .map(|layer| layer.weight_path())
        .collect();
    for (path, place) in depth.iter() {
        let mut found = read.remove(path).unwrap_or_default();
        if place == BlockPlace::Below && tables.iter().any(|table| table == path) {
            found.remove(&BlockPlace::Above);
        }
        assert_eq!(
            found,
            BTreeSet::from([place]),
            "where {path} is read, and its place"
        );
    }
    assert!(read.is_empty(), "{read:?}");
    verified::<F>(ModelInvariant::Places, device);
}

/// The model with nothing trained below a block.
fn from_block<M: Module>(mut model: M, block: usize) -> (M, Vec<String>) {
    let depth = Depth::of(&model).expect("it has blocks");
    let above = depth
        .iter()
        .filter(|(_, place)| *place >= BlockPlace::Block(block));
    let paths: BTreeSet<String> = above.map(|(path, _)| path.to_owned()).collect();
    let paths: Vec<String> = paths.into_iter().collect();
    let exactly = match paths.is_empty() {
        true => ParamSet::None,
        false => ParamSet::Names(Names::Regex(paths.join("|").replace('.', r"\."))),
    };
    freeze_all_but(&mut model, &exactly).expect("they are there");
    (model, paths)
}

/// Of any number: the parameters that the strategy names are those from a block on, exactly they
/// get gradients and change, and the states below have no graph.
pub fn trains_its_top_layers<F: ModelFixture>(device: &Device) {
    let on = &device.clone().autodiff();
    let plain = model::<F>(on);
    let ids = tokens(ROWS, POSITIONS, &plain, on);
    for block in 0..plain.n_blocks() {
        let (model, expected) = from_block(plain.clone(), block);
        let strategy = TopLayers::new(&model, model.n_blocks() - block).expect("it fits");
        let all = params(&model).into_keys();
        let named: Vec<String> = all
            .filter(|path| strategy.rate(0, path, true).is_some())
            .collect();
        assert_eq!((&named, &trained(&model)), (&expected, &expected));
        let context = model.context([ROWS, POSITIONS], Pass::default(), None, on);
        let begun = model.begin(ids.clone(), &context);
        let below = model.run(begun, 0..block, &context, None);
        assert!(
            !below.is_tracked(),
            "what is below block {block} is part of the graph"
        );
        let loss = |model: &F::Model| loss_of(output_of::<F>(model, &ids));
        let gradients = with_gradient(&model, &loss(&model));
        assert!(gradients.keys().eq(&expected), "{:?}", gradients.keys());
        let before = params(&model);
        let (model, _) = steps(model, 2, loss);
        for (path, after) in params(&model) {
            assert_eq!(
                after.data != before[&path].data,
                expected.contains(&path),
                "{path}"
            );
        }
    }
    verified::<F>(ModelInvariant::TopLayers, device);
}

/// States before any block, as a cached trunk keeps them: what comes of them has the bits of a run
/// of all blocks, at all positions and at chosen ones. Out of training they are the same up to
/// rounding; where they are to the bit, training keeps a trunk.
pub fn goes_on_from_kept_states<F: ModelFixture>(device: &Device) {
    let on = &device.clone().autodiff();
    let plain = model::<F>(on);
    let ids = tokens(ROWS, POSITIONS, &plain, on);
    let n = plain.n_blocks();
    let layouts = layouts(device).into_iter().zip(layouts(on));
    let cases = layouts.flat_map(|layouts| (0..=n).map(move |cut| (cut, layouts.clone())));
    for (cut, ((layout, outside), (_, segments))) in cases {
        println!("before block {cut}, {layout}");
        let (model, trained) = from_block(plain.clone(), cut);
        let trunk = |model: &F::Model, ids: Ids, segments: Option<Ids>| {
            let context = model.context(ids.dims(), Pass::new(segments), None, &ids.device());
            model.run(model.begin(ids, &context), 0..cut, &context, None)
        };
        let kept = trunk(&model, ids.clone(), segments.clone()).inner();
        let valid = trunk(
            &model.valid(),
            tokens(ROWS, POSITIONS, &model, device),
            outside,
        );
        assert_close(&valid, &kept, PATHS);
        let kept = || Tensor::<3>::from_data(kept.to_data(), on);
        let above = |pass: Pass| {
            let context = model.context([ROWS, POSITIONS], pass, None, on);
            model.finish(model.run(kept(), cut..n, &context, None), &context)
        };
        let finish = |states| output::<F>(&model, states, segments.clone());
        let whole = finish(model.hidden(ids.clone(), segments.clone(), None));
        let found = finish(above(Pass::new(segments.clone())));
        assert_same(&found, &whole);
        if !trained.is_empty() {
            let [found, whole] =
                [found, whole].map(|output| with_gradient(&model, &loss_of(output)));
            assert!(found.keys().eq(&trained));
            assert_eq!(found, whole);
        }
        if cut < n {
            let found = above(Pass::new(segments.clone()).reading(Read::At(at(on))));
            assert_same(&found, &model.hidden_at(ids.clone(), segments, at(on)));
        }
    }
    verified::<F>(ModelInvariant::Trunk, device);
}
