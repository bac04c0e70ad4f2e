//! What trains, and what it leaves.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::DType;
use peft_core::{LayerKind, Targets, layers, parameters, set_disabled, train_whole};
use peft_layerwise::{BlockPlace, Depth};
use peft_model::Transformer;

use super::adapting::lora;
use super::{Device, POSITIONS, ROWS, loss_of, model, output_of, tokens, verified};
use crate::tolerance::PATHS;
use crate::{
    ModelFixture, ModelInvariant, adapter_paths, assert_close, assert_differs, assert_same,
    is_adapter, params, perturbed, replace, steps, trained, with_gradient,
};

/// With values no gradient is zero, and steps change every adapter and no bit of the base.
pub fn trains_the_adapters_alone<F: ModelFixture>(device: &Device) {
    let on = &device.clone().autodiff();
    let mut model = model::<F>(on);
    let ids = tokens(ROWS, POSITIONS, &model, on);
    let loss = |model: &F::Model| loss_of(output_of::<F>(model, &ids));
    let layers = lora::<F>(&mut model, Targets::all_linear());
    let model = perturbed(model);
    let expected = adapter_paths(&model);
    assert_eq!(expected.len(), 2 * layers.len());
    assert_eq!(trained(&model), expected);
    let gradients = with_gradient(&model, &loss(&model));
    assert!(gradients.keys().eq(&expected), "{:?}", gradients.keys());
    for (path, gradient) in gradients {
        let acts = gradient.iter::<f64>().any(|value| value.abs() > 1e-9);
        assert!(acts, "the gradient of {path} is zero");
    }
    let before = params(&model);
    let (model, losses) = steps(model, 3, loss);
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    for (path, after) in params(&model) {
        assert_eq!(
            after.data != before[&path].data,
            is_adapter(&path),
            "{path}"
        );
    }
    verified::<F>(ModelInvariant::Trains, device);
}

/// The modules that hold these parameters.
fn holders<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let modules = paths.into_iter().filter_map(|path| path.rsplit_once('.'));
    let modules: BTreeSet<&str> = modules.map(|(module, _)| module).collect();
    modules.into_iter().map(str::to_owned).collect()
}

/// Copies of all parameters give what a model with these values in place of its own gives. An
/// output layer that is the transposed embedding reads the embedding's base, so with copies of
/// embeddings the states are compared. In the last block and above they train, and nothing else
/// does.
pub fn takes_copies_of_parameters<F: ModelFixture>(device: &Device) {
    let plain = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &plain, device);
    let embeddings = layers(&plain)
        .into_iter()
        .filter(|layer| layer.kind == LayerKind::Embedding);
    let embeddings: Vec<String> = embeddings.map(|layer| layer.path).collect();
    let all = parameters(&plain)
        .into_iter()
        .map(|parameter| parameter.path);
    let all: Vec<String> = all.collect();
    for embedded in [false, true] {
        let mut modules = holders(all.iter().map(String::as_str));
        modules.retain(|module| embedded || !embeddings.contains(module));
        let of = |model: &F::Model| match embedded {
            true => model.hidden(ids.clone(), None, None),
            false => output_of::<F>(model, &ids),
        };
        let mut model = plain.clone();
        let copied = train_whole(&mut model, "default", &modules).expect("they are there");
        assert!(copied.len() > 2 * plain.n_blocks(), "{copied:?}");
        assert_same(&of(&model), &of(&plain));
        let model = perturbed(model);
        let values = params(&model).into_iter().filter_map(|(path, seen)| {
            Some((
                path.strip_suffix(".adapters.default.value")?.to_owned(),
                seen.data,
            ))
        });
        let values: BTreeMap<_, _> = values.collect();
        assert_eq!(values.len(), copied.len());
        let expected = of(&replace(plain.clone(), values));
        assert_differs(&expected, &of(&plain));
        assert_close(&of(&model), &expected, PATHS);
    }

    let on = &device.clone().autodiff();
    let plain = model::<F>(on);
    let ids = tokens(ROWS, POSITIONS, &plain, on);
    let depth = Depth::of(&plain).expect("it has blocks");
    let last = BlockPlace::Block(plain.n_blocks() - 1);
    let top = depth.iter().filter(|(_, place)| *place >= last);
    let modules = holders(top.map(|(path, _)| path));
    let mut model = plain.clone();
    train_whole(&mut model, "default", &modules).expect("they are there");
    let loss = |model: &F::Model| loss_of(output_of::<F>(model, &ids)).cast(DType::F32);
    let gradients = with_gradient(&model, &loss(&model));
    assert!(
        gradients.keys().eq(&adapter_paths(&model)),
        "{:?}",
        gradients.keys()
    );
    let (mut model, _) = steps(model, 2, loss);
    assert_differs(&output_of::<F>(&model, &ids), &output_of::<F>(&plain, &ids));
    set_disabled(&mut model, true).expect("slots only");
    assert_same(&output_of::<F>(&model, &ids), &output_of::<F>(&plain, &ids));
    verified::<F>(ModelInvariant::Copies, device);
}
