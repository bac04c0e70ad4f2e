//! The factored path, the weight path and the definition give the same.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, s};
use peft_core::{
    Adapter, ForwardPath, FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput, LayerKind,
    Placement, Targets, merge, set_active, slots,
};

use super::{Device, adapted, attach, by_hand, everywhere, names, verified, with_all};
use crate::tolerance::PATHS;
use crate::{
    AdapterFixture, Invariant, Net, assert_close, assert_differs, ids, params, with_gradient,
};

/// Both paths give the same output and the same gradients.
pub fn paths_agree<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    let mut model = Net::new(device);
    attach::<F>(&mut model, "a", &with_all::<F>(ForwardPath::Weight));
    let model = F::perturb(model);
    let factored = model.output(ForwardPath::Factored);
    assert_differs(&factored, &Net::new(device).output(ForwardPath::Factored));
    assert_close(&model.output(ForwardPath::Weight), &factored, PATHS);
    let [factored, weight] = [ForwardPath::Factored, ForwardPath::Weight]
        .map(|path| with_gradient(&model, &model.loss(path)));
    assert!(factored.keys().eq(weight.keys()));
    for (path, gradient) in &factored {
        let pairs = gradient.iter::<f64>().zip(weight[path].iter::<f64>());
        for (a, b) in pairs {
            assert!((a - b).abs() <= f64::from(PATHS), "{path}: {a}, {b}");
        }
    }
    verified::<F>(Invariant::Paths, device);
}

/// Adds nothing, and would get a gradient if what is above it asked for the weight with one.
#[derive(Module, Debug)]
struct Probe {
    zeros: Param<Tensor<2>>,
}

impl Adapter for Probe {
    const NAME: &'static str = "probe";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        base.dense() + self.zeros.val().reshape(base.dims())
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        base.forward(x)
    }

    fn embedding(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        base.forward(ids)
    }
}

/// Neither the weight below nor a parameter of the weight's shape gets a gradient on the factored
/// path.
pub fn forms_no_gradient_of_the_weights_shape<F: AdapterFixture>(device: &Device) {
    let device = &device.clone().autodiff();
    let mut model = Net::new(device);
    let placement = everywhere::<F>(ForwardPath::Factored);
    peft_core::attach(&mut model, "probe", &placement, F::KINDS, |layers| {
        let zeros = |layer: &peft_core::Layer| Tensor::zeros(layer.shape, &layer.device);
        let probe = |layer| Probe {
            zeros: Param::from_tensor(zeros(layer)),
        };
        Ok(layers.iter().map(probe).collect())
    })
    .expect("it attaches");
    attach::<F>(&mut model, "a", &placement);
    set_active(&mut model, &[("probe", 1.0), ("a", 1.0)]).expect("both exist");
    let model = F::perturb(model);
    let gradients = with_gradient(&model, &model.loss(ForwardPath::Factored));
    let seen = params(&model);
    let mut dense = Vec::new();
    for (path, _) in slots(&model) {
        let of_slot = gradients
            .keys()
            .filter(|key| key.starts_with(&format!("{path}.adapters.")));
        dense.extend(of_slot.filter(|key| seen[*key].data.shape() == seen[&path].data.shape()));
    }
    if F::DENSE {
        // The probe can see: a method that is defined by its weight shows that.
        assert!(!dense.is_empty(), "it is declared dense and is not");
        return;
    }
    assert!(
        dense.is_empty(),
        "gradients of the weight's shape: {dense:?}"
    );
    verified::<F>(Invariant::NoDenseGradient, device);
}

/// Three in another order than they were attached in, factored, in weight space and merged, are
/// what their definitions give.
pub fn composes_in_order<F: AdapterFixture>(device: &Device) {
    let model = adapted::<F>(&["a", "b", "c"], device);
    let mut found = Vec::new();
    for order in [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]] {
        let order = order.map(|name| (name, 1.0));
        let mut model = model.clone();
        set_active(&mut model, &order).expect("all exist");
        let expected = by_hand::<F>(&model, &order, device).output(ForwardPath::Weight);
        assert_close(&model.output(ForwardPath::Factored), &expected, PATHS);
        found.push(expected.clone());
        drop(merge(&mut model).expect("all act"));
        assert_close(&model.output(ForwardPath::Weight), &expected, PATHS);
    }
    let alone = by_hand::<F>(&model, &[("a", 1.0)], device).output(ForwardPath::Weight);
    assert_differs(&found[0], &alone);
    verified::<F>(Invariant::Composition, device);
}

/// A strength interpolates between what lies below and the adapter, and goes beyond.
pub fn interpolates<F: AdapterFixture>(device: &Device) {
    let mut model = adapted::<F>(&["a", "b"], device);
    let base = Net::new(device).output(ForwardPath::Factored);
    for (below, above) in [(0.0, 1.0), (0.4, -0.6), (1.5, 0.25), (0.0, 0.0)] {
        let order = [("b", below), ("a", above)];
        set_active(&mut model, &order).expect("both exist");
        let expected = by_hand::<F>(&model, &order, device).output(ForwardPath::Weight);
        let output = model.output(ForwardPath::Factored);
        assert_close(&output, &expected, PATHS);
        if (below, above) == (0.0, 0.0) {
            assert_close(&output, &base, PATHS);
        } else {
            assert_differs(&output, &base);
        }
        let mut merged = model.clone();
        drop(merge(&mut merged).expect("both act"));
        assert_close(&merged.output(ForwardPath::Weight), &expected, PATHS);
    }
    verified::<F>(Invariant::Strength, device);
}

/// A row of a batch has the output that it has alone.
pub fn rows_are_independent<F: AdapterFixture>(device: &Device) {
    let model = adapted::<F>(&["a"], device);
    let ids = ids(device);
    for path in [ForwardPath::Factored, ForwardPath::Weight] {
        if path == ForwardPath::Weight && !F::BIASED_IN_WEIGHT_SPACE {
            continue;
        }
        let together = model.forward(ids.clone(), path);
        for row in 0..2 {
            let row = row..row + 1;
            let alone = model.forward(ids.clone().slice(s![row.clone(), ..]), path);
            assert_close(&alone, &together.clone().slice(s![row, .., ..]), PATHS);
        }
    }
    verified::<F>(Invariant::Rows, device);
}

/// On an embedding, factored, in weight space and merged.
pub fn embeds<F: AdapterFixture>(device: &Device) {
    if !F::KINDS.contains(&LayerKind::Embedding) {
        assert!(!names::<F>(ForwardPath::Factored).contains(&"embed"));
        return;
    }
    let base = Net::new(device);
    let mut model = base.clone();
    let placement = Placement::new(Targets::suffixes(["embed"]));
    attach::<F>(&mut model, "a", &placement);
    let mut model = F::perturb(model);
    let rows = peft_core::embedding(&model.embed, ids(device));
    assert_differs(&rows, &base.embed.forward(ids(device)));
    assert_close(&model.embed.forward(ids(device)), &rows, PATHS);
    let expected = by_hand::<F>(&model, &[("a", 1.0)], device);
    assert_close(&rows, &expected.embed.forward(ids(device)), PATHS);
    drop(merge(&mut model).expect("it acts"));
    assert_close(&model.embed.forward(ids(device)), &rows, PATHS);
    verified::<F>(Invariant::Embeddings, device);
}
