//! Adapters on the layers of a model.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use peft_core::{
    Adapter, ForwardPath, FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput, LayerKind,
    Placed, Placement, Targets, attach, layers, merge,
};
use peft_lora::LoraConfig;
use peft_model::Transformer;

use super::{Device, POSITIONS, ROWS, assert_acts, model, output_of, tokens, verified};
use crate::tolerance::PATHS;
use crate::{
    ModelFixture, ModelInvariant, assert_close, assert_differs, assert_same, params, perturbed,
};

/// LoRA of scale 1.5 on some layers.
pub(super) fn lora<F: ModelFixture>(model: &mut F::Model, targets: Targets) -> Vec<String> {
    let config = LoraConfig::new(2, 3.0)
        .with_targets(targets)
        .with_path(F::PATH);
    let report = config.attach(model, "default").expect("it attaches");
    report.layers.into_iter().map(|layer| layer.path).collect()
}

/// The layer of this path and no other.
fn only(path: &str) -> Targets {
    Targets::regex(path.replace('.', r"\."))
}

/// On each layer by itself: fresh it changes no bit of the output, with values it changes it.
pub fn takes_lora_on_each_layer<F: ModelFixture>(device: &Device) {
    let plain = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &plain, device);
    let base = output_of::<F>(&plain, &ids);
    let layers = layers(&plain);
    assert!(
        layers.len() > plain.n_blocks(),
        "{} layers can be adapted",
        layers.len()
    );
    for layer in layers {
        println!("{}", layer.path);
        let mut model = plain.clone();
        assert_eq!(lora::<F>(&mut model, only(&layer.path)), [layer.path]);
        assert_same(&output_of::<F>(&model, &ids), &base);
        let found = output_of::<F>(&perturbed(model), &ids);
        assert_acts(&found, &base);
    }
    verified::<F>(ModelInvariant::Lora, device);
}

/// Gives what a layer gives in the reverse order, on the factored path alone: neither a norm nor
/// softmax undoes that.
#[derive(Module, Debug)]
struct Reversed {}

impl Adapter for Reversed {
    const NAME: &'static str = "reversed";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        base.dense()
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        base.forward(x).flip([1])
    }

    fn embedding(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        base.forward(ids).flip([2])
    }
}

/// On each layer by itself an adapter acts that no weight can express, as dropout on its input and
/// IA3 on a bias cannot be.
pub fn reads_each_layer_factored<F: ModelFixture>(device: &Device) {
    if F::PATH == ForwardPath::Weight {
        return;
    }
    let plain = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &plain, device);
    let base = output_of::<F>(&plain, &ids);
    let kinds = [LayerKind::Linear, LayerKind::Embedding];
    for layer in layers(&plain) {
        println!("{}", layer.path);
        let placement = Placement {
            path: F::PATH,
            ..Placement::new(only(&layer.path))
        };
        let mut model = plain.clone();
        attach(&mut model, "default", &placement, &kinds, |layers| {
            let of = |_| Reversed {};
            Ok(layers.iter().map(of).collect())
        })
        .expect("it attaches");
        assert_acts(&output_of::<F>(&model, &ids), &base);
    }
    verified::<F>(ModelInvariant::Factored, device);
}

/// On all linear layers, and on the embeddings, whose states are compared: an output layer that is
/// the transposed embedding stays what it was until a merge.
pub fn merges_lora<F: ModelFixture>(device: &Device) {
    let plain = model::<F>(device);
    let ids = tokens(ROWS, POSITIONS, &plain, device);
    let of = |model: &F::Model, kind| match kind {
        LayerKind::Linear => output_of::<F>(model, &ids),
        _ => model.hidden(ids.clone(), None, None),
    };
    for kind in [LayerKind::Linear, LayerKind::Embedding] {
        let layers = layers(&plain)
            .into_iter()
            .filter(|layer| layer.kind == kind);
        let paths: Vec<String> = layers.map(|layer| layer.path).collect();
        let mut model = plain.clone();
        let targets = Targets::regex(paths.join("|").replace('.', r"\."));
        assert_eq!(lora::<F>(&mut model, targets), paths);
        let mut model = perturbed(model);
        let unmerged = of(&model, kind);
        assert_differs(&unmerged, &of(&plain, kind));
        drop(merge(&mut model).expect("it acts"));
        assert_close(&of(&model, kind), &unmerged, PATHS);
        assert!(params(&model).keys().eq(params(&plain).keys()));
    }
    verified::<F>(ModelInvariant::Merged, device);
}
